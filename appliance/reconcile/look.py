"""What a check is handed, what a check is, and what a repair is: plain values. No check lives here.

A check is a function of a ``Look``: it yields what disagrees and changes nothing. A repair is a function of a finding and of the
``Hands`` that may write: it says what it did, or raises ``Unmendable``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa

from appliance.box import Box
from appliance.hot.reader import HotReader
from appliance.hot.state import State
from appliance.reconcile.finding import Finding
from appliance.reconcile.identities import Identities
from appliance.tally import Tallies

Scope = Literal["hot", "newest", "all", "full"]
"""``hot``: every few seconds, in the service. ``newest``: every few minutes, in the service. ``all``: on request, everything but what
has to be computed anew. ``full``: everything, computed anew; each segment at least once a week."""
WHOLE: Final[tuple[Scope, ...]] = ("all", "full")


class Unmendable(Exception):
    """Nothing that is left proves what it should be; the text says why, or what was set aside. Says it to a person."""


class Skipped(Exception):
    """A check that can't look now (somebody writes); raised by it, so that the pass does not take what was not seen for gone."""


def _no_pause(_bytes: int) -> None:
    """Nobody has to be spared."""


@dataclass(slots=True)
class Seen:
    """What a look has looked at so far: checks add to it."""

    records: int = 0
    bytes: int = 0
    segments: int = 0
    paths: set[str] = field(default_factory=set)
    """Files that were read to their end, relative to the data folder, right or wrong."""
    right: list[tuple[int, str]] = field(default_factory=list)
    """Segments (id, hash) whose file was found right."""
    unknown: dict[int, Tallies] = field(default_factory=dict)
    """Segment id -> what it holds, of those whose tally was not known."""
    identities: dict[str, Identities] = field(default_factory=dict)
    """By stream: which records are the same one and when series were last, as far as this pass has read its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The folder at one instant, and how closely to look."""

    folder: Path
    reader: HotReader
    """Pinned: all that is read through it is of one instant. Of one thread."""
    state: State
    """The streams as ``reader`` shows them (``load_state``): no ring."""
    scope: Scope
    now_us: int
    since_us: int | None = None
    """Only what concerns event times from then on; None: all. Ignored by ``hot``."""
    memory: State | None = None
    """The published picture of the running service, with its rings; taken before ``reader`` was pinned, so never newer. None: there
    is no service, or this is another process."""
    last_values: Callable[[str], pa.Table] | None = None
    """(stream) -> the last values in the service's memory (``Schema.lake``); None as above. Blocks for the writer."""
    query: Callable[[str], pa.Table] | None = None
    """SQL over the merged view as it would be answered now; None where no DuckDB is at hand. Raises ``QueryRefused``."""
    pause: Callable[[int], None] = _no_pause
    """Told of bytes that were read: waits as long as the machine is to be spared, and raises when the pass has to end."""
    turn: int = 0
    """Number of the pass of this scope since the start: what goes by turns takes this one."""
    settled: Callable[[], bool] = lambda: True
    """Whether nobody writes files into the folder at this moment (no roll, no compaction, no refresh)."""
    only: frozenset[str] | None = None
    """Paths of segments that checks by file look at; None: all of them. The others look at everything."""
    memo: dict[str, Any] = field(default_factory=dict)
    """What checks remember from one look to the next, each under its own name; kept as long as whoever makes the looks lives."""
    seen: Seen = field(default_factory=Seen)

    @property
    def is_whole(self) -> bool:
        """Whether everything is looked at, nothing by turns."""
        return self.scope in WHOLE

    def concerns(self, ts_max: int) -> bool:
        """Whether something that ends there (µs, included) is within what was asked for."""
        return self.since_us is None or ts_max >= self.since_us


CheckFunction = Callable[[Look], Iterator[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that is looked at."""

    name: str
    run: CheckFunction
    kinds: frozenset[str]
    """Every kind of finding that it can yield. A look at which it ran over everything and did not yield a known finding of these
    kinds ends that finding: it is gone."""
    scopes: frozenset[Scope] = frozenset(WHOLE)
    """At which passes it runs."""
    by_turns: frozenset[Scope] = frozenset()
    """Of these passes each looks at a part only, so that none of them ends a finding."""
    needs: Literal["folder", "memory", "query"] = "folder"
    """``memory``: only where ``Look.memory`` is; ``query``: only where ``Look.query`` is. ``folder``: anywhere."""
    by_file: bool = False
    """Whether ``Finding.where`` is the path of one file that it has read: then a look ends only findings of ``Seen.paths``."""
    by_part: bool = False
    """Whether it looks at the times of the segments in ``Look.only`` alone, so that each part of a pass is worth it."""
    in_process: bool = False
    """Whether it takes long: where there is a service, ``all`` and ``full`` run it in a process of batch priority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What repairs may use: the box, open for writing, in its own process."""

    box: Box
    ask: Callable[[str], None] = lambda _name: None
    """Asks the queue for a run of a piece of batch work by its name; nothing where there is no queue."""
    hand_over: Callable[[Sequence[int]], None] = lambda _ids: None
    """Messages of the outbox that are committed go now; where nobody hands over, the next start does."""
    memory: bool = True
    """Whether rings and last values of this box are those that took the records in: False where it was opened only now."""


RepairFunction = Callable[[Finding, Hands], str]
"""What it did, in a few words. Raises ``Unmendable``. What it proves itself by is looked at anew, in the same breath as it writes:
a finding may be minutes old. Doing it twice does no harm."""
Repairs = Mapping[str, RepairFunction]
"""By kind of finding."""
