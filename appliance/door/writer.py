"""The writer: one thread, the only holder of the write connection; others hand it work and await it.

It takes what is waiting, at most every ``commit_every``, and commits it in one transaction; acknowledgements are released
after that, and a new ``State`` is published before them, so whoever has an acknowledgement also sees the record.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from appliance.clock import Clock
from appliance.door.commit import Committer
from appliance.door.group import Group
from appliance.errors import OutcomeUnknown, RejectPayload, RetryLater
from appliance.hot.state import State, StreamState
from appliance.hot.store import Fate, fate_of
from appliance.observe.latency import LatencyWindow
from appliance.records import Receipt, Submission

log = logging.getLogger(__name__)
T = TypeVar("T")
GROUP_BYTES_MAX = 32 * 1024 * 1024
"""A transaction takes no more than this, so that its latency and its memory stay bounded."""
FULL_RETRY_S = 5
IDLE_S = 0.5
"""How often the loop goes round when there is nothing to do, to show that it lives."""


@dataclass(slots=True)
class Waiting:
    """A submission in the queue."""

    submission: Submission
    bytes: int
    future: Future[Receipt]
    since_ns: int


@dataclass(slots=True)
class Task:
    """Something else that needs the write connection: a roll's end, a compaction's, a look at the books."""

    run: Callable[[Committer], Any]
    future: Future[Any]


class Writer:
    """Owns the thread. ``state`` is the newest published picture; reading it needs no lock."""

    def __init__(
        self,
        committer: Committer,
        *,
        clock: Clock,
        commit_every_s: float,
        on_fatal: Callable[[BaseException], None],
        on_commit: Callable[[Mapping[str, int], int], None],
        on_done: Callable[[Waiting, Receipt | None], None],
    ) -> None:
        """``on_commit`` gets records by stream and the time of the commit in ns; ``on_done`` each submission that left the queue, with its
        receipt or None when it was not taken; ``on_fatal`` an error after which nothing may be written: the process should end and
        recover. All run in the writer's thread, but for submissions that come after the end."""
        self._committer = committer
        self._clock = clock
        self._every_s = commit_every_s
        self._on_fatal = on_fatal
        self._on_commit = on_commit
        self._on_done = on_done
        self._queue: deque[Waiting | Task] = deque()
        self._urgent: deque[Task] = deque()
        """What goes before the queue."""
        self._was_urgent = False
        """What was done last: what is urgent doesn't hold up records that are due."""
        self._wake = threading.Condition()
        self._closing = False
        self.failed: BaseException | None = None
        """The error after which nothing is written any more."""
        self.state: State = committer.first_state()
        self.on_publish: list[Callable[[State], None]] = []
        """Told each newer picture, in the writer's thread and before any acknowledgement of what is in it: rolls, compactions and
        deletions besides records. Must return at once; one that raises is told no more."""
        self.progress_ns = clock.monotonic_ns()
        """When the loop last went round: what the watchdog is fed from."""
        self.commits = 0
        self.commit_latency = LatencyWindow()
        """How long the transactions took."""
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """From now on what is queued is done."""
        self._thread.start()

    def put(self, waiting: Waiting) -> None:
        """Queues a submission; the caller has checked the limits."""
        if not self._put(waiting):
            self._on_done(waiting, None)
            waiting.future.set_exception(_stopping())

    def call(self, run: Callable[[Committer], T], *, at_once: bool = False) -> Future[T]:
        """Runs something with the write connection between two groups; its changes are published after it.

        In the order of arrival, or ``at_once``: before what is queued, without waiting for the pace of the commits. What it raises is
        the future's, unless it leaves unknown what is on disk.
        """
        task = Task(run, Future())
        task.future.set_running_or_notify_cancel()
        if not self._put(task, at_once=at_once):
            task.future.set_exception(_stopping())
        return task.future

    def behind_s(self) -> float:
        """For how long the oldest submission has waited, or the transaction under way goes on; from any thread."""
        now_ns = self._clock.monotonic_ns()
        with self._wake:
            waiting = next((item for item in self._queue if isinstance(item, Waiting)), None)
        since_ns = now_ns if waiting is None else waiting.since_ns
        return max(0, now_ns - since_ns, now_ns - self.progress_ns - round(IDLE_S * 1e9)) / 1e9

    def close(self, timeout_s: float = 60.0) -> None:
        """Commits what is waiting and ends the thread; later work is refused. Raises ``RetryLater`` when it has not ended in time."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise RetryLater(f"the writer is still at work after {timeout_s:g} s; the disk may hang")
        self._refuse(self._take_all(), _stopping)

    def _put(self, item: Waiting | Task, *, at_once: bool = False) -> bool:
        with self._wake:
            if self._closing or self.failed is not None:
                return False
            if at_once or not self._queue:
                self._wake.notify_all()
            if at_once and isinstance(item, Task):
                self._urgent.append(item)
            else:
                self._queue.append(item)
            return True

    def _take_all(self) -> list[Waiting | Task]:
        with self._wake:
            left = [*self._urgent, *self._queue]
            self._urgent.clear()
            self._queue.clear()
            return left

    def _refuse(self, items: list[Waiting | Task], error: Callable[[], Exception]) -> None:
        for item in items:
            if not item.future.done():
                if isinstance(item, Waiting):
                    self._on_done(item, None)
                item.future.set_exception(error())

    def _run(self) -> None:
        last_ns = 0
        while True:
            items = self._take(last_ns)
            self.progress_ns = self._clock.monotonic_ns()
            if items is None:
                return
            if not items:
                continue
            try:
                if isinstance(items[0], Task):
                    self._do(items[0])
                else:
                    last_ns = self.progress_ns
                    self._commit([i for i in items if isinstance(i, Waiting)])
                self._committer.store.checkpoint_if_due()
            except BaseException as e:  # noqa: BLE001 - whatever it is, nothing may be written after it
                self._fail(e, items)
                return

    def _take(self, last_ns: int) -> list[Waiting | Task] | None:
        """The next group or task; empty when the loop should only show that it lives, None at the end."""
        with self._wake:
            if not (self._queue or self._urgent or self._closing):
                self._wake.wait(IDLE_S)
            if not (self._queue or self._urgent):
                return None if self._closing else []
            is_task = not self._queue or isinstance(self._queue[0], Task)
            pause_s = 0.0 if is_task else self._every_s - (self._clock.monotonic_ns() - last_ns) / 1e9
            if pause_s > 0 and not (self._urgent or self._closing):
                self._wake.wait(pause_s)  # only what is urgent or ``close`` wakes it: the queue is not empty
            self._was_urgent = bool(self._urgent) and (not self._was_urgent or not self._queue or pause_s > 0)
            if self._was_urgent:
                return [self._urgent.popleft()]
            if is_task:
                return [self._queue.popleft()]
            group: list[Waiting | Task] = []
            size = 0
            while self._queue:
                item = self._queue[0]
                if isinstance(item, Task):
                    break
                if group and size + item.bytes > GROUP_BYTES_MAX:
                    break
                group.append(self._queue.popleft())
                size += item.bytes
            return group

    def _do(self, task: Task) -> None:
        try:
            result = task.run(self._committer)
        except Exception as e:
            if not self._is_harmless(e):
                raise
            task.future.set_exception(_worded(e))
            return
        self._publish()
        task.future.set_result(result)

    def _commit(self, waiting: list[Waiting]) -> None:
        """One transaction. When it breaks and not for the disk, each submission is committed alone: only those at fault get the error."""
        try:
            group, taken = self._laid(waiting)
            start_ns = self._clock.monotonic_ns()
            receipts, counts = self._committer.commit(group) if taken else ([], {})
        except Exception as e:
            if not self._is_harmless(e):
                raise
            if len(waiting) == 1 or isinstance(_worded(e), RetryLater):
                self._refuse([*waiting], partial(_worded, e))
                return
            for item in waiting:
                if not item.future.done():
                    self._commit([item])
            return
        if not taken:
            return
        now_ns = self._clock.monotonic_ns()
        self.commits += 1
        self.commit_latency.add((now_ns - start_ns) / 1e6, at_ns=now_ns)
        self._publish()
        self._on_commit(counts, now_ns)
        for item, receipt in zip(taken, receipts, strict=True):
            self._on_done(item, receipt)
            item.future.set_result(receipt)

    def _laid(self, waiting: list[Waiting]) -> tuple[Group, list[Waiting]]:
        group = self._committer.new_group()
        taken: list[Waiting] = []
        for item in waiting:
            try:
                group.add(item.submission)
            except RejectPayload as e:
                self._refuse([item], partial(_worded, e))
            else:
                taken.append(item)
        return group, taken

    def _is_harmless(self, error: Exception) -> bool:
        """Whether everything, on disk and in memory, is as it was before the work that raised this."""
        return self._committer.is_whole and not (isinstance(error, sqlite3.Error) and fate_of(error) is Fate.UNKNOWN)

    def _publish(self) -> None:
        version = self.state.version + 1
        changed: Mapping[str, StreamState] = self._committer.take_changes()
        derived = self._committer.take_derived(version)
        if changed or derived is not None:
            views, used = (self.state.views, self.state.used) if derived is None else derived
            self.state = State({**self.state.streams, **changed}, version, views, used)
            for listener in list(self.on_publish):
                try:
                    listener(self.state)
                except Exception:
                    log.exception("a listener of the writer failed and is told no more")
                    self.on_publish.remove(listener)

    def _fail(self, error: BaseException, items: list[Waiting | Task]) -> None:
        """An error that leaves it unknown what is on disk: nobody gets an acknowledgement, the process has to recover."""
        with self._wake:
            self.failed = error
        log.critical("the writer has stopped: %s: %s", type(error).__name__, error)
        self._refuse([*items, *self._take_all()], _unknown)
        self._on_fatal(error)


def _worded(error: Exception) -> Exception:
    """What the one who waits is told."""
    if isinstance(error, sqlite3.Error) and fate_of(error) is Fate.PASSING:
        return RetryLater(f"the hot store can't be written now: {error}", after_s=FULL_RETRY_S)
    return error


def _stopping() -> RetryLater:
    return RetryLater("the appliance is stopping; try again when it has started", after_s=2)


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown("the hot store could not be written; the appliance restarts to recover", after_s=2)
