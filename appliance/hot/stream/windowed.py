"""The rules of one stream with the same keys and the same window: one table of panes, fed once, asked by all.

Records in the order of their key go the fast way. Those a little late are put into the panes that they belong to; what may be a
repeat of a record makes its panes anew from the records themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.expression import Aggregate as AggregateTerm
from appliance.hot.stream.expression import Baseline as BaselineTerm
from appliance.hot.stream.expression import Statistic, Term
from appliance.hot.stream.inputs import Inputs
from appliance.hot.stream.keys import KeySpace
from appliance.hot.stream.quiet import Extremes, may_hold
from appliance.hot.stream.repeats import joined, untwinned
from appliance.hot.stream.values import FALSE, HOLD, I64, TRUE, Mask, Points, Rows, Signal, Vector, What
from appliance.hot.stream.watch import AFTER, BEFORE, Back, Found, Times, Watch
from appliance.hot.stream.windows.aggregates import Aggregate, Function
from appliance.hot.stream.windows.sessions import SessionPanes
from appliance.hot.stream.windows.table import Mode, PaneTable

VALUES_MAX: Final = 10_000
"""Values of one key and window that quantiles and distinct counts look at; above it the alert is in ERROR."""
_FUNCTION: Final = {s: Function(s.value) for s in Statistic if s is not Statistic.MEDIAN}


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
    _caches: dict[str, dict[int, tuple[int, I64]]] = field(default_factory=dict)

    def load(self, rows: Rows, ids: I64, where: npt.NDArray[np.intp], times: Times, repeats: Mask | None) -> None:
        """Records that were evaluated before. ``ids`` are those of the rows ``where``; ``repeats`` correct others, which they replace."""
        vectors = [v.take(where) for v in self.inputs.of(rows)]
        self.table.load(ids, rows.ts[where], rows.seqs[where], vectors, times.before[where], watermark_us=times.end_us)
        if repeats is not None and isinstance(self.table, PaneTable) and repeats[where].any():
            panes = rows.ts[where][repeats[where]] // self.table.pane_us
            self._replace(np.unique(ids[repeats[where]]), int(panes.min()), int(panes.max()), int(rows.seqs[-1]))

    def take(self, rows: Rows, ids: I64, where: npt.NDArray[np.intp], times: Times, order: Order, repeats: Mask | None) -> Iterator[Found]:
        """The signals of a round. ``ids`` are those of the rows ``where``; ``order`` says which of them are late, in the same order."""
        vectors = self.inputs.of(rows)
        again = self._matter(vectors, repeats)
        slow = order.behind if again is None else order.behind | again[where]
        if slow.any():
            fast = np.flatnonzero(~slow)
            ids, where_slow, ids_slow, where = ids[fast], where[slow], ids[slow], where[fast]
        else:
            where_slow, ids_slow = where[:0], ids[:0]
        ts = rows.ts
        if len(where):
            points = self.table.take(
                ids, ts[where], rows.seqs[where], [v.take(where) for v in vectors], times.before[where], watermark_us=times.end_us
            )
            row = np.append(where, len(rows))[points.row]
            yield from self._signals(Points(points.key, row, points.at_us, points.seq, points.vectors), times, order.back)
        else:
            yield from self.advance(times.end_us)
        if len(where_slow):
            yield from self._amend(rows, vectors, ids_slow, where_slow, again, times)
        yield from self._check_overfull(times.end_us)

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
            if watch.rests(extremes, back):
                continue
            yield from watch.take(points, self.vectors_of(points, watch.rule.terms), times, self.keys.key, back)

    def _vector(self, points: Points, term: Term) -> Vector:
        match term:
            case AggregateTerm():
                return points.vectors[self.aggregates[term]]
            case BaselineTerm():
                cache = self._caches.setdefault(term.column.name, {})
                return self.baselines.look((self.stream, self.by, term.column.name), points.key, points.at_us, self.keys.key, cache)
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

    def _amend(
        self, rows: Rows, vectors: Sequence[Vector], ids: I64, where: npt.NDArray[np.intp], again: Mask | None, times: Times
    ) -> Iterator[Found]:
        """Late records and repeats go into the panes they belong to; what that makes of the past is told apart from what is now."""
        ts = rows.ts[where]
        touched = np.unique(ids)
        if isinstance(self.table, SessionPanes):
            return  # a session that has ended stays as it was
        pane_us, panes = self.table.pane_us, self.table.panes
        low, high = int(ts.min()) // pane_us, int(ts.max()) // pane_us
        before = self.table.history(touched, low, high + panes - 1)
        if again is not None and again[where].any():
            self._replace(touched, low, high, int(rows.seqs[-1]))
        else:
            order = np.argsort(rows.seqs[where], kind="stable")
            at = where[order]
            self.table.load(
                ids[order], rows.ts[at], rows.seqs[at], [v.take(at) for v in vectors], times.before[at], watermark_us=times.end_us
            )
        after = self.table.history(touched, low, high + panes - 1)
        now = self.table.current(touched)
        for watch in self.watches:
            found = self.vectors_of(now, watch.rule.terms)
            holds = now.key[watch.evaluate(found, len(now)) == TRUE]
            yield from self._told_late(watch, before, after, set(holds.tolist()), times, int(rows.seqs[where[-1]]))
            seqs = np.full(len(now), int(rows.seqs[where[-1]]))
            row = np.full(len(now), len(rows))
            yield from watch.take(Points(now.key, row, now.at_us, seqs, now.vectors), found, times, self.keys.key, {})

    def _replace(self, touched: I64, low: int, high: int, up_to_seq: int) -> None:
        """Makes panes anew from the records, as far back as they are kept."""
        assert isinstance(self.table, PaneTable)
        low = max(low, self.table.oldest(touched))
        if low > high:
            return
        for rows in _whole(self.past(low * self.table.pane_us, (high + 1) * self.table.pane_us, up_to_seq), self.tags):
            ids = self.keys.ids(rows.data)
            mine = np.flatnonzero(np.isin(ids, touched))
            vectors = [v.take(mine) for v in self.inputs.of(rows)]
            self.table.replace(touched, low, high, ids[mine], rows.ts[mine], rows.seqs[mine], vectors)

    def _told_late(self, watch: Watch, before: Points, after: Points, holds: set[int], times: Times, seq: int) -> Iterator[Found]:
        """Windows of the past whose condition holds now and did not before: the first of each key. Of keys for which it ``holds`` at
        present only those are past that the watermark has left behind: what came within the lateness is not late."""
        new = self.vectors_of(after, watch.rule.terms)
        true = watch.evaluate(new, len(after)) == TRUE
        if not true.any():
            return
        had = watch.evaluate(self.vectors_of(before, watch.rule.terms), len(before)) == TRUE
        held = set(zip(before.key[had].tolist(), before.at_us[had].tolist(), strict=True))
        told: set[int] = set()
        for place in np.flatnonzero(true).tolist():
            key, at_us = int(after.key[place]), int(after.at_us[place])
            if key in told or (key, at_us) in held or watch.levels.last[key] == TRUE or (key in holds and at_us > times.end_us):
                continue
            told.add(key)
            watch.late += 1
            values = watch.values(new, place)
            signal = Signal(watch.rule.name, self.keys.key(key), What.LATE, at_us, times.end_us, seq, TRUE, values)
            yield Found(len(times.before), BEFORE, at_us, signal)

    def _check_overfull(self, watermark_us: int) -> Iterator[Found]:
        """Keys with more values than are looked at: nothing can be said of them until there are fewer."""
        full = set(self.table.overfull.tolist())
        if full == self.overfull:
            return
        reason = f"more than {VALUES_MAX:,} values in one window; take a shorter one, or an aggregate that keeps none"
        for key in full - self.overfull:
            for watch in self.watches:
                if any(isinstance(t, AggregateTerm) and t.statistic in _RETAINED for t in watch.rule.terms):
                    watch.levels.last[key] = HOLD
                    signal = Signal(watch.rule.name, self.keys.key(key), What.ERROR, watermark_us, watermark_us, None, FALSE, reason=reason)
                    yield Found(2**31, AFTER, watermark_us, signal)
        self.overfull = full


@dataclass(frozen=True, slots=True)
class Order:
    """How the rows of a round stand to the newest of their key, one entry a row with a key."""

    behind: Mask
    """Older than it."""
    back: Back
    """The rows with which keys come back after a silence."""


_RETAINED: Final = frozenset({Statistic.QUANTILE, Statistic.MEDIAN, Statistic.DISTINCT})


def window_groups(
    watches: Sequence[Watch],
    keys: KeySpace,
    by: tuple[str, ...],
    *,
    stream: str,
    baselines: Baselines,
    past: Past,
    lateness_us: int,
    tags: tuple[str, ...] | None,
) -> list[Windowed]:
    """One for each kind of window: rules that have it share all the work but their comparison."""
    groups: dict[tuple[object, ...], list[Watch]] = {}
    for watch in watches:
        options = watch.rule.parsed.options
        groups.setdefault((options.window, options.over_s, options.pane_us, options.gap_s), []).append(watch)
    return [_windowed(of, keys, by, stream, baselines, past, lateness_us, tags) for of in groups.values()]


def _windowed(
    watches: list[Watch],
    keys: KeySpace,
    by: tuple[str, ...],
    stream: str,
    baselines: Baselines,
    past: Past,
    lateness_us: int,
    tags: tuple[str, ...] | None,
) -> Windowed:
    inputs = Inputs()
    wanted: list[Aggregate] = []
    places: dict[AggregateTerm, int] = {}
    for watch in watches:
        for term in watch.rule.terms:
            if isinstance(term, AggregateTerm) and term not in places:
                places[term] = len(wanted)
                wanted.append(_aggregate(term, inputs))
    of_terms: dict[Term, int] = {t: place for t, place in places.items()}  # noqa: C416 - a mapping is of its own kind of keys
    for watch in watches:
        assert watch.rule.parsed.when is not None
        watch.may_hold = may_hold(watch.rule.parsed.when, of_terms)
    options = watches[0].rule.parsed.options
    table: PaneTable | SessionPanes
    if options.gap_s is not None:
        table = SessionPanes(gap_us=round(options.gap_s * 1e6), aggregates=wanted, lateness_us=lateness_us, values_max=VALUES_MAX)
        reach_us = 24 * 3_600_000_000
    else:
        assert options.over_s is not None
        assert options.pane_us is not None
        over_us = round(options.over_s * 1e6)
        mode = Mode.TUMBLING if options.window == "tumbling" else Mode.SLIDING
        late_panes = -(-max(lateness_us, over_us) // options.pane_us)
        table = PaneTable(
            pane_us=options.pane_us,
            panes=over_us // options.pane_us,
            aggregates=wanted,
            mode=mode,
            lateness_panes=late_panes,
            lateness_us=lateness_us,
            values_max=VALUES_MAX,
        )
        reach_us = over_us + late_panes * options.pane_us
    counts_rows = any(a.function is Function.COUNT_ALL for a in wanted)
    return Windowed(table, keys, by, stream, inputs, places, watches, baselines, past, reach_us, tags, counts_rows)


def _aggregate(term: AggregateTerm, inputs: Inputs) -> Aggregate:
    if term.argument is None:
        return Aggregate(Function.COUNT_ALL)
    argument = inputs.add(term.argument)
    if term.statistic is Statistic.MEDIAN:
        return Aggregate(Function.QUANTILE, argument, 0.5)
    return Aggregate(_FUNCTION[term.statistic], argument, term.parameter)


def _whole(parts: Sequence[Rows], tags: tuple[str, ...] | None) -> Iterator[Rows]:
    """The rows of a stretch of time as one, each record once."""
    if parts:
        whole = joined(parts)
        yield whole if tags is None else untwinned(whole, tags)
