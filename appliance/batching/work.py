"""What batch work is to the queue, and what the queue gives it: plain values and protocols.

A ``Work`` knows what to do; the queue knows when, in which order, within which limits, and remembers what came of it. A piece
of work touches records only through its ``Runner``, whose processes have the limits of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from appliance.batch_options import Priority
from appliance.cold.batch.schedule import When as When  # part of what a piece of work is
from appliance.records import TimeRange
from appliance.serving.handed import Handed


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use."""

    memory_max: int
    """Bytes of each process."""
    threads: int
    time_max_s: float
    disk_bytes_max: int
    """Bytes of what doesn't fit into memory."""
    gives_way: bool = True
    """Whether its processes have the lowest priority. False: somebody will want to know soon (``NICE_SOON``)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one piece of work."""

    id: int
    """Rises; 0 before it is stored."""
    name: str
    due_us: int
    """When it was due; for one that was asked for, when."""
    reason: str
    """Why: ``schedule``, ``every``, ``after NAME``, ``day 2026-11-21``, ``asked``, ``missed``, ``late records``."""
    attempt: int = 1
    parameters: Mapping[str, str] = field(default_factory=dict)


class Runner(Protocol):
    """What a run can ask for. Everything runs in processes of lower priority than the hot path, within the run's limits."""

    async def table(self, sql: str, *, span: TimeRange = ..., rows_max: int = 100_000) -> pa.Table:
        """A small result. Raises ``QueryRefused`` for wrong SQL or more rows, ``QueryCancelled``."""

    async def file(self, sql: str, *, format: str, span: TimeRange = ...) -> Handed:
        """A result of any size, as ``parquet``, ``csv``, ``json``, ``jsonl`` or ``arrow``. Raises like ``table``."""

    async def program(self, command: Sequence[str], *, input: bytes = b"") -> bytes:
        """A program's output, at most 16 MiB. Raises ``ApplianceError`` with its last words when it fails."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a run is given."""

    run: Run
    runner: Runner
    progress: Callable[[float | None, str], None]
    """Told the part that is done (None: not known) and what is being done."""
    is_cancelled: Callable[[], bool]
    """True when it should end soon; queries and programs of the runner end by themselves then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run that went well has done."""

    words: str
    """In one line, for the history."""
    rows: int = 0
    """Records or rows that it made."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """For the work that follows it."""


class Work(Protocol):
    """One piece of batch work. Its name is that of its workload; names are unique over all kinds."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str:
        """``view``, ``job``, ``report``, ``training``, ``audit``, ``compaction``, ``retention``, ``query``."""
        ...

    @property
    def when(self) -> When: ...
    @property
    def priority(self) -> Priority: ...
    @property
    def limits(self) -> Limits | None:
        """None: those of [batch]."""
        ...

    @property
    def retries(self) -> int: ...
    @property
    def notify(self) -> Sequence[str]:
        """Channels that are told when it has failed for good, and when it is well again."""
        ...

    async def run(self, context: Context) -> Outcome:
        """Does it, on the event loop; what blocks goes into threads. Raises ``ApplianceError``, which may be tried again."""
        ...
