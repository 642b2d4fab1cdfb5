"""One stream that is evaluated: its plan, and the place up to which its records have been taken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.plan import Place
from appliance.hot.series import fit
from appliance.hot.state import StreamState
from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.plan import ROUND_ROWS_MAX, StreamPlan
from appliance.hot.stream.values import I64, Key, Rows, Signal
from appliance.observe.cost import CostMeter
from appliance.records import Submission, TimeRange

LIVE_ROWS_MAX: Final = 4_096
"""Records of the ring that are evaluated at once: more would hold up the alerts of the first of them."""
AT_ONCE_MAX: Final = 32
"""Pieces of the ring that one round takes: the next round comes at once."""


Bodies = Mapping[str, Mapping[Key, str]]


class PastRows(Protocol):
    """The records of a stream, wherever they lie, by rising sequence."""

    def __call__(
        self,
        stream: str,
        *,
        after_seq: int = 0,
        up_to_seq: int | None = None,
        span: TimeRange = ...,
        columns: Collection[str] | None = None,
    ) -> Iterator[Rows]:
        """Those with ``after_seq < _seq <= up_to_seq`` in ``span``."""


@dataclass(slots=True)
class Followed:
    """Owned by the processor's thread."""

    plan: StreamPlan
    name: str
    """Folded; also the clock that the timers of its rules follow."""
    stream_id: int
    past: PastRows
    latest: Callable[[], tuple[pa.RecordBatch, I64]]
    """The last record of each series and its sequence."""
    grace_us: int
    cost: CostMeter = field(default_factory=CostMeter)
    seq: int = 0
    """Records up to here have been evaluated."""

    def begin(self, stream: StreamState, book: AlertBook, place: Place | None, bodies: Bodies, *, now_us: int, now_ns: int) -> None:
        """As it was when the last record of ``place`` had been evaluated; without one, from now on.

        ``bodies`` are the sessions as they were stored with that place, by workload and key.
        """
        plan = self.plan
        if place is not None:
            for session in plan.sessions:
                session.restore(bodies.get(session.name, {}))
        self.seq = stream.last_seq if place is None else min(place.seq, stream.last_seq)
        latest, seqs = self.latest()
        evaluated = seqs <= self.seq
        if evaluated.any():  # of a series that has sent since, the record before is not looked up: it is only silence that it matters to
            plan.know(latest.filter(pa.array(evaluated)), seqs[evaluated])
        newest_us = place.event_us if place is not None else _newest(latest, now_us)
        if newest_us > NEVER:
            reach = plan.reach_us()
            if plan.reach_us() > plan.options.lateness_us:
                span = TimeRange(since=newest_us - reach)
                for rows in self.past(self.name, up_to_seq=self.seq, span=span):
                    plan.load(rows)
            elapsed_us = now_us - place.wall_us if place is not None else max(0, now_us - newest_us)
            plan.clock.restore(newest_us, elapsed_us=elapsed_us, now_ns=now_ns)
        plan.settle(_levels(book, plan))
        plan.silence_from_ns = now_ns + self.grace_us * 1000

    def current(self, names: Collection[str]) -> list[Signal]:
        """What these rules say of how things stand."""
        latest, seqs = self.latest()
        return self.plan.current(names, Rows(latest, seqs)) if latest.num_rows else []

    def next_rows(self, stream: StreamState) -> Iterator[Rows]:
        """Records that have come since, in pieces, some of them when they are many."""
        if self.seq >= stream.last_seq:
            return
        if stream.ring_first > self.seq + 1:
            yield from self._missed(stream)
            return
        taken = 0
        for chunk in stream.ring:
            if chunk.last <= self.seq:
                continue
            part = chunk.after(self.seq)
            data = fit(part.data, stream.schema)
            for first in range(0, data.num_rows, LIVE_ROWS_MAX):
                piece = data.slice(first, LIVE_ROWS_MAX)
                start = part.first + first
                yield Rows(piece, np.arange(start, start + piece.num_rows, dtype=np.int64))
                taken += 1
            if taken >= AT_ONCE_MAX:
                return

    def _missed(self, stream: StreamState) -> Iterator[Rows]:
        """The ring has let go what comes next: it is read from the store and the lake. What is lost there is passed over."""
        until = min(stream.last_seq, self.seq + AT_ONCE_MAX * ROUND_ROWS_MAX)
        yield from self.past(self.name, after_seq=self.seq, up_to_seq=until)
        self.seq = until

    def take(self, rows: Rows, *, now_us: int, now_ns: int) -> list[Signal]:
        """The signals of these records, which count as evaluated from now on."""
        self.seq = int(rows.seqs[-1])
        return self.plan.take(rows, now_us=now_us, now_ns=now_ns)

    def idle(self, *, now_ns: int) -> list[Signal]:
        """What time alone does."""
        return self.plan.idle(now_ns=now_ns)

    def take_submissions(self) -> list[Submission]:
        """Sessions that have closed since the last call."""
        found = [s for session in self.plan.sessions for s in session.submissions]
        for session in self.plan.sessions:
            session.submissions = []
        return found

    def session_bodies(self) -> list[tuple[str, Key, str]]:
        """(workload, key, body) of the sessions that have changed since the last call."""
        return [body for session in self.plan.sessions for body in session.bodies()]

    def has_timer(self, book: AlertBook) -> bool:
        """Whether an alert waits for a time that has come."""
        due_us = book.next_due(self.name)
        return due_us is not None and due_us <= self.plan.clock.watermark_us

    def place(self, *, now_us: int) -> Place:
        """How far it has been evaluated."""
        clock = self.plan.clock
        return Place(self.stream_id, self.seq, clock.newest_us, clock.watermark_us, now_us)


def _newest(latest: pa.RecordBatch, now_us: int) -> int:
    if not latest.num_rows:
        return NEVER
    ts = np.asarray(latest.column("ts").view(pa.int64()).to_numpy(zero_copy_only=False))
    ts = ts[ts <= now_us]
    return int(ts.max()) if len(ts) else NEVER


def _levels(book: AlertBook, plan: StreamPlan) -> dict[str, dict[Key, int]]:
    return {name: {i.key: i.level for i in book.instances(name) if i.level} for name in plan.watches}
