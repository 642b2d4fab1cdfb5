"""Windows that end when a key is silent: aggregates over the session that each key is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.hot.stream.values import I64, Mask, Points, Vector
from appliance.hot.stream.windows.aggregates import FAR, NEVER, Aggregate, State
from appliance.hot.stream.windows.points import Found, empty, finished, merged, nothing
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.state import blank, joined, pick, put
from appliance.hot.stream.windows.store import Store
from appliance.hot.stream.windows.timeline import Clock

_OPEN = 0
"""What stands for the pane of a key that is in a session."""


@dataclass(slots=True)
class _Round:
    """The rows of one round, sorted by key, and what was before each."""

    rows: Round
    ts: I64
    seq: I64
    lag: I64
    before: I64
    """The end that the session before each row would have, by its key's own watermark; FAR where there was none."""
    before_lag: I64
    started: I64
    """The row (as it came) that made it so; -1: before the round."""
    ends: Mask
    """Whether that session is over before the row."""
    state: State
    """As a pane, after each row."""


class SessionPanes:
    """One stream, one set of keys, one gap, and all that rules ask of sessions. Has one owner, takes no locks.

    A session ends ``gap_us`` after its last row: once the key's own watermark (see ``leaving``) gets there, at the latest with its next row
    that is so much later. What is over stays over: a row after that begins a new session. Memory is bounded by the keys, plus, for
    quantiles and distinct counts, ``2 × values_max`` values a key. Points are the same whatever rounds the rows come in.
    """

    def __init__(
        self,
        *,
        gap_us: int,
        aggregates: Sequence[Aggregate],
        whole_at_end: bool = False,
        lateness_us: int = 0,
        values_max: int = 100_000,
    ) -> None:
        """``whole_at_end``: the point at the end of a session has the values of all of it, instead of those of no records.

        ``lateness_us``: as of ``PaneTable``.
        """
        assert gap_us > 0, gap_us
        self.gap_us = gap_us
        self._whole = whole_at_end
        self._store = Store(aggregates, lateness_us=lateness_us, values_max=values_max)

    @property
    def bytes(self) -> int:
        """Memory of what is kept."""
        return self._store.bytes

    @property
    def watermark_us(self) -> int:
        """Up to which time points have been given; ``NEVER`` at first."""
        return self._store.watermark_us

    @property
    def overfull(self) -> I64:
        """Keys whose latest session has more values than ``values_max``, so that quantiles and distinct counts of it are null; rising."""
        return np.flatnonzero(self._store.overfull)

    def take(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, watermark_us: int) -> Points:
        """As ``PaneTable.take``: a point after each row, and one where a session ends, at the time that it does."""
        if not len(ids):
            return self.advance(watermark_us)
        found = self._applied(ids, ts, seqs, vectors, Clock(watermark, max(watermark_us, self._store.watermark_us)))
        points = finished(self._store, found)
        if self._store.retained:
            self._store.trim(np.unique(ids))
        return points

    def advance(self, watermark_us: int) -> Points:
        """Time goes on without rows: the sessions that end up to ``watermark_us``."""
        store = self._store
        store.watermark_us = max(watermark_us, store.watermark_us)
        keys = np.flatnonzero(store.next_at <= watermark_us)
        if not len(keys):
            return nothing(store)
        zeros = np.zeros(len(keys), np.int64)
        found = Found(keys, zeros, store.newest[keys] + self.gap_us, zeros - 1, self._at_end(pick(store.open, keys)))
        self._forget(keys)
        return finished(store, found)

    def load(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, watermark_us: int) -> None:
        """As ``take`` without points, to rebuild after a start; rows that are late are left out, as they were when they came."""
        store = self._store
        if len(ids):
            store.reserve(int(ids.max()) + 1)
            order = np.argsort(ids, kind="stable")
            in_order = np.empty(len(ids), np.bool_)
            rows = Round.of(ids)
            highest = ts[order].copy()
            highest[rows.key_starts] = np.maximum(highest[rows.key_starts], store.newest[rows.keys])
            rows.accumulate(np.maximum, highest)
            in_order[order] = ts[order] >= highest
            kept = np.flatnonzero(in_order)
            if len(kept):
                clock = Clock(watermark[kept], max(watermark_us, store.watermark_us))
                self._applied(ids[kept], ts[kept], seqs[kept], [vector.take(kept) for vector in vectors], clock)
                store.trim(np.unique(ids))
        self.advance(watermark_us)

    def current(self, ids: I64) -> Points:
        """The session that each key is in now (of none: no records), one point a key, at its last row, in row 0."""
        keys = np.unique(ids)
        store = self._store
        if len(keys):
            store.reserve(int(keys[-1]) + 1)
        zeros = np.zeros(len(keys), np.int64)
        return finished(store, Found(keys, zeros, store.newest[keys], zeros - 1, pick(store.open, keys)))

    def _applied(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], clock: Clock) -> Found:
        store = self._store
        store.reserve(int(ids.max()) + 1)
        store.meet(vectors)
        with np.errstate(over="ignore", invalid="ignore"):
            done = self._round(ids, ts, seqs, vectors, clock)
            rows = done.rows
            found = Found(rows.key, rows.order, done.ts, done.seq, done.state)
            over, slots = self._over(done, clock)
        last, keys = rows.key_ends, rows.keys
        store.watermark_us = clock.end
        put(store.open, keys, pick(done.state, last))
        store.pane[keys], store.newest[keys], store.lag[keys] = _OPEN, done.ts[last], done.lag[last]
        store.next_at[keys] = store.newest[keys] + self.gap_us + store.lag[keys]
        self._forget(np.flatnonzero(store.next_at <= clock.end))
        return merged(found, over, slots)

    def _round(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], clock: Clock) -> _Round:
        store = self._store
        rows = Round.of(ids)
        times, watermark = ts.take(rows.order), clock.before.take(rows.order)
        lag = store.lags(times, watermark)
        firsts, keys = rows.key_starts, rows.keys
        before, before_lag = np.append(0, times[:-1] + self.gap_us), np.append(0, lag[:-1])
        started = np.append(-1, rows.order[:-1])
        before[firsts] = np.where(store.pane[keys] == NEVER, FAR, store.newest[keys] + self.gap_us)
        before_lag[firsts], started[firsts] = store.lag[keys], -1
        ends = (times >= before) | (watermark - before_lag >= before)
        rows.cut(ends[1:])
        inputs = store.layout.inputs(vectors, rows.order)
        goes_on = np.zeros(len(rows.starts), np.bool_)
        goes_on[rows.run_of[firsts]] = (before[firsts] != FAR) & ~ends[firsts]
        start = store.layout.begin(goes_on, pick(store.open, rows.key[rows.starts]))
        state = store.layout.run(start, rows, times, inputs, store.totals(rows, inputs))
        return _Round(rows, times, seqs.take(rows.order), lag, before, before_lag, started, ends, state)

    def _over(self, done: _Round, clock: Clock) -> tuple[Found, I64]:
        """The sessions that end in a round: before rows, after the last row of a key, and of keys without rows; and their slots."""
        store, rows = self._store, done.rows
        parts: list[State] = []
        ended = np.flatnonzero(done.ends)
        first = done.started[ended] < 0
        parts += [pick(store.open, rows.key[ended[first]]), pick(done.state, ended[~first] - 1)]
        ended = np.concatenate((ended[first], ended[~first]))
        last = rows.key_ends
        last = last[done.ts[last] + self.gap_us + done.lag[last] <= clock.end]
        parts.append(pick(done.state, last))
        silent = store.next_at <= clock.end
        silent[rows.keys] = False
        others = np.flatnonzero(silent)
        parts.append(pick(store.open, others))
        key = np.concatenate((rows.key[ended], rows.key[last], others))
        due = np.concatenate((done.before[ended], done.ts[last] + self.gap_us, store.newest[others] + self.gap_us))
        lag = np.concatenate((done.before_lag[ended], done.lag[last], store.lag[others]))
        started = np.concatenate((done.started[ended], rows.order[last], np.full(len(others), -1, np.int64)))
        stop = np.concatenate((rows.order[ended], np.full(len(last) + len(others), len(rows), np.int64)))
        slot = np.concatenate((ended, last + 1, np.searchsorted(rows.key, others)))
        row = np.minimum(stop, np.maximum(started + 1, clock.row_at(due + lag)))
        order = np.lexsort((key, slot))
        if not len(order):
            return empty(store), slot
        state = self._at_end(pick(joined(parts), order))
        return Found(key[order], row[order], due[order], np.full(len(order), -1, np.int64), state), slot[order]

    def _at_end(self, state: State) -> State:
        """What a point at the end of sessions with this state says."""
        layout = self._store.layout
        return state if self._whole else blank(layout.columns, len(next(iter(state.values()))))

    def _forget(self, keys: I64) -> None:
        """These keys are in no session."""
        store = self._store
        ordinals = {argument.ordinal: store.open[argument.ordinal][keys] for argument in store.layout.valued}
        put(store.open, keys, blank(store.layout.columns, len(keys)))
        for name, column in ordinals.items():
            store.open[name][keys] = column
        store.pane[keys], store.next_at[keys] = NEVER, FAR
