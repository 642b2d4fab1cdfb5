"""The front of the door: takes submissions from any thread or the event loop, within bounds, and returns receipts.

It refuses with ``RetryLater`` what it can't take now (too much waiting, too little disk, stopping) and never takes a part of
a submission. Sources that can wait look at ``is_behind`` and pause reading.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Lock

from appliance.clock import Clock
from appliance.door.writer import Waiting, Writer
from appliance.errors import ApplianceError, RetryLater
from appliance.observe.latencies import INGEST, Latencies
from appliance.observe.latency import LatencyWindow
from appliance.observe.rates import RateHistory
from appliance.records import Receipt, Submission

log = logging.getLogger(__name__)
DISK_LOOK_NS = 500_000_000
"""The free space is looked at this often."""
INODES_FREE_MIN = 64
ALL = ""
"""The key of ``rates`` that counts every stream."""


class Door:
    """Admission and acknowledgement; safe to use from any thread."""

    def __init__(self, *, folder: Path, clock: Clock, inflight_bytes_max: int, disk_free_min: int) -> None:
        self._folder = folder
        self._clock = clock
        self._disk_free_min = disk_free_min
        self._disk_looked_ns = -DISK_LOOK_NS
        self._disk_problem: str | None = None
        self._lock = Lock()
        self._writer: Writer | None = None
        self.inflight_bytes = 0
        """Waiting for the writer."""
        self.inflight_bytes_max = inflight_bytes_max
        self.latency = LatencyWindow()
        """Received to acknowledged, by submission."""
        self.latencies = Latencies()
        """What is kept of it, and of what else takes its time."""
        self._visible_ns = 0
        """When the newest commit could be seen by queries."""
        self.rates = RateHistory()
        """Records committed, by stream and under ``ALL``."""
        self.totals: dict[str, int] = {}
        """Records committed since the start, by kind of source."""
        self.rejected: dict[str, int] = {}
        """Records refused and kept as dead letters since the start, by kind of source."""
        self.slowed = ""
        """Why less is to be taken in than could be; empty: nothing keeps it back. Set by the steward."""
        self.listeners: list[Callable[[Mapping[str, int]], None]] = []
        """Told after each commit, in the writer's thread, the records by stream; they must return at once."""

    def open(self, writer: Writer) -> None:
        """From now on submissions are taken."""
        self._writer = writer

    @property
    def is_behind(self) -> bool:
        """True while more than half of what may wait is waiting, or the hot path has used its budget: sources pause reading."""
        return bool(self.slowed) or self.inflight_bytes * 2 > self.inflight_bytes_max

    @property
    def disk_problem(self) -> str | None:
        """Why records are refused for want of space; None while there is enough."""
        return self._look_at_disk()

    async def submit(self, submission: Submission) -> Receipt:
        """Returns when the commit is durable. Raises ``RetryLater`` or ``RejectPayload``; nothing was taken then.

        A caller that is cancelled takes nothing back: the writer owns what it was handed.
        """
        return await asyncio.shield(asyncio.wrap_future(self.put(submission)))

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:
        """``submit`` for a thread. A time-out raises ``RetryLater``, and the submission may still be taken."""
        future = self.put(submission)
        try:
            return future.result(timeout_s)
        except TimeoutError as e:
            raise RetryLater(f"the writer did not answer within {timeout_s} s", after_s=1) from e

    def put(self, submission: Submission) -> Future[Receipt]:
        """Hands a submission to the writer; what can't be taken now is in the future as ``RetryLater``."""
        future: Future[Receipt] = Future()
        size = submission.bytes
        future.set_running_or_notify_cancel()  # a client that goes away cancels its wait, not the commit
        problem = self._refusal(size)
        if problem is not None:
            future.set_exception(problem)
            return future
        assert self._writer is not None
        self._writer.put(Waiting(submission, size, future, self._clock.monotonic_ns()))
        return future

    def done(self, waiting: Waiting, receipt: Receipt | None) -> None:
        """The writer's word that a submission has left the queue; without a receipt it was not taken."""
        with self._lock:
            self.inflight_bytes -= waiting.bytes
            if receipt is None:
                return
            now_ns = self._clock.monotonic_ns()
            self.latency.add((now_ns - waiting.since_ns) / 1e6, at_ns=now_ns)
            now_us = self._clock.now_us()
            self.latencies.note(INGEST, "acknowledged", (now_ns - waiting.since_ns) / 1e6, at_us=now_us)
            self.latencies.note(INGEST, "visible", (self._visible_ns - waiting.since_ns) / 1e6, at_us=now_us)
            kind = waiting.submission.source.split(":", 1)[0]
            self.totals[kind] = self.totals.get(kind, 0) + receipt.records
            if receipt.rejected:
                self.rejected[kind] = self.rejected.get(kind, 0) + len(receipt.rejected)

    def committed(self, counts: Mapping[str, int], at_ns: int) -> None:
        """The writer's word of a commit, in its thread. A listener that raises is told no more; the acknowledgements don't wait for it."""
        self._visible_ns = at_ns
        for stream, count in counts.items():
            self.rates.add(stream, count, at_ns=at_ns)
        self.rates.add(ALL, sum(counts.values()), at_ns=at_ns)
        for listener in list(self.listeners):
            try:
                listener(counts)
            except Exception:
                log.exception("a listener of the door failed and is told no more")
                self.listeners.remove(listener)

    def _refusal(self, size: int) -> ApplianceError | None:
        if self._writer is None:
            return RetryLater("the appliance is starting; try again when it is ready", after_s=1)
        problem = self._look_at_disk()
        if problem is not None:
            return RetryLater(problem, after_s=5)
        with self._lock:
            if self.inflight_bytes and self.inflight_bytes + size > self.inflight_bytes_max:
                return RetryLater("more is waiting for the writer than memory allows; try again in a moment", after_s=1)
            self.inflight_bytes += size
        return None

    def _look_at_disk(self) -> str | None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._disk_looked_ns >= DISK_LOOK_NS:
            self._disk_looked_ns = now_ns
            try:
                found = os.statvfs(self._folder)
            except OSError as e:
                self._disk_problem = f"the disk of {self._folder} does not answer: {e.strerror}"
                return self._disk_problem
            free = found.f_bavail * found.f_frsize
            if free < self._disk_free_min:
                self._disk_problem = (
                    f"the disk is full: {free >> 20} MiB are free in {self._folder}, {self._disk_free_min >> 20} MiB"
                    " are kept back ([limits] disk_free_min); make room"
                )
            elif found.f_files and found.f_favail < INODES_FREE_MIN:
                self._disk_problem = f"the disk is full: it has only {found.f_favail} free inodes; remove small files"
            else:
                self._disk_problem = None
        return self._disk_problem
