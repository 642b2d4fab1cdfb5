"""The housekeeper: two threads that keep the box tidy while it runs, and the only ones that write into the lake's folder.

One rolls what is due and removes replaced files, the other compacts in a process of its own. What they find out is
committed by the writer; a failure is said, waited out and tried again, and the records stay where they are meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from appliance.box import Box
from appliance.clock import Clock, day_name, day_of
from appliance.cold.compaction.plan import CompactionPlan, plan_compaction
from appliance.cold.compaction.run import CompactionRun
from appliance.cold.files import Publisher
from appliance.cold.lake import delete_replaced
from appliance.errors import ApplianceError, OutcomeUnknown
from appliance.hot.reader import HotReader
from appliance.records import fold
from appliance.roll.hot_rows import oldest_rows
from appliance.roll.plan import HotStream, RollStep, plan_roll, next_roll_ns
from appliance.roll.roller import HotRows, Roller

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 1.0
RETRY_S: Final = 15.0
"""After a failure; long enough for a full disk to be tended to, short enough for the hot store not to fill."""


@dataclass(frozen=True, slots=True)
class KeeperStatus:
    """What the housekeeper is doing; microseconds of the wall clock."""

    last_roll_us: int | None
    next_roll_us: int | None
    rolling: bool
    compacting: str | None
    """Stream and day under way."""
    failure: str | None
    """What went wrong last; None since it went well again."""


class Keeper:
    """Owns the two threads."""

    def __init__(self, box: Box, *, clock: Clock, leased: Callable[[], frozenset[str]], step: Callable[[str], None]) -> None:
        """``leased`` gives the paths of segments that a running query reads."""
        self._box = box
        self._clock = clock
        self._leased = leased
        config = box.config
        self._roller = Roller(Publisher(box.folder, step=step), node=config.node.name)
        self._compaction = CompactionRun(box.folder, node=config.node.name, options=config.compact, step=step)
        self._oldest_ns: dict[str, int] = {}
        self._started_ns = clock.monotonic_ns()
        self._wake = threading.Condition()
        self._stopping = False
        self._asked: set[str] = set()
        self._rolls_done = 0
        self._last_roll_us: int | None = None
        self._next_roll_us: int | None = None
        self._rolling = False
        self._compacting: str | None = None
        self._failures: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._loop, args=("roll", self._roll_due), name="roll", daemon=True),
            threading.Thread(target=self._loop, args=("compact", self._compact_due), name="compact", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after the step under way; a compaction is broken off, which costs nothing but its time."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._compaction.cancel()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def roll_now(self, streams: set[str] | None = None) -> None:
        """Asks for a roll of these streams, or of all, at once; returns without waiting."""
        with self._wake:
            self._asked |= streams if streams is not None else set(self._box.state.streams)
            self._wake.notify_all()

    def status(self) -> KeeperStatus:
        failure = next(iter(self._failures.values()), None)
        return KeeperStatus(self._last_roll_us, self._next_roll_us, self._rolling, self._compacting, failure)

    def _loop(self, name: str, work: Callable[[HotReader], None]) -> None:
        reader = self._box.reader()
        try:
            while not self._stopping:
                pause_s = LOOK_EVERY_S
                try:
                    work(reader)
                    self._failures.pop(name, None)
                except ApplianceError as e:
                    if not self._stopping:
                        log.warning("%s failed and is tried again in %g s: %s", name, RETRY_S, e)
                        self._failures[name] = f"{name} failed: {e}"
                        pause_s = RETRY_S
                with self._wake:
                    if not self._stopping and not (name == "roll" and self._asked):
                        self._wake.wait(pause_s)
        finally:
            reader.close()

    def _roll_due(self, reader: HotReader) -> None:
        asked, self._asked = self._asked, set()
        while not self._stopping:
            hot = self._look()
            plan = plan_roll(hot, options=self._box.config.roll, now_ns=self._clock.monotonic_ns(), asked=asked)
            if not plan:
                break
            for step in plan.steps:
                if self._stopping:
                    return
                self._roll(step, reader)
            asked = set()
        due = next_roll_ns(self._look(), options=self._box.config.roll)
        ahead_us = None if due is None else (due - self._clock.monotonic_ns()) // 1000
        self._next_roll_us = None if ahead_us is None else self._clock.now_us() + ahead_us
        self._tidy(reader)

    def _look(self) -> list[HotStream]:
        """The streams as the plan sees them; notes when hot rows were first seen."""
        now_ns = self._clock.monotonic_ns()
        found = []
        for key, state in self._box.state.streams.items():
            if not state.hot_rows:
                self._oldest_ns.pop(key, None)
                continue
            oldest = self._oldest_ns.setdefault(key, now_ns)
            found.append(HotStream(key, state.mark, state.last_seq, oldest))
        return found

    def _roll(self, step: RollStep, reader: HotReader) -> None:
        state = self._box.state.streams[step.stream]
        assert state.mark == step.mark, "nobody else moves the mark"
        self._rolling = True
        try:
            result = self._roller.build(
                step,
                folder=state.folder,
                identity=state.identity_columns(),
                rows=lambda s: HotRows(s.mark + 1, oldest_rows(state, reader, until=s.until), state.schema),
            )
            try:
                self._box.writer.call(lambda c: c.commit_roll(step.stream, result.segments, mark=result.mark_to)).result()
            except OutcomeUnknown:
                raise
            except ApplianceError:
                self._roller.discard(result)
                raise
        finally:
            self._rolling = False
        self._oldest_ns.pop(step.stream, None)
        self._last_roll_us = self._clock.now_us()
        log.debug("rolled %s: %d records into %d segments, %d bytes", step.stream, result.rows, len(result.segments), result.bytes)

    def _compact_due(self, reader: HotReader) -> None:
        if not self._box.config.compact.enabled:
            return
        while not self._stopping:
            plan = plan_compaction(self._box.state.streams.values(), options=self._box.config.compact, today=day_of(self._clock.now_us()))
            if plan is None:
                return
            self._compact(plan)

    def _compact(self, plan: CompactionPlan) -> None:
        state = self._box.state.get(plan.stream)
        assert state is not None
        self._compacting = f"{plan.stream} {day_name(plan.day)}"
        try:
            result = self._compaction.run(plan, state)
            try:
                done = self._box.writer.call(
                    lambda c: c.commit_compaction(
                        fold(plan.stream), plan.inputs, result.segments, clean_day=plan.day if plan.cleans else None, up_to_seq=plan.up_to_seq
                    )
                ).result()
            except OutcomeUnknown:
                raise
            except ApplianceError:
                self._compaction.discard(result)
                raise
            if not done:
                self._compaction.discard(result)
        finally:
            self._compacting = None

    def _tidy(self, reader: HotReader) -> None:
        """Removes replaced files that nobody reads any more."""
        gone = delete_replaced(
            self._box.folder,
            reader.replaced(),
            leased=self._leased(),
            keep_us=int(self._box.config.compact.replaced_keep_s * 1_000_000),
            now_us=self._clock.now_us(),
        )
        if gone:
            self._box.writer.call(lambda c: c.forget_replaced(gone)).result()
