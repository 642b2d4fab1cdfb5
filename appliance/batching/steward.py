"""The steward: sees to it that no path uses more than its budget, and that the box degrades in order when it is short of something.

Belongs to the event loop. It looks at what processes use and what the machine is short of, lets pure rules decide
(``observe.path_budgets``, ``observe.ladder``) and acts: holds processes, pauses the queue, sheds queries, slows the door. Each step of
the ladder is logged, told to those who follow, and written down as a stretch with its reason; what can't be written now (the disk is
full) is written later.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from appliance.background import Background
from appliance.batching.batch import Batch
from appliance.box import Box
from appliance.clock import Clock
from appliance.door.commit import Committer
from appliance.errors import ApplianceError
from appliance.hot import ladder_table
from appliance.observe.ladder import Pace, Standing, Step, next_standing
from appliance.observe.path_budgets import Bucket
from appliance.observe.pressure import Readings, pressures_of, read
from appliance.observe.processes import PATHS, PathName, Use
from appliance.observe.status import BudgetStatus
from appliance.options import ColdBudget, HotBudget, HybridBudget
from appliance.serving.board import resident_bytes
from appliance.serving.push import HEALTH, Hub
from appliance.serving.queries import Queries

log = logging.getLogger(__name__)
LOOK_S: Final = 0.5
"""Between two looks at what the box is short of."""
METER_S: Final = 0.1
"""Between two looks at what processes use, where a budget limits CPU or I/O: they stand still at most so much too late."""
RATE_NS: Final = 3_000_000_000
"""Rates are told over so long."""
UNWRITTEN_MAX: Final = 1_000
RULE_ID: Final = "rule-"
"""Begins the ids of the questions that alerts ask: they are never shed."""
LADDER: Final = "ladder"
BUDGET: Final = "budget"


@dataclass(slots=True)
class _Meter:
    """What one path has used lately, and what is left of its budget."""

    budget: HotBudget | ColdBudget | HybridBudget
    samples: deque[tuple[int, Use]]
    cpu: Bucket | None
    io: Bucket | None

    def take(self, now_ns: int, use: Use) -> str:
        """The newest figures; why the path has to hold back now, empty while it need not."""
        before_ns, before = self.samples[-1] if self.samples else (now_ns, use)
        self.samples.append((now_ns, use))
        while len(self.samples) > 2 and now_ns - self.samples[1][0] >= RATE_NS:
            self.samples.popleft()
        elapsed_s = (now_ns - before_ns) / 1e9
        if self.cpu is not None:
            self.cpu = self.cpu.after(use.cpu_s - before.cpu_s, elapsed_s)
            if self.cpu.is_overdrawn:
                return f"it has used its processor time ({self.cpu.rate:g} cores)"
        if self.io is not None:
            self.io = self.io.after(use.io_bytes - before.io_bytes, elapsed_s)
            if self.io.is_overdrawn:
                return f"it has used its disk time ({self.io.rate / 1e6:g} MB/s)"
        return ""

    def rates(self) -> tuple[float, float, Use]:
        """Cores, bytes a second, and the newest figures."""
        if len(self.samples) < 2:
            return 0.0, 0.0, self.samples[-1][1] if self.samples else Use()
        (first_ns, first), (last_ns, last) = self.samples[0], self.samples[-1]
        span_s = max(1, last_ns - first_ns) / 1e9
        return max(0.0, last.cpu_s - first.cpu_s) / span_s, max(0, last.io_bytes - first.io_bytes) / span_s, last


class Steward:
    """See the module."""

    def __init__(
        self,
        box: Box,
        batch: Batch,
        queries: Queries,
        hub: Hub,
        *,
        rules_s: Callable[[], float],
        clock: Clock,
        readings: Callable[[], Readings] | None = None,
        pace: Pace = Pace(),  # noqa: B008 - frozen
    ) -> None:
        """``rules_s`` is for how long committed records have waited for their rules; ``readings`` (None: the machine's) is called in a
        thread of its own."""
        self._box = box
        self._batch = batch
        self._queries = queries
        self._hub = hub
        self._rules_s = rules_s
        self._clock = clock
        self._readings = readings or self._read
        self._pace = pace
        budgets = box.config.budget
        self._meters: Mapping[PathName, _Meter] = {path: _meter(getattr(budgets, path)) for path in PATHS}
        self._is_metered = any(m.cpu or m.io for m in self._meters.values())
        self._unwritten: deque[Standing] = deque(maxlen=UNWRITTEN_MAX)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="pressure")
        self._background = Background()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks from now on. A stretch that the last process has left open is over."""
        self._background.begin(self._settle_open(), "the end of the last stretch on the ladder")
        self._task = asyncio.get_running_loop().create_task(self._look_always())

    async def stop(self) -> None:
        """Looks no more, and lets everything go on that was held: it is about to be ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._background.finish()
        for path in PATHS:
            for why in self._box.processes.reasons(path):
                self._box.processes.release(path, why)
        self._box.door.slowed = ""
        self._reader.shutdown(wait=False)

    def budgets(self) -> tuple[BudgetStatus, ...]:
        """What each path uses and may; from any thread."""
        return tuple(self._shown(path) for path in PATHS)

    def meter(self) -> None:
        """One look at what the processes use: who has used up his budget holds back until more has been given."""
        now_ns, processes = self._clock.monotonic_ns(), self._box.processes
        for path, use in processes.use().items():
            why = self._meters[path].take(now_ns, use)
            if path == "hot":
                self._box.door.slowed = why
            elif why:
                processes.hold(path, BUDGET)
            else:
                processes.release(path, BUDGET)

    async def look(self) -> None:
        """One look at what the box is short of, and what follows from it."""
        readings = await asyncio.get_running_loop().run_in_executor(self._reader, self._readings)
        before = self._box.ladder.standing
        now_ns, now_us = self._clock.monotonic_ns(), self._clock.now_us()
        now = next_standing(before, pressures_of(readings), now_ns=now_ns, now_us=now_us, pace=self._pace)
        self._box.ladder.standing = now
        if now.step != before.step:
            self._carry_out(now, before)
            self._tell(now, before)
        if self._unwritten and not self._background:
            self._background.begin(self._write(), "the writing of steps on the ladder")

    async def _look_always(self) -> None:
        every = round(LOOK_S / METER_S) if self._is_metered else 1
        for number in itertools.count():
            try:
                self.meter()
                if number % every == 0:
                    await self.look()
            except Exception:  # a defect here must neither end the steward nor leave what it holds standing for good
                log.exception("the steward failed by a defect and goes on")
            await asyncio.sleep(LOOK_S / every)

    def _carry_out(self, now: Standing, before: Standing) -> None:
        """Makes true what the step says. What the door, HTTP and the housekeeper have to leave they see at the ladder themselves."""
        is_down = now.step > before.step
        if now.step >= Step.BATCH_PAUSED:
            self._batch.hold(f"batch work is paused: {now.why}", urgent=now.step >= Step.ANALYSIS_SHED)
            self._box.processes.hold("cold", LADDER)
            if is_down and now.kind == "memory":
                self._batch.put_back("the memory is wanted")
        else:
            self._box.processes.release("cold", LADDER)
            self._batch.release()
        if is_down and now.step >= Step.RECORDS_AND_ALERTS:
            for query in self._queries.running():
                if not query.id.startswith(RULE_ID):
                    self._queries.cancel(query.id, f"the box is degraded to {now.step.words!r}: {now.why}")
        if is_down and now.step >= Step.ANALYSIS_SHED:
            self._queries.let_idle_go()

    def _tell(self, now: Standing, before: Standing) -> None:
        if now.step > before.step:
            log.warning("degraded from %r to %r: %s", before.step.words, now.step.words, now.why)
        else:
            log.warning("better again: from %r to %r", before.step.words, now.step.words)
        self._unwritten.append(now)
        data = {
            "step": int(now.step),
            "name": now.step.words,
            "since_us": now.since_us,
            "kind": now.kind,
            "why": now.why,
            "was": int(before.step),
            "was_name": before.step.words,
        }
        self._hub.publish(HEALTH, "ladder", data, None)

    async def _write(self) -> None:
        steps = list(self._unwritten)
        if await self._durable(partial(_note, steps=steps)):
            for _ in steps:
                self._unwritten.popleft()

    async def _settle_open(self) -> None:
        await self._durable(partial(_end_open, now_us=self._clock.now_us()))

    async def _durable(self, run: Callable[[Committer], None]) -> bool:
        """Whether it could be written; the next look tries again."""
        try:
            await asyncio.wrap_future(self._box.writer.call(run, at_once=True))
        except ApplianceError as e:
            log.debug("steps of the ladder are not written yet: %s", e)
            return False
        return True

    def _read(self) -> Readings:
        config = self._box.config
        return read(
            self._box.folder,
            disk_free_min=config.limits.disk_free_min,
            rss_bytes=resident_bytes(),
            rss_bytes_max=config.budget.hot.memory_bytes,
            writer_s=self._box.writer.behind_s(),
            rules_s=self._rules_s(),
        )

    def _shown(self, path: PathName) -> BudgetStatus:
        meter = self._meters[path]
        cpu, io, use = meter.rates()
        reasons = self._box.processes.reasons(path)
        budget = "it has used its budget" if BUDGET in reasons else ""
        ladder = f"the box is degraded to {self._box.ladder.step.words!r}" if LADDER in reasons else ""
        return BudgetStatus(
            path=path,
            cpu=round(cpu, 3),
            cpu_max=meter.budget.cpu,
            memory_bytes=use.memory_bytes,
            memory_bytes_max=meter.budget.memory_bytes,
            threads_max=meter.budget.threads,
            io_bytes_per_s=io,
            io_bytes_per_s_max=meter.budget.io_bytes,
            processes=use.count,
            held=self._box.door.slowed if path == "hot" else ladder or budget,
        )


def _meter(budget: HotBudget | ColdBudget | HybridBudget) -> _Meter:
    cpu = None if budget.cpu is None else Bucket(budget.cpu)
    io = None if budget.io_bytes is None else Bucket(float(budget.io_bytes))
    return _Meter(budget, deque(), cpu, io)


def _note(committer: Committer, *, steps: list[Standing]) -> None:
    with committer.store.transaction():
        ladder_table.note_steps(committer.store.connection, steps)


def _end_open(committer: Committer, *, now_us: int) -> None:
    if ladder_table.has_open(committer.store.connection):
        with committer.store.transaction():
            ladder_table.end_stretch(committer.store.connection, now_us)
