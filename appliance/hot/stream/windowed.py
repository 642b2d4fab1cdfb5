"""The rules of one stream with the same keys and the same window: one table of panes, fed once, asked by all.

Records in the order of their key go the fast way. Those a little late are put into the panes that they belong to; what may be a
repeat of a record makes its panes anew from the records themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.expression import Aggregate as AggregateTerm
from appliance.hot.stream.expression import Baseline as BaselineTerm
from appliance.hot.stream.expression import Statistic, Term
from appliance.hot.stream.inputs import Inputs
from appliance.hot.stream.keys import KeySpace
from appliance.hot.stream.quiet import Extremes
from appliance.hot.stream.quiet_table import QuietTable
from appliance.hot.stream.repeats import joined, untwinned
from appliance.hot.stream.stretches import rounds_of_keys, stretches
from appliance.hot.stream.values import FALSE, HOLD, I64, TRUE, Mask, Points, Rows, Signal, Vector, What
from appliance.hot.stream.watch import AFTER, BEFORE, Back, Found, Times, Watch
from appliance.hot.stream.windows.sessions import SessionPanes
from appliance.hot.stream.windows.table import Mode, PaneTable

VALUES_MAX: Final = 10_000
"""Values of one key and window that quantiles and distinct counts look at; above it the alert is in ERROR."""
Places = npt.NDArray[np.intp]


class Past(Protocol):
    """Reads records of the stream again."""

    def __call__(self, since_us: int, until_us: int, up_to_seq: int) -> Sequence[Rows]:
        """Those with an event time in [since, until) and a sequence up to ``up_to_seq``, rising."""


@dataclass(slots=True)
class Windowed:
    """Owned by the plan of the stream."""

    table: PaneTable | SessionPanes
    keys: KeySpace
    by: tuple[str, ...]
    stream: str
    inputs: Inputs
    aggregates: dict[AggregateTerm, int]
    """Term -> which vector of a point it is."""
    watches: list[Watch]
    baselines: Baselines
    past: Past
    reach_us: int
    """How far back records matter to its windows."""
    tags: tuple[str, ...] | None
    counts_rows: bool
    """Whether a record without any value matters, because rows are counted."""
    overfull: set[int] = field(default_factory=set)
    too_late: int = 0
    """Records that came when the windows they belong to were not kept any more."""
    _caches: dict[str, dict[int, tuple[int, I64]]] = field(default_factory=dict)
    _told: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """Rule and key -> from when to when the windows end that a late record was told of last."""

    def load(self, rows: Rows, ids: I64, where: Places, times: Times, repeats: Mask | None) -> None:
        """Records that were evaluated before. ``ids`` are those of the rows ``where``; ``repeats`` correct others, which they replace."""
        vectors = [v.take(where) for v in self.inputs.of(rows)]
        self.table.load(ids, rows.ts[where], rows.seqs[where], vectors, times.before[where], watermark_us=times.end_us)
        if repeats is not None and isinstance(self.table, PaneTable) and repeats[where].any():
            panes = rows.ts[where][repeats[where]] // self.table.pane_us
            keys = np.unique(ids[repeats[where]])
            self._replace(keys, int(panes.min()), int(panes.max()), np.full(len(keys), int(rows.seqs[-1])))

    def take(self, rows: Rows, ids: I64, where: Places, times: Times, order: Order, repeats: Mask | None) -> Iterator[Found]:
        """The signals of a round. ``ids`` are those of the rows ``where``; ``order`` says which of them are late, in the same order."""
        vectors = self.inputs.of(rows)
        again = self._matter(vectors, repeats)
        slow = order.behind if again is None else order.behind | again[where]
        if slow.any():
            yield from self._take_late(rows, vectors, ids, where, times, order, slow, again)
        elif len(where):
            ts = rows.ts if len(where) == len(rows) else rows.ts[where]
            yield from self._forward(Taken(rows, vectors, ids, where, ts, times, order.back), None, len(rows), times.end_us)
        yield from self.advance(times.end_us)
        yield from self._check_overfull(times.end_us)

    def _forward(self, taken: Taken, some: Places | None, next_row: int, watermark_us: int) -> Iterator[Found]:
        """Rows (None: all) in the order of their key; what time does after the last of them comes before ``next_row``."""
        where, ids, ts = (taken.where, taken.ids, taken.ts) if some is None else (taken.where[some], taken.ids[some], taken.ts[some])
        if isinstance(self.table, QuietTable) and taken.back:
            self.table.want(ids[np.isin(where, np.concatenate(list(taken.back.values())))])
        vectors, seqs, before = taken.vectors, taken.rows.seqs, taken.times.before
        if len(where) < len(taken.rows):
            vectors, seqs, before = [v.take(where) for v in vectors], seqs[where], before[where]
        points = self.table.take(ids, ts, seqs, vectors, before, watermark_us=watermark_us)
        if not len(points):
            return
        placed = Points(points.key, np.append(where, next_row)[points.row], points.at_us, points.seq, points.vectors)
        for watch in self.watches if taken.has_late else ():
            yield from _held_until(watch, placed, taken.times, self.keys)
        yield from self._signals(placed, taken.times, taken.back)

    def _take_late(
        self, rows: Rows, vectors: list[Vector], ids: I64, where: Places, times: Times, order: Order, slow: Mask, again: Mask | None
    ) -> Iterator[Found]:
        """A round some rows of which are late or repeats: as if its rows had come one by one."""
        if isinstance(self.table, SessionPanes):  # a session stays as it was
            self.too_late += int(slow.sum())
            kept = np.flatnonzero(~slow)
            if len(kept):
                yield from self._forward(
                    Taken(rows, vectors, ids[kept], where[kept], rows.ts[where[kept]], times, order.back),
                    np.arange(len(kept)),
                    len(rows),
                    times.end_us,
                )
            return
        ts, repeated = rows.ts[where], np.zeros(len(where), np.bool_) if again is None else again[where]
        ts, slow = self._within_pane(ts, order.newest, slow, repeated)
        lost = slow & ~repeated & self.table.is_past(ts, order.newest, times.before[where])
        self.too_late += int(lost.sum())
        kept = np.flatnonzero(~lost)
        if not len(kept):
            return
        taken = Taken(rows, vectors, ids[kept], where[kept], ts[kept], times, order.back, has_late=True)
        slow, repeated = slow[kept], repeated[kept]
        before = times.before[taken.where]
        if isinstance(self.table, QuietTable) and not repeated.any() and not order.back and self._puts_off(taken, slow):
            return
        passes_us = self._passes_us(taken, repeated) if slow.any() else before
        for start, end in stretches(taken.ids, slow, before, passes_us):
            here = np.arange(start, end)
            fast, late = here[~slow[start:end]], here[slow[start:end]]
            if not len(fast) or fast[0] != start:
                yield from self._leave(taken, start)
            if len(fast):
                next_row = int(taken.where[end]) if end < len(kept) else len(rows)
                yield from self._forward(taken, fast, next_row, int(before[end - 1]))
            for some in rounds_of_keys(taken.ids[late]) if len(late) else ():
                yield from self._amend(taken, late[some], bool(repeated[late[some]].any()))

    def _puts_off(self, taken: Taken, slow: Mask) -> bool:
        """Whether a round with late records can wait, since nobody would hear of it."""
        assert isinstance(self.table, QuietTable)
        where = taken.where
        vectors, before = [v.take(where) for v in taken.vectors], taken.times.before[where]
        end_us, late = taken.times.end_us, taken.ids[slow]
        return self.table.puts_off(taken.ids, taken.ts, taken.rows.seqs[where], vectors, before, watermark_us=end_us, late=late)

    def _within_pane(self, ts: I64, newest_us: I64, slow: Mask, repeated: Mask) -> tuple[I64, Mask]:
        """Where no aggregate asks for the order within a pane a row of the pane that its key is in is as good as the newest there."""
        assert isinstance(self.table, PaneTable)
        pane_us = self.table.pane_us
        if self.table.is_ordered:
            return ts, slow
        same = slow & ~repeated & (ts // pane_us == newest_us // pane_us)
        return np.where(same, newest_us, ts), slow & ~same

    def _passes_us(self, taken: Taken, repeated: Mask) -> I64:
        """The watermark at which a pane next leaves a window of the key, as of each row."""
        assert isinstance(self.table, PaneTable)
        before = taken.times.before[taken.where]
        lag = self.table.lags_of(taken.ids, taken.ts, before, ~repeated)
        pane_us = self.table.pane_us
        own = ((before - lag) // pane_us + 1) * pane_us + lag
        return np.minimum(own, (before // pane_us + 1) * pane_us) if self.table.mode is Mode.TUMBLING else own

    def _leave(self, taken: Taken, place: int) -> Iterator[Found]:
        """What time does before a row."""
        row = int(taken.where[place])
        points = self.table.advance(int(taken.times.before[row]))
        placed = Points(points.key, np.full(len(points), row, np.int64), points.at_us, points.seq, points.vectors)
        for watch in self.watches:
            yield from _held_until(watch, placed, taken.times, self.keys)
        yield from self._signals(placed, taken.times, {})

    def advance(self, watermark_us: int) -> Iterator[Found]:
        """What time alone does."""
        if self.table.watermark_us >= watermark_us:
            return
        points = self.table.advance(watermark_us)
        if len(points):
            yield from self._signals(points, Times(np.empty(0, np.int64), watermark_us), {})

    def current(self, names: Collection[str], ids: I64, watermark_us: int) -> Iterator[Found]:
        """What some rules say of the windows as they are now."""
        watches = [w for w in self.watches if w.rule.name in names]
        if watches and len(ids):
            yield from self._signals(self.table.current(np.unique(ids)), Times(np.empty(0, np.int64), watermark_us), {}, watches)

    def vectors_of(self, points: Points, found: Sequence[Term]) -> list[Vector]:
        """One vector a term."""
        return [self._vector(points, t) for t in found]

    def _signals(self, points: Points, times: Times, back: Back, watches: Sequence[Watch] | None = None) -> Iterator[Found]:
        if not len(points):
            return
        extremes = Extremes(points.vectors)
        for watch in self.watches if watches is None else watches:
            if self._is_ruled_out(watch, back) or watch.rests(extremes, back):
                continue
            yield from watch.take(points, self.vectors_of(points, watch.rule.terms), times, self.keys.key, back)

    def _is_ruled_out(self, watch: Watch, back: Back) -> bool:
        """Whether nothing can come of any point, before one looks at them."""
        if not isinstance(self.table, QuietTable) or self.table.can_hold(watch):
            return False
        return watch.is_calm and not (back and watch.silence_us in back)

    def _vector(self, points: Points, term: Term) -> Vector:
        match term:
            case AggregateTerm():
                return points.vectors[self.aggregates[term]]
            case BaselineTerm():
                cache = self._caches.setdefault(term.column.name, {})
                name = (self.stream, self.by, term.column.name)
                return self.baselines.look(name, points.key, points.at_us, self.keys.key, cache, function=term.function)
            case _:
                return self._key_column(points.key, str(term))

    def _key_column(self, ids: I64, name: str) -> Vector:
        """The value of a column of the key."""
        place = [c.lower() for c in self.by].index(name.strip('"').lower())
        found, codes = np.unique(ids, return_inverse=True)
        texts = [self.keys.key(int(i))[place] for i in found]
        valid = np.array([t is not None for t in texts], dtype=np.bool_)
        return Vector(codes.astype(np.int32), valid[codes], tuple(t or "" for t in texts))

    def _matter(self, vectors: Sequence[Vector], repeats: Mask | None) -> Mask | None:
        """Those possible repeats that say something here: a record without a value adds none, whether it came before or not."""
        if repeats is None or self.counts_rows or not vectors:
            return repeats
        some = np.zeros(len(repeats), np.bool_)
        for vector in vectors:
            some |= vector.valid
        found: Mask = repeats & some
        return found if found.any() else None

    def _amend(self, taken: Taken, some: Places, is_repeat: bool) -> Iterator[Found]:
        """Late records and repeats, of each key one, go into the panes they belong to; what that makes of the past is told apart from
        what is now."""
        assert isinstance(self.table, PaneTable)
        some = some[np.argsort(taken.ids[some])]
        ids, where, ts = taken.ids[some], taken.where[some], taken.rows.ts[taken.where[some]]
        seqs, before_us = taken.rows.seqs[where], taken.times.before[where]
        pane_us, panes = self.table.pane_us, self.table.panes
        low, high = int(ts.min()) // pane_us, int(ts.max()) // pane_us
        before = self.table.history(ids, low, high + panes - 1)
        if is_repeat:
            self._replace(ids, low, high, seqs)
        else:
            by_seq = np.argsort(seqs)
            at = where[by_seq]
            vectors = [v.take(at) for v in taken.vectors]
            self.table.load(ids[by_seq], ts[by_seq], seqs[by_seq], vectors, before_us[by_seq], watermark_us=self.table.watermark_us)
        after, now = self.table.history(ids, low, high + panes - 1), self.table.current(ids)
        newest_us, lag_us = self.table.stands(ids)
        own_us = before_us - lag_us
        present = Points(now.key, where.astype(np.int64), np.maximum(newest_us, own_us), seqs, now.vectors)
        for watch in self.watches:
            found = self.vectors_of(present, watch.rule.terms)
            is_now = watch.evaluate(found, len(present)) == TRUE if self.table.mode is Mode.SLIDING else np.zeros(len(present), np.bool_)
            current_us = dict(zip(ids[is_now].tolist(), own_us[is_now].tolist(), strict=True))
            records = {int(k): (int(r), int(s)) for k, r, s in zip(ids, where, seqs, strict=True)}
            yield from self._told_late(watch, before, after, current_us, records, taken.times)
            if self.table.mode is Mode.SLIDING:
                yield from _held_until(watch, present, taken.times, self.keys)
                yield from watch.take(present, found, taken.times, self.keys.key, {})

    def _replace(self, touched: I64, low: int, high: int, up_to_seq: I64) -> None:
        """Makes panes anew from the records, as far back as they are kept; of each key (rising) those up to a sequence."""
        assert isinstance(self.table, PaneTable)
        low = max(low, self.table.oldest(touched))
        if low > high:
            return
        pane_us = self.table.pane_us
        parts = self.past(low * pane_us, (high + 1) * pane_us, int(up_to_seq.max()))
        if not parts:
            return
        whole = joined(parts)
        ids = self.keys.ids(whole.data)
        at = np.minimum(np.searchsorted(touched, ids), len(touched) - 1)
        mine = np.flatnonzero((touched[at] == ids) & (whole.seqs <= up_to_seq[at]))
        rows = Rows(whole.data.take(pa.array(mine)), whole.seqs[mine])
        if self.tags is not None:
            rows = untwinned(rows, self.tags)
        self.table.replace(touched, low, high, self.keys.ids(rows.data), rows.ts, rows.seqs, self.inputs.of(rows))

    def _told_late(
        self,
        watch: Watch,
        before: Points,
        after: Points,
        current_us: Mapping[int, int],
        records: Mapping[int, tuple[int, int]],
        times: Times,
    ) -> Iterator[Found]:
        """Windows of the past whose condition holds now and did not before: the first of each key, unless it goes on with one told before.

        Of keys for which it holds at present (``current_us``: with how far event time has come for them) only those windows are past
        that this has left behind: what came within the lateness is not late. ``records`` has row and sequence of each key's record.
        """
        new = self.vectors_of(after, watch.rule.terms)
        true = watch.evaluate(new, len(after)) == TRUE
        if not true.any():
            return
        had = watch.evaluate(self.vectors_of(before, watch.rule.terms), len(before)) == TRUE
        held = set(zip(before.key[had].tolist(), before.at_us[had].tolist(), strict=True))
        found: dict[int, list[int]] = {}
        for place in np.flatnonzero(true).tolist():
            key, at_us = int(after.key[place]), int(after.at_us[place])
            if (key, at_us) in held or watch.levels.held(key) or (key in current_us and at_us > current_us[key]):
                continue
            found.setdefault(key, []).append(place)
        for key, places in found.items():
            at_us, until_us = int(after.at_us[places[0]]), int(after.at_us[places[-1]])
            if not self._is_news(watch.rule.name, key, at_us, until_us):
                continue
            watch.late += 1
            row, seq = records[key]
            values = watch.values(new, places[0])
            signal = Signal(watch.rule.name, self.keys.key(key), What.LATE, at_us, times.at(row), seq, TRUE, values)
            yield Found(row, BEFORE, at_us, signal)

    def _is_news(self, rule: str, key: int, at_us: int, until_us: int) -> bool:
        """Whether windows of the past are told: not where they go on with those that were, in either direction."""
        assert isinstance(self.table, PaneTable)
        told = self._told.get((rule, key))
        if told is None or at_us > told[1] + self.table.pane_us or until_us < told[0] - self.table.pane_us:
            self._told[rule, key] = (at_us, until_us)
            return True
        self._told[rule, key] = (min(at_us, told[0]), max(until_us, told[1]))
        return False

    def _check_overfull(self, watermark_us: int) -> Iterator[Found]:
        """Keys with more values than are looked at: nothing can be said of them until there are fewer."""
        full = set(self.table.overfull.tolist())
        if full == self.overfull:
            return
        reason = f"more than {VALUES_MAX:,} values in one window; take a shorter one, or an aggregate that keeps none"
        for key in full - self.overfull:
            for watch in self.watches:
                if any(isinstance(t, AggregateTerm) and t.statistic in _RETAINED for t in watch.rule.terms):
                    watch.levels.put(key, HOLD)
                    signal = Signal(watch.rule.name, self.keys.key(key), What.ERROR, watermark_us, watermark_us, None, FALSE, reason=reason)
                    yield Found(2**31, AFTER, watermark_us, signal)
        self.overfull = full


@dataclass(frozen=True, slots=True)
class Taken:
    """The rows of a round that the windows take, as they came; all arrays but ``vectors`` have one entry for each."""

    rows: Rows
    """All of the round."""
    vectors: list[Vector]
    """Of all of the round."""
    ids: I64
    where: Places
    """Which rows they are."""
    ts: I64
    """As which time each counts."""
    times: Times
    back: Back
    has_late: bool = False
    """Whether they are taken in more than one stretch."""


@dataclass(frozen=True, slots=True)
class Order:
    """How the rows of a round stand to the newest of their key, one entry a row with a key."""

    behind: Mask
    """Older than it."""
    newest: I64
    """Its time; ``NEVER`` where there was none."""
    back: Back
    """The rows with which keys come back after a silence."""


_RETAINED: Final = frozenset({Statistic.QUANTILE, Statistic.MEDIAN, Statistic.DISTINCT})


def _held_until(watch: Watch, points: Points, times: Times, keys: KeySpace) -> Iterator[Found]:
    """Of a rule with ``for`` the last time at which its condition held, of keys of these points at which it did in an earlier stretch of
    the round: what is pending may have become due by then, which the points do not tell any more."""
    levels = watch.levels
    if not (levels.waits and len(points)):
        return
    first = np.flatnonzero(np.append(True, points.key[1:] != points.key[:-1]))
    for place in first[levels.last[points.key[first]] == TRUE].tolist():
        key, row = int(points.key[place]), int(points.row[place])
        at_us = int(levels.true_us[key])
        signal = Signal(watch.rule.name, keys.key(key), What.DUE, at_us, times.at(row), None, TRUE)
        yield Found(row, BEFORE, min(at_us, int(points.at_us[place])), signal)
