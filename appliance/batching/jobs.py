"""The owner's jobs: a query whose result becomes a table, a file or records of a stream; a command; and queries in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from appliance.batch_options import JobOptions, Priority
from appliance.batching.kept import REPORTS, STAGED, Keeping
from appliance.batching.work import Context, Limits, Outcome, When, Work
from appliance.box import Box
from appliance.clock import US_PER_DAY, US_PER_S, Clock, day_name, day_of
from appliance.cold.batch.text import file_name, names_day, with_day
from appliance.config import Config
from appliance.errors import JobFailed, QueryCancelled, UsageRefused
from appliance.names import result_format
from appliance.records import TimeRange
from appliance.serving.handed import Handed
from appliance.units import show_duration, show_size

log = logging.getLogger(__name__)
QUERY: Final = "_query"
"""The work that background queries are runs of."""
LAST_LINES_CHARS: Final = 200


def works(config: Config, box: Box, *, step: Callable[[str], None]) -> list[Work]:
    """The jobs of a config, and what answers background queries."""
    keeping = Keeping(box, step=step)
    found: list[Work] = [
        Job(name, options, config, keeping, box.clock) for name, options in config.workloads.items() if isinstance(options, JobOptions)
    ]
    return [*found, BackgroundQuery(config, keeping, box.clock)]


class Job:
    """One ``[workload.NAME]`` of kind ``job``."""

    kind = "job"

    def __init__(self, name: str, options: JobOptions, config: Config, keeping: Keeping, clock: Clock) -> None:
        self.name = name
        self.options = options
        self._batch = config.batch
        self._zone = ZoneInfo(config.node.timezone)
        self._keeping = keeping
        self._clock = clock

    @property
    def when(self) -> When:
        return When(self.options.schedule, self.options.every_s, self.options.after, self.options.on_day)

    @property
    def priority(self) -> Priority:
        return self.options.priority

    @property
    def limits(self) -> Limits | None:
        o, b = self.options, self._batch
        return Limits(
            o.memory_max or b.memory_max, o.threads or b.threads, o.time_max_s or b.time_max_s, o.disk_bytes_max or b.disk_bytes_max
        )

    @property
    def retries(self) -> int:
        return self.options.retries

    @property
    def notify(self) -> Sequence[str]:
        return self.options.notify

    async def run(self, context: Context) -> Outcome:
        """The query or the command, and what becomes of its result."""
        if self.options.sql is None:
            return await self._run_command(context)
        day = _day(context, self._clock, self._zone)
        sql = with_day(self.options.sql, day.lake) if names_day(self.options.sql) else self.options.sql
        if self.options.stream is not None:
            return await self._into_stream(context, sql, self.options.stream)
        if self.options.table is not None:
            written = await context.runner.file(sql, format="parquet")
            await asyncio.to_thread(self._keeping.table, written, self.options.table, context.run.id)
            return Outcome(_words(f"{written.rows:,} rows into the table {self.options.table}", written.notes), written.rows)
        assert self.options.file is not None, "a job has a target"
        written = await context.runner.file(sql, format=result_format(self.options.file))
        name = f"{REPORTS}/{file_name(self.options.file, day.shown)}"
        await asyncio.to_thread(self._keeping.file, written, name)
        words = _words(f"{written.rows:,} rows into {name}, {show_size(written.bytes)}", written.notes)
        return Outcome(words, written.rows, {"file": name})

    async def _run_command(self, context: Context) -> Outcome:
        context.progress(None, self.options.command[0])
        output = await context.runner.program(self.options.command)
        text = output.decode("utf-8", "replace").strip()
        if text:
            log.info("%s: %s", self.name, text[-2_000:])
        last = text.splitlines()[-1][:LAST_LINES_CHARS] if text else ""
        return Outcome(f"done: {last}" if last else "done")

    async def _into_stream(self, context: Context, sql: str, stream: str) -> Outcome:
        """Exactly once, whatever ends the service meanwhile: the result is kept until all of it is in."""
        run = context.run
        if await asyncio.to_thread(self._keeping.is_in, stream, run.id):
            return Outcome(f"all of it was in the stream {stream} already")
        staged = await asyncio.to_thread(self._keeping.staged, run.id)
        notes: Sequence[str] = ()
        if staged is None:
            written = await context.runner.file(sql, format="parquet")
            if "ts" not in (name.lower() for name in written.schema.names):
                raise JobFailed("the result has no column ts, which records of a stream need", may_retry=False)
            staged, notes = await asyncio.to_thread(self._keeping.stage, written, run.id), written.notes
        context.progress(None, f"into {stream}")
        taken = await asyncio.to_thread(self._keeping.stream, staged, stream, self.name, run.id, is_cancelled=context.is_cancelled)
        if context.is_cancelled():
            raise QueryCancelled("it was ended before all records were in the stream")
        return Outcome(_words(f"{taken:,} records into the stream {stream}", notes), taken)


class BackgroundQuery:
    """Queries that nobody waits for; each is a run with its SQL among the parameters."""

    name = QUERY
    kind = "query"
    when = When()
    priority: Priority = "high"
    limits: Limits | None = None
    retries = 0
    notify: Sequence[str] = ()

    def __init__(self, config: Config, keeping: Keeping, clock: Clock) -> None:
        self._keeping = keeping
        self._clock = clock
        self._batch = config.batch
        self._folder = config.data_dir

    async def run(self, context: Context) -> Outcome:
        """The result in ``queries/ID.ENDING``; older ones go when they are over their age, or all are over their size."""
        asked = context.run.parameters
        span = TimeRange(*(int(asked[key]) if key in asked else None for key in ("since_us", "until_us")))
        written = await context.runner.file(asked["sql"], format=asked["format"], span=span)
        name = f"{STAGED}/{context.run.id}.{asked['format']}"
        await asyncio.to_thread(self._keep, written, name)
        kept = f"kept for {show_duration(self._batch.results_keep_s)}"
        words = _words(f"{written.rows:,} rows in {name}, {show_size(written.bytes)}, {kept}", written.notes)
        return Outcome(words, written.rows)

    def _keep(self, written: Handed, name: str) -> None:
        self._keeping.file(written, name)
        remove_old(
            self._folder / STAGED,
            keep=self._folder / name,
            now_us=self._clock.now_us(),
            keep_s=self._batch.results_keep_s,
            bytes_max=self._batch.results_bytes_max,
        )


@dataclass(frozen=True, slots=True)
class _Day:
    """The day that a run is about, ``YYYY-MM-DD``."""

    lake: str
    """In UTC, as the lake's days are: what ``:day`` stands for."""
    shown: str
    """In the node's zone: what ``{date}`` stands for."""


def _day(context: Context, clock: Clock, zone: tzinfo) -> _Day:
    """The day that was asked for or has come in; else yesterday, and the day on which the run was due."""
    given = context.run.parameters.get("day")
    if given is not None:
        try:
            return _Day(date.fromisoformat(given).isoformat(), given)
        except ValueError:
            raise UsageRefused(f"day {given[:40]!r} is no day: write 2026-11-21") from None
    local = datetime.fromtimestamp(context.run.due_us / US_PER_S, UTC).astimezone(zone)
    return _Day(day_name(day_of(clock.now_us() - US_PER_DAY)), local.date().isoformat())


def _words(text: str, notes: Sequence[str]) -> str:
    return "; ".join((text, *notes))


def remove_old(folder: Path, *, keep: Path, now_us: int, keep_s: float, bytes_max: int) -> None:
    """Removes results over their age, and the oldest while all together are over their size; ``keep`` stays in any case."""
    found = sorted((f for f in folder.iterdir() if f.stem.isdigit() and f != keep), key=lambda f: int(f.stem), reverse=True)
    room = bytes_max - keep.stat().st_size
    for file in found:
        status = file.stat()
        room -= status.st_size
        if room < 0 or now_us - status.st_mtime_ns // 1_000 > keep_s * US_PER_S:
            file.unlink(missing_ok=True)
