"""Who answers for batch work: what there is, what has been, and what people ask for. On the event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from appliance.batching.jobs import QUERY
from appliance.batching.kept import STAGED
from appliance.batching.queue import JobQueue
from appliance.batching.rows import OWN
from appliance.batching.work import Work
from appliance.clock import Clock
from appliance.cold.batch.queue import Standing, rests_until
from appliance.errors import UsageRefused
from appliance.names import RESULT_FORMATS
from appliance.observe.jobs import OPEN, Asked, JobRow, JobsPicture, RunRow
from appliance.serving.question import SQL_BYTES_MAX

CANCELLED: Final = "cancelled on request"


class Desk:
    """Fills ``observe.jobs.JobDesk``."""

    def __init__(
        self,
        queue: JobQueue,
        *,
        folder: Path,
        channels: Callable[[], Sequence[str]],
        elsewhere: Callable[[], Sequence[RunRow]],
        clock: Clock,
        jobs_max: int,
    ) -> None:
        """``channels`` that there are; ``elsewhere`` is what is under way without this queue: compaction, retention."""
        self._queue = queue
        self._folder = folder
        self._channels = channels
        self._elsewhere = elsewhere
        self._clock = clock
        self._jobs_max = jobs_max

    def picture(self) -> JobsPicture:
        """What there is, and what is under way."""
        open_runs = sorted(self._queue.shelf.runs.values(), key=lambda r: (r.state != "running", r.not_before_us, r.due_us, r.id))
        return JobsPicture(
            at_us=self._clock.now_us(),
            jobs=tuple(self._job(work) for name, work in sorted(self._queue.works.items()) if not name.startswith(OWN)),
            queue=(*self._elsewhere(), *(self._shown(r) for r in open_runs)),
            jobs_max=self._jobs_max,
        )

    async def history(self, *, limit: int, name: str | None = None, before_id: int | None = None) -> Sequence[RunRow]:
        """Runs, the newest first, those under way among them."""
        return [self._shown(r) for r in await self._queue.shelf.history(limit=limit, name=name, before_id=before_id)]

    async def show(self, run_id: int) -> RunRow | None:
        """One run; None: there is none (any more)."""
        found = self._queue.shelf.runs.get(run_id)
        rows = [found] if found is not None else await self._queue.shelf.history(limit=1, run_id=run_id)
        return self._shown(rows[0]) if rows else None

    async def run(self, name: str, parameters: Mapping[str, str]) -> RunRow:
        """Queues a run; durable when it returns. Raises ``UsageRefused`` for an unknown name."""
        if name.startswith(OWN):
            raise UsageRefused(f"there is no batch work {name!r}")
        return await self._queue.ask(name, parameters)

    async def ask(self, asked: Asked) -> RunRow:
        """Queues a query; durable when it returns. Raises ``UsageRefused``."""
        if asked.format not in RESULT_FORMATS.values():
            raise UsageRefused(f"format {asked.format[:40]!r} can't be kept; use one of {', '.join(RESULT_FORMATS.values())}")
        if len(asked.sql.encode("utf-8", "replace")) > SQL_BYTES_MAX:
            raise UsageRefused(f"the SQL is longer than {SQL_BYTES_MAX >> 10} KiB")
        for channel in asked.notify:
            if channel not in self._channels():
                raise UsageRefused(f"there is no channel {channel!r}; there are: {', '.join(self._channels()) or 'none'}")
        parameters = {"sql": asked.sql, "format": asked.format}
        parameters |= {key: str(value) for key, value in (("since_us", asked.since_us), ("until_us", asked.until_us)) if value is not None}
        if asked.notify:
            parameters["notify"] = ",".join(asked.notify)
        return await self._queue.ask(QUERY, parameters)

    async def cancel(self, run_id: int) -> RunRow:
        """Ends a run, or takes it out of the queue. Raises ``UsageRefused`` where it is over or was never there."""
        return self._shown(await self._queue.cancel(run_id, CANCELLED))

    async def result(self, run_id: int) -> Path:
        """The file that a background query has left. Raises ``UsageRefused`` where there is none."""
        run = await self.show(run_id)
        if run is None:
            raise UsageRefused(f"there is no run {run_id}")
        if run.state in OPEN:
            raise UsageRefused(f"run {run_id} is not over yet: it is {run.state}")
        if run.state != "done" or run.kind != "query":
            raise UsageRefused(
                f"run {run_id} of {run.name.lstrip(OWN)} has no result to fetch: it is {run.state}{': ' + run.error if run.error else ''}"
            )
        file = self._folder / STAGED / f"{run_id}.{run.parameters.get('format', 'parquet')}"
        if not file.is_file():
            raise UsageRefused(f"the result of run {run_id} is no longer kept; ask again")
        return file

    def _shown(self, run: RunRow) -> RunRow:
        """A run with what is known of it just now."""
        under_way = self._queue.under_way.get(run.id)
        if under_way is None:
            return run
        return msgspec.structs.replace(run, share=under_way.share, doing=under_way.doing, cpu_s=run.cpu_s + under_way.usage.cpu_s)

    def _job(self, work: Work) -> JobRow:
        entry = self._queue.shelf.jobs.get(work.name)
        open_states = {r.state for r in self._queue.shelf.of(work.name)}
        state = "running" if "running" in open_states else "waiting" if open_states else "" if entry is None else entry.last_state
        row = JobRow(name=work.name, kind=work.kind, when=work.when.words, priority=work.priority, state=state)
        if entry is None:
            return row
        return msgspec.structs.replace(
            row,
            next_us=entry.next_us,
            last_us=entry.last_us,
            last_words=entry.last_words,
            failures=entry.failures,
            rests_until_us=rests_until(Standing(entry.failures, entry.failed_us), now_us=self._clock.now_us()),
        )
