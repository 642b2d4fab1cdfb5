"""One stream that is evaluated: its plan, and the place up to which its records have been taken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.life import deadline
from appliance.hot.alerts.plan import Known, Place
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.values import Instance, Phase
from appliance.hot.series import U64, fit, series_hashes
from appliance.hot.state import State, StreamState
from appliance.hot.stream.event_clock import NEVER, near
from appliance.hot.stream.joins import fed
from appliance.hot.stream.plan import ROUND_ROWS_MAX, StreamPlan
from appliance.hot.stream.values import HOLD, I64, Key, Rows, Signal
from appliance.observe.cost import CostMeter
from appliance.records import Submission, TimeRange

LIVE_ROWS_MAX: Final = 16_384
"""Records of the ring that are evaluated at once: more would hold up the alerts of the first of them."""
PIECE_ROWS: Final = 512
"""Records in the first piece of a round: as many as come within a commit at 20,000 a second."""
PIECE_ROWS_MIN: Final = 16
ALERTS_AT_ONCE: Final = 1_000
"""Alerts that change with one piece: what is evaluated and stored in about a tenth of a second."""
ROUND_LIVE_ROWS_MAX: Final = 65_536
"""Records of the ring after which a round ends, so that its alerts are stored and told; the next one comes at once."""
MISSED_AT_ONCE_MAX: Final = 32
"""Reads of the past that one round takes where the ring has let go."""
LOOK_BACK_US: Final = 10_000_000
"""Event time in which the last record of a key is looked for first."""


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
    joined_us: int | None = None
    """How far back its records matter to rules between it and another stream; None: there are none."""
    known: list[Rows] = field(default_factory=list)
    """With such rules: the newest records as of the place where it began, for whoever takes the rules up."""
    cost: CostMeter = field(default_factory=CostMeter)
    piece_rows: int = PIECE_ROWS
    """How long the first piece of the next round is at most."""
    seq: int = 0
    """Records up to here have been evaluated."""
    taken: int = 0
    """How many those were since it began."""
    _latest: Rows | None = None
    """The last records as of the place where it began, without series that have sent since."""

    @property
    def names(self) -> Collection[str]:
        """The rules and sessions about the stream, also those that can't be computed."""
        return {*self.plan.rules, *self.plan.refused, *(s.name for s in self.plan.sessions)}

    def begin(
        self,
        stream: StreamState,
        alerts: Alerts,
        place: Place | None,
        bodies: Bodies,
        *,
        started_ns: int,
        now_us: int,
        now_ns: int,
    ) -> None:
        """As it was when the last record of ``place`` had been evaluated; without one, from now on.

        ``bodies`` are the sessions as they were stored with that place, by workload and key. ``started_ns`` is when the process
        started on the monotonic clock.
        """
        plan = self.plan
        plan.clock.wall_us(now_us if place is None else max(now_us, place.wall_us), now_ns)
        if place is not None:
            for session in plan.sessions:
                session.restore(bodies.get(session.name, {}))
        self.seq = stream.last_seq if place is None else min(place.seq, stream.last_seq)
        latest = Rows(*self.latest())
        newest_us = place.event_us if place is not None else _newest(latest, now_us)
        if newest_us > NEVER:
            reach = plan.reach_us()
            if plan.reach_us() > plan.options.lateness_us:
                span = TimeRange(since=newest_us - reach, until=newest_us + 1)  # what lies beyond was in the future, and not looked at
                for rows in self.past(self.name, up_to_seq=self.seq, span=span):
                    plan.load(rows)
            self._know(latest, newest_us)
            elapsed_us = now_us - place.wall_us if place is not None else 0
            plan.clock.restore(newest_us, place.watermark_us if place is not None else NEVER, elapsed_us=elapsed_us, now_ns=now_ns)
            plan.resume(plan.clock.watermark_us)
        alerts.settle(plan)
        plan.silence_from_ns = started_ns + self.grace_us * 1000

    def _know(self, latest: Rows, newest_us: int) -> None:
        """Which keys there are, and when each was heard last as of the place. ``latest`` is as of now: of a series that has sent since, or
        is far in the future, the record before is looked for in the past, in ever longer stretches."""
        known = (latest.seqs <= self.seq) & (latest.ts <= newest_us)
        self._latest = Rows(latest.data.filter(pa.array(known)), latest.seqs[known])
        self._note(self._latest)
        missing = np.unique(_series(latest.data.filter(pa.array(~known)), self.plan.schema.tags))
        until, span, low = newest_us + 1, LOOK_BACK_US, newest_us - max(self.plan.memory_us(), self.joined_us or 0)
        while len(missing) and until > low:
            since = max(until - span, low)
            for rows in self.past(self.name, up_to_seq=self.seq, span=TimeRange(since, until)):
                self._note(rows)
                missing = np.setdiff1d(missing, _series(rows.data, self.plan.schema.tags))
            until, span = since, span * 4

    def _note(self, rows: Rows) -> None:
        if len(rows):
            self.plan.know(rows.data, rows.seqs)
            if self.joined_us is not None:
                self.known.append(rows)

    def current(self, names: Collection[str]) -> list[Signal]:
        """What these rules say of how things stand."""
        return self.plan.current(names, self._latest) if self._latest is not None and len(self._latest) else []

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
            pieces = -(-data.num_rows // LIVE_ROWS_MAX)
            edges = [data.num_rows * number // pieces for number in range(pieces + 1)]
            for first, end in pairwise(edges):
                yield Rows(data.slice(first, end - first), np.arange(part.first + first, part.first + end, dtype=np.int64))
                taken += end - first
                if taken >= ROUND_LIVE_ROWS_MAX:
                    return

    def pieces(self, stream: StreamState) -> Iterator[Rows]:
        """As ``next_rows``, but the first piece is short and each that follows at most twice as long: where many alerts change at once, the
        first of them are told before the last are evaluated."""
        rows_max = self.piece_rows
        for rows in self.next_rows(stream):
            if len(rows) <= rows_max:
                rows_max = max(rows_max, 2 * len(rows))
                yield rows
                continue
            start = 0
            while start < len(rows):
                piece = Rows(rows.data.slice(start, rows_max), rows.seqs[start : start + rows_max])
                start, rows_max = start + len(piece), max(rows_max, 2 * len(piece))
                yield piece

    def suit(self, rows: int, *, alerts: int) -> None:
        """A piece of so many rows has changed so many alerts: as long as they are too many the first piece of a round is shorter."""
        if alerts > ALERTS_AT_ONCE:
            self.piece_rows = max(PIECE_ROWS_MIN, min(self.piece_rows, rows * ALERTS_AT_ONCE // alerts))
        else:
            self.piece_rows = min(PIECE_ROWS, 2 * self.piece_rows)

    def _missed(self, stream: StreamState) -> Iterator[Rows]:
        """The ring has let go what comes next: it is read from the store and the lake. What is lost there is passed over."""
        until = min(stream.last_seq, self.seq + MISSED_AT_ONCE_MAX * ROUND_ROWS_MAX)
        yield from self.past(self.name, after_seq=self.seq, up_to_seq=until)
        self.seq = until

    def take(self, rows: Rows, *, now_us: int, now_ns: int) -> list[Signal]:
        """The signals of these records, which count as evaluated from now on."""
        self.seq = int(rows.seqs[-1])
        self.taken += len(rows)
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


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts that are stored, and the rules as they are now."""

    book: AlertBook
    rules: Mapping[str, RuleFacts]

    def settle(self, plan: StreamPlan) -> None:
        """Tells a plan of them: levels, who is silent, and when what is pending is due."""
        levels = {name: dict(_levels(self.book.instances(name))) for name in plan.watches}
        plan.settle(levels, {name: [i.key for i in self.book.instances(name) if self._is_silent(i)] for name in plan.rules})
        for name in plan.watches:
            for instance in self.book.instances(name):
                if instance.phase is Phase.PENDING:
                    plan.set_deadline(name, instance.key, deadline(instance, self.rules[name]))

    def _is_silent(self, instance: Instance) -> bool:
        if not self.rules[instance.rule].is_absent:
            return instance.phase is Phase.NODATA
        return instance.phase in (Phase.PENDING, Phase.FIRING) and instance.ending_us is None


class Rules(Protocol):
    """What the processor is told of the config: which rules there are, how streams are followed."""

    @property
    def channels(self) -> Iterable[str]:
        """The names of the channels."""

    def shape(self, state: State) -> tuple[tuple[str, int], ...]:
        """The streams that rules are about, folded, with the versions of their columns: when it changes rules have to look again."""

    def facts(self, state: State) -> Mapping[str, RuleFacts]:
        """Every rule, with the columns of its keys as far as its stream is there."""

    @property
    def session_names(self) -> Mapping[str, Known]:
        """Every workload of sessions, with the stream that it is about."""

    def follow(self, stream: StreamState, state: State) -> Followed | None:
        """How a stream is evaluated; None when no rule is about it."""


def _levels(instances: Iterable[Instance]) -> Iterator[tuple[Key, int]]:
    """Of those in ERROR nothing is known: whatever they are found to be, they are that anew."""
    for instance in instances:
        if instance.phase is Phase.ERROR:
            yield instance.key, HOLD
        elif instance.level:
            yield instance.key, instance.level


def take_up_joins(followed: Collection[Followed], alerts: Alerts) -> None:
    """Tells rules between streams the newest records of both as of the places where these began, and then the alerts that are stored."""
    for each in followed:
        for join in (j for other in followed for j in fed(other.plan.joins, each.name)):
            for rows in each.known:
                join.know(each.name, rows)
        each.known = []
    for each in followed:
        if each.plan.joins:
            alerts.settle(each.plan)


def _newest(latest: Rows, now_us: int) -> int:
    ts = latest.ts
    timely = near(ts, now_us=now_us)
    ts = ts if timely is None else ts[timely]
    return int(ts.max()) if len(ts) else NEVER


def _series(data: pa.RecordBatch, tags: Collection[str]) -> U64:
    return series_hashes(data, [t for t in tags if t in data.schema.names])
