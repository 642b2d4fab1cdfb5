"""One query under way: what ``Queries`` knows of it, and what it shows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from appliance.hot.state import State
from appliance.serving.constancy import Varies
from appliance.serving.explain import Explain
from appliance.serving.handed import Handed
from appliance.serving.pool import WorkerProcess
from appliance.serving.question import Question
from appliance.serving.snapshot import Wanted, WantedView
from appliance.serving.source import StateSource
from appliance.serving.usage import Usage
from appliance.serving.view_pins import ViewPin


class QueryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a query is."""

    id: str
    sql: str
    """Its beginning."""
    state: str
    """``waiting`` (for a process), ``running``, ``done``, ``failed`` or ``cancelled``."""
    share: float | None
    """Part of the work that is done, 0 to 1; None when it is not known."""
    rows: int
    """Of the result, so far."""
    bytes_sent: int
    elapsed_ms: float
    notes: tuple[str, ...]
    """What the answer lacks."""
    error: str | None
    """Why it failed or was cancelled."""
    explain: Explain | None
    """There when it is done."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer was found from."""

    state: State
    """The picture that was pinned."""
    wanted: tuple[Wanted, ...] = ()
    views: tuple[tuple[WantedView, ViewPin], ...] = ()
    """What of views was wanted, parts of earlier answers among them, and what that was made of."""
    tables: tuple[str, ...] = ()
    """Of the appliance's own, and those that jobs have made."""
    names: tuple[str, ...] = ()
    """Tables that the SQL names; known at the end."""
    varies: Varies = "always"
    """When the SQL gives another answer over the same records; known at the end."""


@dataclass(slots=True)
class RunningQuery:
    """A query under way."""

    question: Question
    source: StateSource
    start_ns: int
    worker: WorkerProcess | None = None
    state: str = "waiting"
    share: float | None = None
    rows: int = 0
    bytes_sent: int = 0
    notes: tuple[str, ...] = ()
    error: str | None = None
    waited_ms: float = 0.0
    """For a process, its start included."""
    explain: Explain | None = None
    cancelled: str | None = None
    """Why it has to end."""
    heard: bool = False
    """The worker has said a word about it."""
    clean: bool = False
    """The worker has said its last word about it."""
    worn: bool = False
    files: frozenset[str] = frozenset()
    guessed: bool = False
    """What it wants went along with the question, and nothing was heard against that."""
    pinned: bool = False
    """It has asked for a snapshot."""
    pieces: list[bytes] = field(default_factory=list)
    """Of its result, here and not handed on yet."""
    into: Path | None = None
    """Where the result goes as a file; None: over the socket."""
    handed: Handed | None = None
    read: dict[str, int] = field(default_factory=dict)
    """Folded name of each stream that was pinned -> its highest sequence then."""
    version: int = 0
    basis: Basis | None = None
    """None: it has pinned nothing."""
    first_ms: float = 0.0
    """Until the first rows were there; 0: they are not."""
    used: Usage | None = None
    """What it has used; known when it has ended in a process."""
    now_us: int = 0
    """What ``now()`` gives."""
    on_usage: Callable[[Usage], None] | None = None
    stood_s: float = 0.0
    """Up to which its processes had been held still when its time was counted last."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
