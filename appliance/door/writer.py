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
from typing import Any, TypeVar

from appliance.clock import Clock
from appliance.door.commit import Committer
from appliance.door.group import Group
from appliance.errors import ApplianceError, OutcomeUnknown, RejectPayload, RetryLater
from appliance.hot.state import State, StreamState
from appliance.records import Receipt, Submission

log = logging.getLogger(__name__)
T = TypeVar("T")
GROUP_BYTES_MAX = 32 * 1024 * 1024
"""A transaction takes no more than this, so that its latency and its memory stay bounded."""
FULL_RETRY_S = 5
_FULL = ("disk is full", "disk quota")


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
        on_done: Callable[[Waiting], None],
    ) -> None:
        """``on_commit`` gets records by stream and the time of the commit in ns; ``on_done`` each submission that left the queue;
        ``on_fatal`` an error after which nothing may be written: the process should end and recover. All run in the writer's thread."""
        self._committer = committer
        self._clock = clock
        self._every_s = commit_every_s
        self._on_fatal = on_fatal
        self._on_commit = on_commit
        self._on_done = on_done
        self._queue: deque[Waiting | Task] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._failed: BaseException | None = None
        self.state: State = committer.first_state()
        self.progress_ns = clock.monotonic_ns()
        """When the loop last went round: what the watchdog is fed from."""
        self.commits = 0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, waiting: Waiting) -> None:
        """Queues a submission; the caller has checked the limits."""
        self._put(waiting)

    def call(self, run: Callable[[Committer], T]) -> Future[T]:
        """Runs something with the write connection between two groups; its changes are published after it."""
        future: Future[T] = Future()
        self._put(Task(run, future))
        return future

    def close(self, timeout_s: float = 60.0) -> None:
        """Commits what is waiting and ends the thread; later work is refused."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _put(self, item: Waiting | Task) -> None:
        with self._wake:
            if self._closing or self._failed is not None:
                item.future.set_exception(RetryLater("the appliance is stopping; try again when it has started", after_s=2))
                if isinstance(item, Waiting):
                    self._on_done(item)
                return
            self._queue.append(item)
            self._wake.notify_all()

    def _run(self) -> None:
        last_ns = 0
        while True:
            items = self._take(last_ns)
            self.progress_ns = self._clock.monotonic_ns()
            if items is None:
                return
            if not items:
                continue
            last_ns = self.progress_ns
            try:
                if isinstance(items[0], Task):
                    self._do(items[0])
                else:
                    self._commit([i for i in items if isinstance(i, Waiting)])
            except BaseException as e:  # noqa: BLE001 - whatever it is, nothing may be written after it
                self._fail(e, items)
                return

    def _take(self, last_ns: int) -> list[Waiting | Task] | None:
        """The next group or task; empty when the loop should only show that it lives, None at the end."""
        with self._wake:
            if not self._queue and not self._closing:
                self._wake.wait(0.5)
            if not self._queue:
                return None if self._closing else []
            if isinstance(self._queue[0], Task):
                return [self._queue.popleft()]
            pause_s = self._every_s - (self._clock.monotonic_ns() - last_ns) / 1e9
            while pause_s > 0 and not self._closing:
                self._wake.wait(pause_s)
                pause_s = self._every_s - (self._clock.monotonic_ns() - last_ns) / 1e9
            group: list[Waiting | Task] = []
            size = 0
            while self._queue and isinstance(item := self._queue[0], Waiting) and (not group or size + item.bytes <= GROUP_BYTES_MAX):
                group.append(self._queue.popleft())
                size += item.bytes
            return group

    def _do(self, task: Task) -> None:
        try:
            result = task.run(self._committer)
        except ApplianceError as e:
            task.future.set_exception(e)
            return
        except sqlite3.Error as e:
            if not _is_full(e):
                raise
            task.future.set_exception(RetryLater(f"the disk is full: {e}", after_s=FULL_RETRY_S))
            return
        self._publish()
        task.future.set_result(result)

    def _commit(self, waiting: list[Waiting]) -> None:
        group: Group = self._committer.new_group()
        taken: list[Waiting] = []
        for item in waiting:
            try:
                group.add(item.submission)
            except RejectPayload as e:
                self._on_done(item)
                item.future.set_exception(e)
            else:
                taken.append(item)
        if not taken:
            return
        try:
            receipts, counts = self._committer.commit(group)
        except sqlite3.OperationalError as e:
            if not _is_full(e):
                raise
            for item in taken:
                self._on_done(item)
                item.future.set_exception(RetryLater(f"the disk is full: {e}", after_s=FULL_RETRY_S))
            return
        self.commits += 1
        self._publish()
        self._on_commit(counts, self._clock.monotonic_ns())
        for item, receipt in zip(taken, receipts, strict=True):
            self._on_done(item)
            item.future.set_result(receipt)

    def _publish(self) -> None:
        changed: Mapping[str, StreamState] = self._committer.take_changes()
        if changed:
            self.state = State({**self.state.streams, **changed}, self.state.version + 1)

    def _fail(self, error: BaseException, items: list[Waiting | Task]) -> None:
        """An error that leaves it unknown what is on disk: nobody gets an acknowledgement, the process has to recover."""
        with self._wake:
            self._failed = error
            left = [*items, *self._queue]
            self._queue.clear()
        log.critical("the writer has stopped: %s: %s", type(error).__name__, error)
        for item in left:
            if not item.future.done():
                item.future.set_exception(OutcomeUnknown("the hot store could not be written; the appliance restarts to recover", after_s=2))
            if isinstance(item, Waiting):
                self._on_done(item)
        self._on_fatal(error)


def _is_full(error: sqlite3.Error) -> bool:
    return any(words in str(error) for words in _FULL) or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL


