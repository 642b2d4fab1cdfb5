"""The machine's own metrics: one look every ``every``, all streams in one submission.

Its thread is the only one that reads the machine. A look that the door can't take is kept for the next one, at most ``PENDING_MAX``
of them; older ones are dropped and counted. A group of readings that fails is said once and tried again after a minute.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from typing import Protocol

import pyarrow as pa

from appliance.clock import Clock
from appliance.errors import RetryLater
from appliance.observe.status import SourceStatus
from appliance.options import HostSource
from appliance.records import TAG_TYPE, TS_TYPE, Batch, Format, Receipt, Submission
from appliance.sources.host_readings import FAILURES, GROUPS, Look, Reading

log = logging.getLogger(__name__)
PENDING_MAX = 60
"""Looks kept while the door takes nothing."""
RETRY_NS = 60_000_000_000
"""A group that failed is left out for this long."""


class HostDoor(Protocol):
    """The door as this source needs it."""

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:
        """Returns after the durable commit; raises ``RetryLater``."""


class HostReader:
    """Source ``host``. With ``node``, each record also carries it as tag ``host``."""

    def __init__(self, options: HostSource, *, door: HostDoor, clock: Clock, node: str | None = None) -> None:
        self._every_ns = int(options.every_s * 1e9)
        self._door = door
        self._clock = clock
        self._batches = BatchBuilder(node)
        self._look = Look()
        self._looked_ns: int | None = None
        self._absent_until_ns: dict[str, int] = {}
        self._said: set[str] = set()
        self._pending: deque[tuple[Batch, ...]] = deque()
        self._records = 0
        self._dropped = 0
        self._problem: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="host")  # noqa: TID251 - its owner

    def start(self) -> None:
        """The first look is taken at once."""
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def status(self) -> SourceStatus:
        absent = sorted(self._absent_until_ns)
        parts = [f"every {self._every_ns / 1e9:g} s"]
        parts += [f"not there: {', '.join(absent)}"] if absent else []
        parts += [self._problem] if self._problem else []
        state = "failed" if not self._thread.is_alive() else "paused" if self._problem else "ok"
        return SourceStatus("host", "host", state, "; ".join(parts), self._records, 0, self._dropped)

    def _run(self) -> None:
        next_ns = self._clock.monotonic_ns()
        while not self._stopping.wait(max(0.0, (next_ns - self._clock.monotonic_ns()) / 1e9)):
            self.look_once()
            now_ns = self._clock.monotonic_ns()
            next_ns += self._every_ns * max(1, -((next_ns - now_ns) // self._every_ns))

    def look_once(self) -> None:
        """One look, and everything that waits into the door."""
        self._keep(self._batches.build(self.readings(), ts_us=self._clock.now_us()))
        if not self._pending:
            return
        batches = tuple(batch for look in self._pending for batch in look)
        try:
            receipt = self._door.submit_blocking(Submission("host", Format.LP, batches))
        except RetryLater as later:
            self._problem = str(later)
            return
        self._problem = None
        self._pending.clear()
        self._records += receipt.records

    def readings(self) -> list[Reading]:
        """What each group shows now; a group that fails is left out for a while."""
        now_ns = self._clock.monotonic_ns()
        self._look.seconds = None if self._looked_ns is None else (now_ns - self._looked_ns) / 1e9
        self._looked_ns = now_ns
        found = []
        for stream, read in GROUPS.items():
            if now_ns < self._absent_until_ns.get(stream, now_ns):
                continue
            try:
                reading = read(self._look)
            except FAILURES as error:
                self._absent_until_ns[stream] = now_ns + RETRY_NS
                if stream not in self._said:
                    self._said.add(stream)
                    log.warning("%s is left out: %s: %s", stream, type(error).__name__, error)
                continue
            self._absent_until_ns.pop(stream, None)
            if reading.rows:
                found.append(reading)
        self._look.looks += 1
        return found

    def _keep(self, batches: tuple[Batch, ...]) -> None:
        if batches:
            self._pending.append(batches)
        if len(self._pending) > PENDING_MAX:
            self._dropped += sum(batch.rows for batch in self._pending.popleft())


class BatchBuilder:
    """Makes batches of readings. Tag columns are the same from look to look, so they are made once and shared."""

    def __init__(self, node: str | None) -> None:
        self._node = node
        self._tags: dict[tuple[str, ...], pa.Array] = {}

    def build(self, readings: Iterable[Reading], *, ts_us: int) -> tuple[Batch, ...]:
        """One batch for each reading, all at one time."""
        return tuple(self._batch(reading, ts_us) for reading in readings)

    def _batch(self, reading: Reading, ts_us: int) -> Batch:
        rows = len(reading.rows)
        tags = (*(("host",) if self._node else ()), *reading.tags)
        columns = [pa.array([ts_us] * rows, TS_TYPE)]
        if self._node:
            columns.append(self._tag((self._node,) * rows))
        columns += [self._tag(tuple(values[place] for values, _fields in reading.rows)) for place in range(len(reading.tags))]
        fields = list(reading.rows[0][1])
        columns += [_numbers([values.get(name) for _tags, values in reading.rows]) for name in fields]
        return Batch(reading.stream, tags, pa.RecordBatch.from_arrays(columns, names=["ts", *tags, *fields]))

    def _tag(self, values: tuple[str, ...]) -> pa.Array:
        made = self._tags.get(values)
        if made is None:
            if len(self._tags) > 100:
                self._tags.clear()
            made = self._tags[values] = pa.array(values, pa.string()).dictionary_encode().cast(TAG_TYPE)
        return made


def _numbers(values: list[float | int | None]) -> pa.Array:
    """A column of floats or ints; of floats when nothing tells."""
    whole = any(isinstance(value, int) for value in values) and not any(isinstance(value, float) for value in values)
    return pa.array(values, pa.int64() if whole else pa.float64())
