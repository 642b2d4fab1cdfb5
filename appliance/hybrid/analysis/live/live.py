"""The wiring of the first pass: made once a start, told the config, started and stopped with the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import Final, TypeVar

import msgspec

from appliance.batching.work import Work
from appliance.box import Box, no_step
from appliance.clock import US_PER_S
from appliance.config import Config
from appliance.errors import RetryLater
from appliance.hybrid.analysis.live.follower import Around, Follower, Takes
from appliance.hybrid.analysis.live.shelf import Shelf
from appliance.hybrid.analysis.live.spending import Spending
from appliance.hybrid.analysis.live.watch import Watch
from appliance.hybrid_options import analyses
from appliance.observe.analysis import LearningRow
from appliance.observe.status import Problem
from appliance.serving.history import History
from appliance.serving.source import pinned_reader

T = TypeVar("T")
Known = tuple[str, str, int | None]
"""Stream, template, event time of its newest text."""
PASSED_SAID_US: Final = 600 * US_PER_S
"""For so long it is said that records were passed over."""
ANSWER_S: Final = 1.0
"""How long whoever asks waits for the round under way."""


class Live:
    """A part of hybrid work (``hybrid.side.Part``): follows the records of a running service."""

    def __init__(self, box: Box, config: Config, *, history: History, incidents: Takes, step: Callable[[str], None] = no_step) -> None:
        """``incidents`` takes what is unusual, in the follower's thread."""
        self._box, self._config = box, config
        shelf = Shelf(box.writer, lambda: pinned_reader(box.folder), clock=box.clock, step=step)
        spending = Spending(box.clock, box.latencies, box.costs)
        around = Around(lambda: box.state, history.rows, box.clock, box.ladder, spending, step)
        self.follower: Final = Follower(around, shelf, incidents, queue_max=config.analysis.queue_max)
        self._learning: tuple[LearningRow, ...] = ()
        self._nbytes = 0
        self._templates: tuple[Known, ...] = ()

    async def start(self) -> None:
        """Takes up what was left; what has come since is scored first."""
        self.reload(self._config)
        self.follower.start()
        self._box.door.listeners.append(self.follower.committed_records)

    async def stop(self) -> None:
        """Ends, with everything stored."""
        await asyncio.to_thread(self.follower.stop)

    def reload(self, config: Config) -> None:
        """From now on these analyses; from any thread."""
        self._config = config
        self.follower.configure(analyses(config.workloads, config.analysis), queue_max=config.analysis.queue_max)

    def works(self, config: Config) -> Sequence[Work]:
        """Nothing."""
        del config
        return ()

    def call(self, workload: str, run: Callable[[Watch], T]) -> Future[T | None]:
        """Runs something with all that is known of an analysis, between two rounds; None where there is no such analysis."""

        def asked() -> T | None:
            watch = self.follower.watches.get(workload)
            return None if watch is None else run(watch)

        return self.follower.call(asked)

    def learning(self) -> tuple[LearningRow, ...]:
        """What is followed, and how far it has been learned; blocks for the round under way, else as it was when this was asked last."""
        self._look()
        return self._learning

    def memory(self) -> int:
        """Bytes of all that is known; likewise."""
        self._look()
        return self._nbytes

    def templates(self) -> tuple[Known, ...]:
        """The templates of all texts that are followed; blocks for the round under way, else as they were when this was asked last."""

        def look() -> None:
            found = {(stream, t.text): t.last_us for watch in self.follower.watches.values() for stream, t in watch.templates()}
            self._templates = tuple((stream, text, last_us) for (stream, text), last_us in found.items())

        self._ask(look)
        return self._templates

    def problems(self) -> Sequence[Problem]:
        """What is degraded; from any thread."""
        found: list[Problem] = []
        f, now_us = self.follower, self._box.clock.now_us()
        if f.failed is not None:
            found.append(Problem("CRIT", f"nothing is analysed: {f.failed}", now_us, "alerts and queries go on; start the service again"))
        for watch in tuple(f.watches.values()):
            found += [
                Problem("WARN", f"{stream} is not analysed by {watch.name}: {why}", now_us, "the other streams go on")
                for stream, why in tuple(watch.aside.items())
            ]
        if f.unsaved is not None:
            hint = "it is kept in memory and stored as soon as that works"
            found.append(Problem("WARN", f"what analysis has learned can't be stored: {f.unsaved}", now_us, hint))
        if f.passed_us is not None and now_us - f.passed_us < PASSED_SAID_US:
            what = "records were passed over by analysis: more came than it could score"
            found.append(Problem("WARN", what, f.passed_us, "appliance analysis list says how many; see [analysis] queue_max"))
        return found

    def _look(self) -> None:
        def look() -> None:
            watches = self.follower.watches.values()
            rows = [row for watch in watches for row in watch.learning()]
            self._learning = tuple(msgspec.structs.replace(row, behind_s=self.follower.behind_s(row.stream)) for row in rows)
            self._nbytes = sum(watch.nbytes for watch in watches)

        self._ask(look)

    def _ask(self, look: Callable[[], None]) -> None:
        try:
            self.follower.call(look).result(ANSWER_S)
        except (RetryLater, NotInTime):
            return  # the last look stays; why nothing is scored is among the problems
