"""The queue over a real store with a clock that a test moves: caught up once, tried again, resting, cancelled, told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.batch_options import BatchOptions, Priority
from appliance.batching import queue as queue_module
from appliance.batching.days import Days
from appliance.batching.queue import JobQueue
from appliance.batching.run_meter import RunMeter
from appliance.batching.runner import Processes
from appliance.batching.shelf import Change, Shelf
from appliance.batching.work import Context, Limits, Outcome, When
from appliance.box import Box
from appliance.config import Config
from appliance.errors import JobFailed, RetryLater
from appliance.hot.job_tables import look_jobs
from appliance.observe.costs import Costs
from appliance.observe.jobs import RunRow
from appliance.observe.latencies import Latencies
from appliance.serving.source import Store, pinned_reader
from appliance.serving.state_tables import TABLES
from tests.clock import FakeClock
from tests.serving.queries_of import until


@dataclass
class Work:
    """Does what ``act`` does."""

    name: str
    act: Callable[[Context], str] = lambda _context: "done"
    when: When = field(default_factory=When)
    kind: str = "job"
    priority: Priority = "normal"
    limits: Limits | None = None
    retries: int = 2
    notify: Sequence[str] = ("ops",)
    runs: list[str] = field(default_factory=list)
    go: asyncio.Event | None = None
    """A run waits for it."""

    async def run(self, context: Context) -> Outcome:
        self.runs.append(context.run.reason)
        while self.go is not None and not self.go.is_set() and not context.is_cancelled():  # noqa: ASYNC110 - two things end it
            await asyncio.sleep(0.005)
        return Outcome(self.act(context), parameters={"of": self.name})


@dataclass
class Bench:
    """A queue, its clock, and what it has told."""

    queue: JobQueue
    clock: FakeClock
    box: Box
    looks: list[float]
    """One for each look that the queue has taken: in how many seconds it wants the next."""

    async def pass_s(self, seconds: float) -> None:
        self.clock.pass_s(seconds)
        await self.calm()

    async def looked(self) -> None:
        """Until the queue has taken a whole look that began after this was asked: the one under way may have begun before."""
        await self._look_ends()
        await self._look_ends()

    async def _look_ends(self) -> None:
        looks = len(self.looks)
        self.queue._wake.set()
        await until(lambda: len(self.looks) > looks, "a look")

    async def calm(self) -> None:
        """Until nothing is under way, and a look has found nothing to begin."""
        await self.looked()
        while self.queue.under_way:
            await until(lambda: not self.queue.under_way, "the runs")
            await self.looked()

    @property
    def told(self) -> list[tuple[str, str]]:
        """Channels and titles of the messages in the outbox."""
        with pinned_reader(self.box.folder) as reader:
            return [(str(c), str(t)) for c, t in reader.execute("SELECT channel, title FROM outbox ORDER BY id")]

    async def history(self, name: str) -> list[RunRow]:
        return list(reversed(await self.queue.shelf.history(limit=1000, name=name)))


@asynccontextmanager
async def bench(folder: Path, *works: Work, clock: FakeClock | None = None, **options: Any) -> AsyncIterator[Bench]:
    clock = clock or FakeClock()
    box = Box(Config(data_dir=folder), clock=clock)
    box.start()
    store = Store(
        state=lambda: box.state,
        reader=lambda: pinned_reader(folder),
        latest=lambda s: box.last_values(s.name),
        tables=TABLES,
        hot_bytes_max=1 << 20,
        damaged=lambda _s, _r: None,
    )
    shelf = Shelf(call=box.writer.call, reader=lambda: pinned_reader(folder), step=lambda _s: None, history_max=1000)
    shelf.load()
    queue = JobQueue(
        meter=RunMeter(Latencies(), Costs()),
        shelf=shelf,
        processes=Processes(data_dir=folder, clock=clock, store=store, jobs_max=2),
        days=Days(state=lambda: box.state, reader=lambda: pinned_reader(folder), clock=clock),
        options=BatchOptions(**options),
        zone="UTC",
        clock=clock,
        chance=random.Random(1),
        publish=lambda _event, _data: None,
        step=lambda _s: None,
    )
    looks: list[float] = []
    look = queue._look

    async def noted() -> float:
        looks.append(await look())
        return looks[-1]

    queue._look = noted  # type: ignore[method-assign]
    queue.start(works)
    try:
        yield Bench(queue, clock, box, looks)
    finally:
        await queue.stop()
        box.close()


def failing(_context: Context) -> str:
    raise JobFailed("no such valve")


async def test_what_was_missed_is_caught_up_once(tmp_path: Path) -> None:
    clock, folder = FakeClock(), tmp_path / "data"
    async with bench(folder, Work("daily", when=When(schedule="0 6 * * *")), clock=clock) as b:
        await b.calm()
        assert await b.history("daily") == []
        await b.pass_s(18 * 3600)
        assert [r.reason for r in await b.history("daily")] == ["schedule"]
    clock.pass_s(7 * 86_400 + 3600)
    async with bench(folder, Work("daily", when=When(schedule="0 6 * * *")), clock=clock) as b:
        await until(lambda: not b.queue.under_way, "the look")
        await b.pass_s(0)
        assert [(r.reason, r.state) for r in await b.history("daily")] == [("schedule", "done"), ("missed", "done")]
        await b.pass_s(3600)
        assert len(await b.history("daily")) == 2


async def test_what_fails_is_tried_again_later_and_told_once_and_when_it_is_well(tmp_path: Path) -> None:
    work = Work("pump", failing, When(every_s=60))
    async with bench(tmp_path / "data", work) as b:
        await b.calm()
        [row] = await b.history("pump")
        assert (row.state, row.attempt, row.error) == ("waiting", 2, "no such valve")
        await b.pass_s(20)
        await b.pass_s(80)
        [row] = await b.history("pump")
        assert (row.state, row.attempt) == ("failed", 3)
        assert b.told == [("ops", "job pump has failed")]
        assert "pump has failed for good" in b.queue.problems[0].what
        for _ in range(60):
            await b.pass_s(120)
        rows = await b.history("pump")
        assert len(rows) <= 12, "it rests longer and longer"
        assert len(b.told) == 1
        work.act = lambda _context: "mended"
        await b.pass_s(3600)
        assert b.told[1:] == [("ops", "job pump is well again")]
        assert b.queue.problems == ()


async def test_what_follows_runs_after_success_with_what_it_was_given(tmp_path: Path) -> None:
    first, then = Work("first"), Work("then", when=When(after="first"))
    async with bench(tmp_path / "data", first, then) as b:
        await b.queue.ask("first", {})
        await until(lambda: then.runs, "what follows")
        await b.calm()
        [row] = await b.history("then")
        assert (row.reason, dict(row.parameters)) == ("after first", {"of": "first"})
        first.act = failing
        await b.queue.ask("first", {})
        await b.calm()
        assert then.runs == ["after first"]


async def test_no_job_runs_twice_at_once_and_what_becomes_due_meanwhile_is_one_run(tmp_path: Path) -> None:
    work = Work("slow", when=When(every_s=60), go=asyncio.Event())
    async with bench(tmp_path / "data", work, jobs_max=2) as b:
        await until(lambda: work.runs, "its start")
        for _ in range(5):
            b.clock.pass_s(60)
            await b.looked()
        assert work.runs == ["every"]
        assert work.go is not None
        work.go.set()
        await until(lambda: len(work.runs) == 2, "the one that catches up")
        await b.calm()
        assert work.runs == ["every", "missed"]


async def test_runs_are_cancelled_where_they_are(tmp_path: Path) -> None:
    work, other = Work("slow", go=asyncio.Event()), Work("other")

    def ended(context: Context) -> str:
        if context.is_cancelled():
            raise RetryLater("ended")
        return "done"

    work.act = ended
    async with bench(tmp_path / "data", work, other, jobs_max=1) as b:
        running = await b.queue.ask("slow", {})
        await until(lambda: work.runs, "its start")
        waiting = await b.queue.ask("other", {})
        assert (await b.queue.ask("other", {})).id == waiting.id, "one that waits serves both"
        assert (await b.queue.cancel(waiting.id, "by kim")).state == "cancelled"
        await b.queue.cancel(running.id, "by kim")
        await b.calm()
        assert [(r.state, r.words) for r in await b.history("slow")] == [("cancelled", "by kim")]
        assert other.runs == []


async def test_the_end_of_the_service_leaves_a_run_to_the_next_start_and_what_is_gone_is_dropped(tmp_path: Path) -> None:
    folder, clock = tmp_path / "data", FakeClock()
    slow = Work("slow", lambda context: failing(context) if context.is_cancelled() else "done", go=asyncio.Event())
    async with bench(folder, slow, Work("gone"), clock=clock, jobs_max=1) as b:
        await b.queue.ask("slow", {})
        await until(lambda: slow.runs, "its start")
        await b.queue.ask("gone", {})
    again = Work("slow")
    async with bench(folder, again, clock=clock, jobs_max=1) as b:
        await until(lambda: again.runs, "the run")
        await b.calm()
        assert [(r.state, r.interrupted) for r in await b.history("slow")] == [("done", 0)]
        assert [(r.state, r.words) for r in await b.history("gone")] == [("cancelled", "no longer in the config")]


async def test_what_came_of_a_run_is_stored_though_a_defect_kept_it_from_that_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queue_module, "AGAIN_S", 0.001)
    async with bench(tmp_path / "data", Work("pump")) as b:
        write = b.queue.shelf.write

        async def broken(change: Change, step: str) -> list[RunRow]:
            if step == "ended" and "by a defect" not in caplog.text:
                raise KeyError("nobody thought of it")
            return await write(change, step)

        b.queue.shelf.write = broken  # type: ignore[method-assign]
        await b.queue.ask("pump", {})
        await b.calm()
        assert [r.state for r in await b.history("pump")] == ["done"]
        assert "what came of pump can't be stored, by a defect" in caplog.text
        assert b.queue.problems == ()


async def test_time_that_is_over_ends_a_run_for_good(tmp_path: Path) -> None:
    limits = Limits(memory_max=1 << 27, threads=1, time_max_s=0.05, disk_bytes_max=1 << 20)
    work = Work("slow", failing, limits=limits, go=asyncio.Event())
    async with bench(tmp_path / "data", work) as b:
        await b.queue.ask("slow", {})
        await until(lambda: work.runs, "its start")
        await b.calm()
        [row] = await b.history("slow")
        assert (row.state, "took longer than it may" in row.error, row.attempt) == ("failed", True, 1)


async def test_work_of_the_appliances_own_is_due_at_its_interval_also_across_restarts(tmp_path: Path) -> None:
    clock, folder = FakeClock(), tmp_path / "data"
    own, asked = Work("_look", when=When(every_s=3600)), Work("_asked")
    async with bench(folder, own, asked, clock=clock) as b:
        await until(lambda: "_look" in b.queue.shelf.jobs, "the first look")
        await b.pass_s(1800)
        assert own.runs == [], "a new box has better to do"
        await b.pass_s(1800)
        assert own.runs == ["every"]
        await b.pass_s(1800)
    clock.pass_s(1800)
    async with bench(folder, own, asked, clock=clock) as b:
        await until(lambda: len(own.runs) == 2, "the next run")
        await b.calm()
        assert own.runs == ["every", "every"]
        assert asked.runs == []
        with pinned_reader(folder) as reader:
            assert look_jobs(reader) == [], "it is not what the config says"
