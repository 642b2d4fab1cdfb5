"""The queue as it runs: looks when something is due, begins what has its turn, stores what came of it.

Belongs to the event loop: one task looks, each run under way has one. What is decided is decided in ``cold.batch``; what is stored
is stored before anybody is told, and messages for channels in the same transaction. A kill at any moment loses no run and no message:
what waited waits, what was under way is done again, and what has committed its outcome is over.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from appliance.batch_options import BatchOptions
from appliance.batching.days import Days
from appliance.batching.rows import ASKED, OWN, entry_after, entry_of, is_remembered, new_run, over, queued_of, told_of, with_cost
from appliance.batching.run_meter import RunMeter
from appliance.batching.runner import Processes
from appliance.batching.shelf import Change, Shelf, trimmed
from appliance.batching.under_way import Ended, UnderWay
from appliance.batching.work import Limits, Work
from appliance.clock import US_PER_S, Clock
from appliance.cold.batch import queue as decide
from appliance.cold.batch.schedule import Due, Last, due_now, next_due, set_back
from appliance.errors import ApplianceError, JobFailed, RetryLater, UsageRefused
from appliance.hot.job_tables import JobEntry
from appliance.observe.jobs import RunRow
from appliance.observe.status import Problem

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 5.0
"""At most so long nothing is looked at: a day may have come in, the clock may have been set."""
LOOK_AGAIN_S: Final = 0.02
"""At least so long, whatever the clock does."""
AGAIN_S: Final = 5.0
"""After the store could not be written."""


Publish = Callable[[str, Mapping[str, Any]], None]
"""(event, data): of the topic ``jobs``."""


class JobQueue:
    """All batch work of a running service."""

    def __init__(
        self,
        *,
        shelf: Shelf,
        processes: Processes,
        days: Days,
        options: BatchOptions,
        zone: str,
        clock: Clock,
        chance: random.Random,
        publish: Publish,
        step: Callable[[str], None],
        meter: RunMeter,
    ) -> None:
        """``shelf`` has been loaded. ``zone`` is the node's; ``chance`` spreads what is tried again; ``publish`` returns at once."""
        self.shelf = shelf
        self.works: dict[str, Work] = {}
        self.under_way: dict[int, UnderWay] = {}
        self.problems: tuple[Problem, ...] = ()
        """What is degraded; may be read from any thread."""
        self.failed_total = 0
        """Runs that have failed for good since the start."""
        self._processes = processes
        self._days = days
        self._options = options
        self._zone = ZoneInfo(zone)
        self._clock = clock
        self._chance = chance
        self._publish = publish
        self._step = step
        self._meter = meter
        self._wanted: Sequence[Work] | None = None
        self._is_taken_up = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        """Set, and replaced by a new one, whenever an attempt has come to its end."""
        self._stopping = False
        self._trouble = ""
        self._held = ""
        """Why nothing is begun; empty: whatever has its turn is."""
        self._urgent_held = False
        self._looking: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        """Between a decision and its place in memory nothing else is decided."""

    def start(self, works: Sequence[Work]) -> None:
        """Takes up what the last process left, and looks from now on."""
        self.configure(works)
        self._looking = asyncio.get_running_loop().create_task(self._look_always())

    def hold(self, why: str, *, urgent: bool = False) -> None:
        """From now on nothing is begun, but for what is urgent, unless that is meant too; with empty ``why`` it is again."""
        self._held, self._urgent_held = why, bool(why) and urgent
        self._wake.set()

    def configure(self, works: Sequence[Work]) -> None:
        """From the next look on this is the work. Runs of what is gone are taken out of the queue; those under way go on."""
        self._wanted = works
        self.works = {work.name: work for work in works}
        self._wake.set()

    async def stop(self) -> None:
        """Ends what is under way, which is done again at the next start."""
        self._stopping = True
        self._wake.set()
        for under_way in self.under_way.values():
            under_way.leave()
        if self._looking is not None:
            await self._looking
        if self._tasks:
            await asyncio.gather(*self._tasks)

    async def ask(self, name: str, parameters: Mapping[str, str]) -> RunRow:
        """Queues a run on request; one that waits already for the same serves it. Raises ``UsageRefused`` for an unknown name."""
        async with self._changing:
            work = self.works.get(name)
            if work is None:
                known = ", ".join(n for n in self.works if not n.startswith(OWN)) or "none"
                raise UsageRefused(f"there is no batch work {name!r}; there is: {known}")
            for run in self.shelf.of(name):
                if run.state == "waiting" and dict(run.parameters) == dict(parameters):
                    return run
            now_us = self._clock.now_us()
            [made] = await self._write(
                Change(new=[new_run(work, due_us=now_us, now_us=now_us, reason=ASKED, parameters=parameters)]), "queued"
            )
        self._wake.set()
        return made

    async def ended(self, run_id: int) -> RunRow | None:
        """Waits until a run is over or an attempt has failed; None: it is forgotten already."""
        while (run := self.shelf.runs.get(run_id)) is not None and not run.error:
            await self._settled.wait()
        return run or next(iter(await self.shelf.history(limit=1, run_id=run_id)), None)

    async def cancel(self, run_id: int, why: str) -> RunRow:
        """Ends a run or takes it out of the queue. Raises ``UsageRefused`` where it is over or was never there."""
        async with self._changing:
            run = self.shelf.runs.get(run_id)
            if run is None:
                raise UsageRefused(f"there is no run {run_id} that could be cancelled: it is over, or never was")
            under_way = self.under_way.get(run_id)
            if under_way is not None:
                under_way.cancel(why)
                return run
            row = over(run, "cancelled", self._clock.now_us(), words=why)
            await self._write(Change(runs=[row], jobs=entry_after(self.shelf.jobs.get(row.name), row)), "cancelled")
        self._publish(row.state, msgspec.to_builtins(row))
        return row

    @property
    def default_limits(self) -> Limits:
        """Those of [batch]."""
        o = self._options
        return Limits(o.memory_max, o.threads, o.time_max_s, o.disk_bytes_max)

    async def _look_always(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                async with self._changing:
                    pause_s = await self._look()
                self._trouble = ""
            except ApplianceError as e:
                if not self._trouble and not self._stopping:
                    log.warning("batch work waits: %s", e)
                self._trouble, pause_s = str(e), AGAIN_S
            except Exception as e:  # a defect here must not end batch work for good
                log.exception("the queue of batch work failed by a defect and goes on")
                self._trouble, pause_s = f"a defect: {type(e).__name__}: {e}", AGAIN_S
            self._note_problems()
            try:
                await asyncio.wait_for(self._wake.wait(), max(pause_s, LOOK_AGAIN_S))
            except TimeoutError:
                continue

    async def _look(self) -> float:
        """Queues what is due and begins what has its turn; in how many seconds there is something to see to again."""
        now_us = self._clock.now_us()
        await self._settle_in(now_us)
        new: list[RunRow] = []
        entries: list[JobEntry] = []
        for work in self.works.values():
            if not is_remembered(work):
                continue
            due, entry = await self._due(work, now_us)
            if due is not None:
                parameters = {} if due.day is None else {"day": due.reason.removeprefix("day ")}
                new.append(new_run(work, due_us=due.at_us, now_us=now_us, reason=due.reason, day=due.day, parameters=parameters))
            if entry != self.shelf.jobs.get(work.name):
                entries.append(entry)
        if new or entries:
            await self._write(Change(new=new, jobs=entries), "queued")
        for queued in decide.choose(self.shelf.queued, jobs_max=self._options.jobs_max, now_us=now_us):
            if not (self._stopping or (self._urgent_held if decide.is_urgent(queued) else self._held)):
                await self._begin(self.works[queued.name], self.shelf.runs[queued.id], now_us)
        dues = [e.next_us for e in self.shelf.jobs.values() if e.next_us is not None and not self.shelf.of(e.name)]
        return decide.next_look(self.shelf.queued, dues, now_us=now_us, at_most_us=round(LOOK_EVERY_S * US_PER_S)) / US_PER_S

    async def _settle_in(self, now_us: int) -> None:
        """What the last process left under way waits again; what is no longer in the config goes."""
        if not self._is_taken_up:
            again = []
            for run in self.shelf.runs.values():
                if run.state == "running":
                    later_us = decide.after_interruption(queued_of(run), now_us=now_us)
                    again.append(msgspec.structs.replace(run, state="waiting", interrupted=run.interrupted + 1, not_before_us=later_us))
            if again:
                await self._write(Change(runs=again), "taken_up")
            self._is_taken_up = True
        if self._wanted is not None:
            gone = [name for name in self.shelf.jobs if name not in self.works]
            left = [r for r in self.shelf.runs.values() if r.name not in self.works and r.id not in self.under_way]
            if gone or left:
                dropped = [over(r, "cancelled", now_us, words="no longer in the config") for r in left]
                await self._write(Change(runs=dropped, gone=gone), "configured")
            self._wanted = None

    async def _due(self, work: Work, now_us: int) -> tuple[Due | None, JobEntry]:
        """What of a piece of work is to be queued now, and what is to be remembered of it."""
        entry = entry_of(work, self.shelf.jobs.get(work.name), now_us)
        last = set_back(work.when, Last(entry.since_us, entry.due_us, entry.day), now_us=now_us)
        rest_us = decide.rests_until(decide.Standing(entry.failures, entry.failed_us), now_us=now_us)
        due = None
        if rest_us is None and not self.shelf.of(work.name):
            days = await self._days.there(work.when.on_day) if work.when.on_day is not None else ()
            due = due_now(work.when, last, now_us=now_us, zone=self._zone, days=days)
        if due is not None:
            last = replace(last, due_us=due.at_us) if due.day is None else replace(last, day=due.day)
        next_us = next_due(work.when, last, zone=self._zone)
        if next_us is not None and rest_us is not None:
            next_us = max(next_us, rest_us)
        return due, replace(entry, since_us=last.since_us, due_us=last.due_us, day=last.day, next_us=next_us)

    async def _begin(self, work: Work, run: RunRow, now_us: int) -> None:
        """What has become due until now is served by this run too."""
        entry = entry_of(work, self.shelf.jobs.get(work.name), now_us)
        if run.reason in ("schedule", "every", "missed"):
            later = due_now(work.when, Last(entry.since_us, entry.due_us), now_us=now_us, zone=self._zone)
            due_us = entry.due_us if later is None else later.at_us
            entry = replace(entry, due_us=due_us, next_us=next_due(work.when, Last(entry.since_us, due_us), zone=self._zone))
        row = msgspec.structs.replace(run, state="running", started_us=now_us)
        await self._write(Change(runs=[row], jobs=[entry] if is_remembered(work) else []), "started")
        under_way = UnderWay(
            work,
            row,
            limits=work.limits or self.default_limits,
            processes=self._processes,
            clock=self._clock,
            on_progress=lambda u: self._publish("progress", {"id": u.row.id, "name": u.row.name, "share": u.share, "doing": u.doing}),
        )
        self.under_way[run.id] = under_way
        self._publish("started", msgspec.to_builtins(row))
        self._meter.started(row, now_us=now_us)
        task = asyncio.get_running_loop().create_task(self._carry_out(under_way))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, under_way: UnderWay) -> None:
        """One attempt to its end. Where that can't be stored the row goes on to say that it is under way, and it is stored later."""
        ended = await under_way.run()
        self._meter.ended(under_way.row, ended, now_us=self._clock.now_us())
        self._step("jobs.ran")
        while not await self._settle(under_way, ended):
            if self._stopping:
                return
            await asyncio.sleep(AGAIN_S)
        self._wake.set()

    async def _settle(self, under_way: UnderWay, ended: Ended) -> bool:
        """Stores what came of an attempt, and tells of it; False where it can't be stored now."""
        run, work = with_cost(under_way.row, ended), under_way.work
        async with self._changing:
            before = self.shelf.jobs.get(run.name)
            try:
                row = await self._store_end(work, run, ended, before)
            except RetryLater as e:
                if not self._trouble:
                    log.warning("what came of %s can't be stored yet: %s", run.name, e)
                self._trouble = str(e)
                self._note_problems()
                return False
            except Exception as e:  # or the run would be under way for good, and its work never begun again
                log.exception("what came of %s can't be stored, by a defect, and is tried again", run.name)
                self._trouble = f"what came of {run.name} can't be stored: {type(e).__name__}: {e}"
                self._note_problems()
                return False
            del self.under_way[run.id]
        self._settled.set()
        self._settled = asyncio.Event()
        self._note_problems()
        self._publish(row.state, msgspec.to_builtins(row))
        return True

    async def _store_end(self, work: Work, run: RunRow, ended: Ended, before: JobEntry | None) -> RunRow:
        now_us = self._clock.now_us()
        new: list[RunRow] = []
        if ended.outcome is not None:
            row = over(run, "done", now_us, words=ended.outcome.words, rows=ended.outcome.rows)
            new = self._followers(work, ended.outcome.parameters, now_us)
        elif ended.is_cancelled:
            row = over(run, "cancelled", now_us, words=trimmed(str(ended.error)))
        elif ended.is_stopping:
            row = msgspec.structs.replace(run, state="waiting", not_before_us=0)
        else:
            row = self._failed(work, run, ended, before, now_us)
        is_over = row.state != "waiting"
        jobs = entry_after(before, row) if is_over else []
        told = told_of(work, row, failures=0 if before is None else before.failures)
        await self._write(Change(new=new, runs=[row], jobs=jobs, told=told), "ended" if is_over else "again")
        self.failed_total += row.state == "failed"
        return row

    def _failed(self, work: Work, run: RunRow, ended: Ended, before: JobEntry | None, now_us: int) -> RunRow:
        """Tried again, or failed for good."""
        assert ended.error is not None
        error = trimmed(str(ended.error))
        again = decide.after_failure(
            queued_of(run),
            retries=work.retries,
            standing=decide.Standing(0 if before is None else before.failures),
            may_retry=ended.error.may_retry if isinstance(ended.error, JobFailed) else not isinstance(ended.error, UsageRefused),
            now_us=now_us,
            jitter=self._chance.random(),
            after_s=ended.error.after_s if isinstance(ended.error, RetryLater) else 0,
        )
        log.warning("%s failed%s: %s", run.name, "" if again is None else " and is tried again", error)
        if again is None:
            return over(msgspec.structs.replace(run, error=error), "failed", now_us)
        return msgspec.structs.replace(run, state="waiting", attempt=run.attempt + 1, not_before_us=again.not_before_us, error=error)

    def _followers(self, work: Work, parameters: Mapping[str, str], now_us: int) -> list[RunRow]:
        """Runs of what follows the success of this work, unless one waits already."""
        return [
            new_run(other, due_us=now_us, now_us=now_us, reason=f"after {work.name}", parameters=parameters)
            for other in self.works.values()
            if other.when.after == work.name and not any(r.state == "waiting" for r in self.shelf.of(other.name))
        ]

    async def _write(self, change: Change, step: str) -> list[RunRow]:
        made = await self.shelf.write(change, step)
        for row in made:
            self._publish("queued", msgspec.to_builtins(row))
        return made

    def _note_problems(self) -> None:
        found = [Problem("WARN", f"batch work waits: {self._trouble}", 0, "it goes on by itself")] if self._trouble else []
        for entry in self.shelf.jobs.values():
            if entry.failures:
                hint = f"appliance jobs history --name {entry.name}; it is tried again by itself"
                times = f"{entry.failures} times in a row" if entry.failures > 1 else "for good"
                found.append(
                    Problem("WARN", f"{entry.kind} {entry.name} has failed {times}: {entry.last_words[:200]}", entry.failed_us or 0, hint)
                )
        self.problems = tuple(found)
