"""The housekeeper: two threads that keep the box tidy while it runs, and the only ones that write into the lake's folder.

One rolls what is due and removes replaced files, the other compacts in a process of its own. What they find out is
committed by the writer; a failure is said, waited out and tried again, and the records stay where they are meanwhile.
"""

from __future__ import annotations

import logging
import resource
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from appliance.box import Box
from appliance.clock import US_PER_S, Clock, day_name
from appliance.cold import lake
from appliance.cold.compaction.driver import CompactionFailure, CompactionResult, CompactionTask, Trouble, compact, discard
from appliance.cold.compaction.plan import CompactionPlan, Day, Waiting, observe, plan_compaction
from appliance.cold.files import Publisher
from appliance.cold.lake import Damage
from appliance.cold.retention.plan import RetentionPlan
from appliance.door.lake_commits import commit_compaction, commit_purged
from appliance.errors import ApplianceError, OutcomeUnknown, RetryLater
from appliance.hot.reader import HotReader
from appliance.observe.costs import Spent
from appliance.observe.jobs import Finished
from appliance.observe.ladder import Step
from appliance.records import fold
from appliance.roll.deleting import Past, follow_deletions
from appliance.roll.expiring import Holds, expire
from appliance.roll.hot_rows import oldest_run
from appliance.roll.plan import HotStream, RollStep, next_roll_ns, plan_roll
from appliance.roll.roller import HotRows, Roller

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 1.0
EXPIRE_EVERY_S: Final = 60.0
"""Between two looks for days that go; when one has removed something the next look comes at once."""
RETRY_S: Final = 15.0
"""After a failure; long enough for a full disk to be tended to, short enough for the hot store not to fill."""


@dataclass(frozen=True, slots=True)
class KeeperStatus:
    """What the housekeeper is doing; microseconds of the wall clock."""

    last_roll_us: int | None
    next_roll_us: int | None
    rolling: bool
    compacting: str | None
    """Stream and days under way."""
    failure: str | None
    """What went wrong last; None since it went well again."""
    retention: RetentionPlan = field(default_factory=RetentionPlan)
    """What the last look removed, and what should go and can't."""


class Keeper:
    """Owns the two threads."""

    def __init__(
        self,
        box: Box,
        *,
        clock: Clock,
        leased: Callable[[], frozenset[str]],
        put_aside: Callable[[Damage], None],
        step: Callable[[str], None],
        finished: Callable[[Finished], None] = lambda _finished: None,
        past: Past,
        holds: Holds = dict,
        other_bytes: Callable[[], int] = int,
    ) -> None:
        """``leased`` gives the paths of segments that a running query reads; ``put_aside`` takes a damaged one out of service;
        ``finished`` is told of each compaction, and returns at once.

        ``holds`` says what still needs which days, ``other_bytes`` what else counts towards the disk of history.
        """
        self._box = box
        self._clock = clock
        self._leased = leased
        self._put_aside = put_aside
        self._step = step
        self._finished = finished
        self._past = past
        self._holds = holds
        self._other_bytes = other_bytes
        self._expired_ns: int | None = None
        self._retention = RetentionPlan()
        self._roller = Roller(Publisher(box.folder, owner="roll", step=step), node=box.config.node.name)
        self._waiting: dict[Day, Waiting] = {}
        self._oldest_ns: dict[str, int] = {}
        self._started_ns = clock.monotonic_ns()
        self._wake = threading.Condition()
        self._stopping = False
        self._last_roll_us: int | None = None
        self._next_roll_us: int | None = None
        self._rolling = False
        self._rolls = self._compactions = 0
        self._compacting: str | None = None
        self._failures: dict[str, str] = {}
        self.spent = Spent()
        """What rolls have used since the start, their files without what the hot store writes for them."""
        self._threads = [
            threading.Thread(target=self._loop, args=("roll", self._roll_due), name="roll", daemon=True),
            threading.Thread(target=self._loop, args=("compact", self._tend_lake), name="compact", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after the step under way; a compaction is broken off, which costs nothing but its time."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def status(self) -> KeeperStatus:
        failure = next(iter(self._failures.values()), None)
        return KeeperStatus(self._last_roll_us, self._next_roll_us, self._rolling, self._compacting, failure, self._retention)

    def writings(self) -> tuple[int, int]:
        """By thread, how often it has begun and ended to write files into the lake: odd while it does. From any thread."""
        return self._rolls, self._compactions

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
                except Exception as e:  # a defect here must neither stop the rolls for good nor the service
                    log.exception("%s failed by a defect and is tried again in %g s", name, RETRY_S)
                    self._failures[name] = f"{name} failed by a defect: {type(e).__name__}: {e}"
                    pause_s = RETRY_S
                with self._wake:
                    self._wake.wait_for(lambda: self._stopping, pause_s)
        finally:
            reader.close()

    def _roll_due(self, reader: HotReader) -> None:
        while not self._stopping:
            hot = self._look()
            plan = plan_roll(hot, options=self._box.config.roll, now_ns=self._clock.monotonic_ns())
            if not plan:
                break
            for step in plan.steps:
                if self._stopping:
                    return
                self._roll(step, reader)
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
        before_s = _thread_cpu_s()
        self._rolls += 1
        try:
            result = self._roller.build(
                step,
                folder=state.folder,
                identity=state.identity_columns(),
                rows=lambda s: HotRows(*oldest_run(state, reader, until=s.until), state.schema),
            )
            try:
                self._box.commit_roll(step.stream, result.segments, mark=result.mark_to)
            except OutcomeUnknown:
                raise
            except ApplianceError:
                self._roller.discard(result)
                raise
        finally:
            self._rolls += 1
            self._rolling = False
        self.spent += Spent(_thread_cpu_s() - before_s, written=result.bytes, rows=result.rows, runs=1)
        self._oldest_ns.pop(step.stream, None)
        self._last_roll_us = self._clock.now_us()
        log.debug("rolled %s: %d records into %d segments, %d bytes", step.stream, result.rows, len(result.segments), result.bytes)

    def _tend_lake(self, reader: HotReader) -> None:
        """What makes the lake small: compaction, what follows from deletions, retention. While records queue up nothing is begun; while
        batch work is paused nothing but retention, which gives room back."""
        if self._box.door.is_behind:
            return
        if self._box.ladder.step < Step.BATCH_PAUSED:
            self._compact_due()
            follow_deletions(self._box, self._past, reader, cancelled=lambda: self._stopping)
        now_ns = self._clock.monotonic_ns()
        if self._expired_ns is None or now_ns - self._expired_ns >= EXPIRE_EVERY_S * 1e9:
            self._retention = expire(self._box, reader, holds=self._holds, other_bytes=self._other_bytes)
            self._expired_ns = None if self._retention else now_ns

    def _compact_due(self) -> None:
        """Plans, carries out in the process, commits each outcome before the next; nothing is due most of the time."""
        box, options = self._box, self._box.config.compact
        streams = box.state.streams.values()
        self._waiting = observe(self._waiting, streams, now_ns=self._clock.monotonic_ns())
        plans = plan_compaction(
            streams, options=options, waiting=self._waiting, now_us=self._clock.now_us(), now_ns=self._clock.monotonic_ns()
        )
        if not plans:
            return
        self._compactions += 1
        outcomes = compact(
            [self._task(plan) for plan in plans],
            root=box.folder,
            node=box.config.node.name,
            clock=self._clock,
            memory_max_bytes=options.memory_max,
            disk_free_min_bytes=box.config.limits.disk_free_min,
            step=self._step,
            cancelled=lambda: self._stopping or self._must_make_room(),
            must_pause=lambda: box.door.is_behind or box.processes.is_held("cold"),
            progress=self._note_progress,
            watched=lambda pid: box.processes.watched("cold", pid, obeys=True),
        )
        try:
            for outcome in outcomes:
                self._settle(outcome)
        finally:
            self._compactions += 1
            self._compacting = None

    def _must_make_room(self) -> bool:
        """Whether the memory that a compaction takes is wanted: one that stands still would keep it."""
        standing = self._box.ladder.standing
        return standing.step >= Step.BATCH_PAUSED and standing.kind == "memory"

    def _task(self, plan: CompactionPlan) -> CompactionTask:
        state = self._box.state.get(plan.stream)
        assert state is not None
        return CompactionTask(plan, state.schema, state.identity_columns(), state.folder, state.deletions)

    def _note_progress(self, plan: CompactionPlan, rows: int) -> None:
        self._compacting = f"{plan.stream} {plan.place}, {rows * 100 // plan.rows} %"

    def _settle(self, outcome: CompactionResult | CompactionFailure) -> None:
        """Commits a result, or says what went wrong; a damaged input is set aside."""
        plan, box = outcome.plan, self._box
        if isinstance(outcome, CompactionFailure):
            if outcome.trouble is Trouble.DAMAGED and outcome.damaged is not None:
                self._put_aside(Damage(outcome.damaged, outcome.reason))
            elif outcome.trouble is not Trouble.CANCELLED:
                raise RetryLater(f"{plan}: {outcome.trouble}: {outcome.reason}", after_s=int(RETRY_S))
            return
        if outcome.untouched:
            box.writer.call(lambda c: commit_purged(c, fold(plan.stream), plan.inputs, purged=outcome.purged)).result()
            return
        clean = range(plan.day, plan.day + plan.days) if plan.dedup else None
        try:
            done = box.writer.call(
                partial(
                    commit_compaction,
                    key=fold(plan.stream),
                    inputs=plan.inputs,
                    outputs=outcome.outputs,
                    clean_days=clean,
                    up_to_seq=plan.mark,
                    changes=outcome.changes,
                )
            ).result()
        except OutcomeUnknown:
            raise
        except ApplianceError:
            discard(box.folder, outcome)
            raise
        if not done:
            discard(box.folder, outcome)
        now_us = self._clock.now_us()
        self._finished(
            Finished(
                kind="compaction",
                name=f"{plan.stream} {day_name(plan.day)}",
                started_us=now_us - round(outcome.wall_s * US_PER_S),
                ended_us=now_us,
                words=f"{len(plan.inputs)} segments into {len(outcome.outputs)}",
                rows=sum(s.rows for s in outcome.outputs),
                cpu_s=outcome.cpu_s,
                read_bytes=sum(s.bytes for s in plan.inputs),
                written_bytes=outcome.bytes,
            )
        )
        log.info("compacted %s into %d, %d bytes, in %.1f s", plan, len(outcome.outputs), outcome.bytes, outcome.wall_s)

    def _tidy(self, reader: HotReader) -> None:
        """Removes replaced files that nobody reads any more; a crash between the two steps only repeats the first."""
        replaced = {segment.path: (segment.id, ended_us) for segment, ended_us in reader.replaced()}
        paths = lake.deletable(
            [lake.Replaced(path, ended_us) for path, (_, ended_us) in replaced.items()],
            leases=self._leased(),
            keep_s=self._box.config.compact.replaced_keep_s,
            now_us=self._clock.now_us(),
        )
        if paths:
            lake.delete(self._box.folder, paths)
            self._box.writer.call(lambda c: c.forget_replaced([replaced[path][0] for path in paths])).result()


def _thread_cpu_s() -> float:
    """Of the thread that asks."""
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime
