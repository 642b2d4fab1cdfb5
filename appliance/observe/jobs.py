"""What the surfaces show of batch work: rows for ``/api/jobs``, the command line and the screen, and who answers for it.

Computed by the queue, only shown elsewhere. Times in µs since 1970, UTC; None where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

OPEN = ("waiting", "running")
"""States of a run that is not over; the others are ``done``, ``failed`` and ``cancelled``."""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run, from the moment it is queued."""

    id: int
    name: str
    kind: str
    reason: str
    """Why: ``schedule``, ``every``, ``after NAME``, ``day YYYY-MM-DD``, ``asked``, ``missed``."""
    state: str = "waiting"
    due_us: int
    queued_us: int
    not_before_us: int = 0
    """A run that waits: it has failed before and is not tried again earlier; 0: it waits for its turn."""
    started_us: int | None = None
    """Its last attempt."""
    ended_us: int | None = None
    attempt: int = 1
    interrupted: int = 0
    """How often the appliance ended while it ran."""
    priority: str = "normal"
    day: int | None = None
    parameters: Mapping[str, str] = {}
    words: str = ""
    """What came of it."""
    error: str = ""
    """Why its last attempt failed."""
    rows: int = 0
    cpu_s: float = 0.0
    """Of all its attempts, as the two that follow."""
    read_bytes: int = 0
    written_bytes: int = 0
    share: float | None = None
    """Of a run under way: the part that is done; None: not known."""
    doing: str = ""
    """Of a run under way: what it is at."""


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of batch work, and how it does."""

    name: str
    kind: str
    when: str
    """``0 6 * * *``, ``every 300 s``, ``after NAME``, ``each day of STREAM``, ``on request``."""
    priority: str = "normal"
    next_us: int | None = None
    """When it is due next by the clock; in the past: it waits for its turn."""
    state: str = ""
    """``waiting`` or ``running``, else how its last run ended; empty: it never ran."""
    last_us: int | None = None
    """When its last run ended."""
    last_words: str = ""
    """What came of it, or why it failed."""
    failures: int = 0
    """Runs in a row that have failed for good."""
    rests_until_us: int | None = None
    """It has failed for good, and is not due by itself before."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """Housekeeping that has ended, for the history."""

    kind: str
    """``compaction``, ``retention``."""
    name: str
    started_us: int
    ended_us: int
    words: str = ""
    error: str = ""
    """Why it failed; empty: it went well."""
    rows: int = 0
    cpu_s: float = 0.0
    read_bytes: int = 0
    written_bytes: int = 0


class JobsPicture(msgspec.Struct, frozen=True, kw_only=True):
    """All batch work of one instant."""

    at_us: int
    jobs: tuple[JobRow, ...]
    queue: tuple[RunRow, ...]
    """Runs that are not over: those under way first, then in the order of their turn."""
    jobs_max: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A query that is to run in the background."""

    sql: str
    format: str = "parquet"
    since_us: int | None = None
    until_us: int | None = None
    notify: tuple[str, ...] = ()


class JobDesk(Protocol):
    """Who answers for batch work. Called on the event loop."""

    def picture(self) -> JobsPicture:
        """What there is, and what is under way."""

    async def history(self, *, limit: int, name: str | None = None, before_id: int | None = None) -> Sequence[RunRow]:
        """Runs, the newest first, those under way among them."""

    async def show(self, run_id: int) -> RunRow | None:
        """One run; None: there is none (any more)."""

    async def run(self, name: str, parameters: Mapping[str, str]) -> RunRow:
        """Queues a run; durable when it returns. Raises ``UsageRefused`` for an unknown name."""

    async def ask(self, asked: Asked) -> RunRow:
        """Queues a query; durable when it returns. Raises ``UsageRefused``."""

    async def cancel(self, run_id: int) -> RunRow:
        """Ends a run, or takes it out of the queue. Raises ``UsageRefused`` where it is over or was never there."""

    async def result(self, run_id: int) -> Path:
        """The file that a run has left. Raises ``UsageRefused`` where there is none."""
