"""The wiring of batch work: made once a start, told the config, started and stopped with the service. On the event loop."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from appliance.background import begin_from_thread
from appliance.batching import jobs
from appliance.batching.days import Days
from appliance.batching.desk import Desk
from appliance.batching.kept import Keeping
from appliance.batching.notices import HandOver
from appliance.batching.queue import JobQueue
from appliance.batching.run_meter import RunMeter
from appliance.batching.runner import Processes
from appliance.batching.shelf import Shelf
from appliance.batching.work import Work
from appliance.box import Box
from appliance.clock import Clock
from appliance.config import Config
from appliance.errors import ApplianceError
from appliance.hot.reader import HotReader
from appliance.observe.jobs import Finished, RunRow
from appliance.observe.status import Problem
from appliance.serving.source import Store

log = logging.getLogger(__name__)
MakeWorks = Callable[[Config], Sequence[Work]]


class Batch:
    """Everything about batch work of a running service."""

    def __init__(
        self,
        box: Box,
        config: Config,
        *,
        store: Store,
        reader: Callable[[], AbstractContextManager[HotReader]],
        clock: Clock,
        publish: Callable[[str, Mapping[str, Any]], None],
        elsewhere: Callable[[], Sequence[RunRow]],
        step: Callable[[str], None],
        make: Sequence[MakeWorks] = (),
        hand_over: HandOver,
    ) -> None:
        """Blocks for the hot store. ``publish`` takes an event and its data; ``make`` are the makers of further work."""
        self._box = box
        self._config = config
        self._step = step
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shelf = Shelf(call=box.writer.call, reader=reader, step=step, history_max=config.batch.history_max, hand_over=hand_over)
        self._shelf.load()
        Keeping(box, step=step).tidy(self._shelf.runs)
        self._meter = RunMeter(box.latencies, box.costs)
        self._processes = Processes(data_dir=box.folder, clock=clock, store=store, jobs_max=config.batch.jobs_max, started=box.processes)
        self.queue = JobQueue(
            shelf=self._shelf,
            processes=self._processes,
            days=Days(state=lambda: box.state, reader=reader, clock=clock),
            options=config.batch,
            zone=config.node.timezone,
            clock=clock,
            chance=random.Random(),  # noqa: S311 - spreads what is tried again
            publish=publish,
            step=step,
            meter=self._meter,
        )
        self.desk = Desk(
            self.queue,
            folder=box.folder,
            channels=lambda: tuple(self._config.channels),
            elsewhere=elsewhere,
            clock=clock,
            jobs_max=config.batch.jobs_max,
        )

    def start(self) -> None:
        """Begins; on the event loop."""
        self._loop = asyncio.get_running_loop()
        self.queue.start(self._works())

    def reload(self, config: Config) -> None:
        """From now on the work of this config; from any thread. Limits of [batch] stay as they were at the start."""
        self._config = config
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: self.queue.configure(self._works()))

    async def stop(self) -> None:
        """Ends what is under way, which is done again at the next start, and all processes."""
        await self.queue.stop()
        await self._processes.close()

    def leased(self) -> frozenset[str]:
        """Files that batch work reads now: they must stay. From any thread."""
        return self._processes.leased()

    def problems(self) -> tuple[Problem, ...]:
        """What is degraded; from any thread."""
        return self.queue.problems

    def hold(self, why: str, *, urgent: bool = False) -> None:
        """Begins nothing until ``release``; what is under way is held by its processes. On the event loop, as the two that follow."""
        self.queue.hold(why, urgent=urgent)

    def put_back(self, why: str) -> None:
        """Ends what is under way, to be done again, and all processes that wait: their memory is wanted."""
        for under_way in self.queue.under_way.values():
            under_way.leave(why)
        self._processes.let_idle_go()

    def release(self) -> None:
        """Goes on."""
        self.queue.hold("")

    def counts(self) -> tuple[int, int, int]:
        """Runs that wait, runs under way, and those that have failed for good since the start; from any thread."""
        running = len(self.queue.under_way)
        return max(0, len(self._shelf.runs) - running), running, self.queue.failed_total

    def note(self, finished: Finished) -> None:
        """Housekeeping for the history; from any thread. What can't be stored now is left out."""
        self._meter.kept_house(finished)
        if self._loop is not None:
            row = RunRow(
                id=0,
                name=finished.name,
                kind=finished.kind,
                reason="housekeeping",
                state="failed" if finished.error else "done",
                due_us=finished.started_us,
                queued_us=finished.started_us,
                started_us=finished.started_us,
                ended_us=finished.ended_us,
                words=finished.words,
                error=finished.error,
                rows=finished.rows,
                cpu_s=finished.cpu_s,
                read_bytes=finished.read_bytes,
                written_bytes=finished.written_bytes,
            )
            begin_from_thread(self._loop, self._record(row), f"the history of {row.name}")

    async def _record(self, row: RunRow) -> None:
        try:
            await self._shelf.record(row)
        except ApplianceError as e:
            log.debug("%s is not in the history: %s", row.name, e)

    def _works(self) -> list[Work]:
        found = [*jobs.works(self._config, self._box, step=self._step)]
        for make in self._make:
            found += make(self._config)
        names: set[str] = set()
        for work in found:
            assert work.name not in names, f"two pieces of batch work are called {work.name!r}"
            names.add(work.name)
        return found
