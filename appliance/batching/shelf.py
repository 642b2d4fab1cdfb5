"""The queue as it is stored: each change of it is one transaction, made by the writer, and true in memory only afterwards.

Belongs to the event loop. Named steps, for tests that stop there: ``jobs.NAME.writing`` inside the transaction, ``jobs.NAME`` after
it, where NAME is ``queued``, ``started``, ``again``, ``ended``, ``cancelled`` or ``configured``. What is told of a change is in the
outbox by the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from appliance.batching import notices
from appliance.batching.notices import HandOver, Notice, nobody
from appliance.batching.rows import queued_of
from appliance.cold.batch.queue import Queued
from appliance.door.commit import Committer
from appliance.hot import job_tables
from appliance.hot.alerts.tables import durable
from appliance.hot.job_tables import JobEntry
from appliance.hot.reader import HotReader
from appliance.observe.jobs import OPEN, RunRow

ERROR_CHARS_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction writes."""

    new: Sequence[RunRow] = ()
    """Runs without an id yet."""
    runs: Sequence[RunRow] = ()
    jobs: Sequence[JobEntry] = ()
    gone: Sequence[str] = field(default_factory=tuple)
    """Names of work that is forgotten."""
    told: Sequence[Notice] = ()
    """Messages that go out with it."""


class Shelf:
    """Runs that are not over, and what is remembered of the work."""

    def __init__(
        self,
        *,
        call: Callable[[Callable[[Committer], Any]], Future[Any]],
        reader: Callable[[], AbstractContextManager[HotReader]],
        step: Callable[[str], None],
        history_max: int,
        hand_over: HandOver = nobody,
    ) -> None:
        """``call`` runs something in the writer's thread."""
        self._call = call
        self._reader = reader
        self._step = step
        self._history_max = history_max
        self._hand_over = hand_over
        self.runs: dict[int, RunRow] = {}
        """Those that are not over, by id."""
        self.jobs: dict[str, JobEntry] = {}

    def load(self) -> None:
        """What is stored; blocks."""
        with self._reader() as reader:
            self.runs = {run.id: run for run in job_tables.load_open(reader)}
            self.jobs = job_tables.load_jobs(reader)

    async def write(self, change: Change, step: str) -> list[RunRow]:
        """Stores a change; its new runs, with their ids. Raises ``RetryLater`` where the disk is full: nothing has changed then."""

        def run(committer: Committer) -> tuple[list[RunRow], list[int]]:
            connection = committer.store.connection
            with durable(connection) if change.told else nullcontext(), committer.store.transaction():
                made = [msgspec.structs.replace(r, id=job_tables.add_run(connection, r)) for r in change.new]
                for known in change.runs:
                    job_tables.put_run(connection, known)
                job_tables.put_jobs(connection, change.jobs)
                job_tables.drop_jobs(connection, change.gone)
                if made:
                    job_tables.trim_runs(connection, keep=self._history_max)
                ids = notices.put(connection, change.told)
                self._step(f"jobs.{step}.writing")
            self._step(f"jobs.{step}")
            return made, ids

        made: list[RunRow]
        made, ids = await asyncio.wrap_future(self._call(run))
        for row in (*made, *change.runs):
            if row.state in OPEN:
                self.runs[row.id] = row
            else:
                self.runs.pop(row.id, None)
        self.jobs |= {entry.name: entry for entry in change.jobs}
        for name in change.gone:
            self.jobs.pop(name, None)
        if ids:
            await asyncio.to_thread(self._hand_over, ids)
        return made

    async def history(
        self, *, limit: int, name: str | None = None, before_id: int | None = None, run_id: int | None = None
    ) -> list[RunRow]:
        """Stored runs, the newest first."""

        def read() -> list[RunRow]:
            with self._reader() as reader:
                return job_tables.load_runs(reader, limit=limit, name=name, before_id=before_id, run_id=run_id)

        return await asyncio.to_thread(read)

    async def record(self, run: RunRow) -> None:
        """A run of something that doesn't wait in this queue, for the history."""
        await self.write(Change(new=[run]), "recorded")

    @property
    def queued(self) -> list[Queued]:
        """The runs that are not over, as decisions see them."""
        return [queued_of(run) for run in self.runs.values()]

    def of(self, name: str) -> list[RunRow]:
        """The runs of one piece of work that are not over."""
        return [run for run in self.runs.values() if run.name == name]


def trimmed(text: str) -> str:
    """A reason short enough to be kept."""
    return text if len(text) <= ERROR_CHARS_MAX else f"{text[:ERROR_CHARS_MAX]}…"
