"""The rules of one stream that have the same keys: records are sorted by key once, and what rules share is done once.

Each rule is fed from one of its groups: conditions on single records here, windows in ``windowed``; silence is watched for all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.clock import US_PER_S
from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.gaps import Gaps
from appliance.hot.stream.keys import KeySpace
from appliance.hot.stream.quiet import Extremes
from appliance.hot.stream.terms import RecordTerms
from appliance.hot.stream.values import I64, TRUE, Key, Mask, Points, Rows, Signal, What
from appliance.hot.stream.waiting import Batches
from appliance.hot.stream.watch import BACK, BEFORE, Back, Found, Times, Watch, back_signal, gap_signal
from appliance.hot.stream.windowed import Order, Windowed
from appliance.hot.stream.windows.rounds import Round

LAST_ROW: Final = 2**31
"""Behind all rows of a round."""
LATE_SIGNALS_MAX: Final = 100
"""Late records of one round that are told of one rule; what is above is counted."""


@dataclass(slots=True)
class GapGroup:
    """Rules for which silence of the same length means something."""

    gaps: Gaps
    rules: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Keyed:
    """Owned by the plan of the stream."""

    by: tuple[str, ...]
    keys: KeySpace
    lateness_us: int
    terms: RecordTerms
    """Of all rules whose condition is about single records."""
    records: list[Watch] = field(default_factory=list)
    """Those rules."""
    windows: list[Windowed] = field(default_factory=list)
    batches: Batches = field(default_factory=Batches)
    """What the windows share of a round."""
    gaps: list[GapGroup] = field(default_factory=list)
    expected: dict[Key, dict[str, int]] = field(default_factory=dict)
    """Levels of alerts that are stored of keys that have not come yet, by rule."""
    newest_us: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    """Event time of the newest record of each key; ``NEVER`` where there was none."""

    _seen: int = 0
    _second: int = 0
    """Up to which whole second of event time ``time_since`` was looked at."""

    def grow(self) -> None:
        """Makes room for all keys that there are."""
        keys = len(self.keys)
        if keys == self._seen:
            return
        new = keys - len(self.newest_us)
        if new > 0:
            self.newest_us = np.append(self.newest_us, np.full(max(new, len(self.newest_us)), NEVER, np.int64))
        for watch in self.watches():
            watch.levels.grow(keys)
        if self.expected and keys > self._seen:
            for key in range(self._seen, keys):
                for rule, level in self.expected.pop(self.keys.key(key), {}).items():
                    next(w for w in self.watches() if w.rule.name == rule).levels.put(key, level)
        self._seen = keys
        for group in self.gaps:
            group.gaps.grow(keys)

    def watches(self) -> Iterator[Watch]:
        """Every rule with a condition."""
        yield from self.records
        for window in self.windows:
            yield from window.watches

    def know(self, rows: Rows, ts: I64) -> None:
        """Records of the past by which keys are known, and when each was heard last."""
        ids = self.keys.ids_of(rows)
        self.grow()
        kept = ids >= 0
        np.maximum.at(self.newest_us, ids[kept], ts[kept])

    def load(self, rows: Rows, ts: I64, times: Times, repeats: Mask | None) -> None:
        """Records that were evaluated before: they fill the windows. ``repeats`` are those that correct others."""
        ids = self.keys.ids_of(rows)
        self.grow()
        kept = np.flatnonzero(ids >= 0)
        np.maximum.at(self.newest_us, ids[kept], ts[kept])
        if len(kept):
            order = kept[np.lexsort((kept, ids[kept]))]
            self.terms.take(rows, ids[order], order, ts[order])
            for window in self.windows:
                window.load(rows, ids[kept], kept, times, repeats)

    def current(self, names: Collection[str], latest: Rows, watermark_us: int) -> Iterator[Found]:
        """What rules say of how things stand: of the last record of each key, and of the windows as they are."""
        ids = self.keys.ids(latest.data)
        self.grow()
        ts = latest.ts
        where = np.lexsort((latest.seqs, ts, ids))
        where = where[ids[where] >= 0]
        key = ids[where]
        if not len(key):
            return
        where = where[np.append(key[1:] != key[:-1], True)]
        key = ids[where]
        times = Times(np.full(len(latest), watermark_us), watermark_us)
        points = Points(key, where.astype(np.int64), ts[where], latest.seqs[where], ())
        vectors = self.terms.look(latest, key, where, ts[where])
        for watch in self.records:
            if watch.rule.name in names:
                yield from watch.take(points, self.terms.of(vectors, watch.rule), times, self.keys.key, {})
        for window in self.windows:
            yield from window.current(names, key, watermark_us)

    def take(self, rows: Rows, ts: I64, times: Times, repeats: Mask | None, *, silence_counts: bool) -> Iterator[Found]:
        """All that the rules of these keys say of a round. ``repeats`` are records that may have been there before."""
        ids = self.keys.ids_of(rows)
        self.grow()
        kept = None if (ids >= 0).all() else np.flatnonzero(ids >= 0)
        if kept is not None:
            if not len(kept):
                return
            ids = ids[kept]
        sorted_rows = Round.of(ids)
        where = sorted_rows.order if kept is None else kept[sorted_rows.order]
        stamps = ts[where]
        before = self._advance_newest(sorted_rows, stamps)
        silences, back = self._silences(sorted_rows, where, before, stamps, rows, times, silence_counts)
        yield from silences
        if self.records:
            late = stamps < before - self.lateness_us
            if repeats is not None:
                late |= repeats[where] & (stamps < before)
            yield from self._records(sorted_rows, where, late, rows, stamps, times, back)
        if self.windows:
            behind, newest = np.empty(len(ids), np.bool_), np.empty(len(ids), np.int64)
            behind[sorted_rows.order], newest[sorted_rows.order] = stamps < before, before
            placed = np.arange(len(ids)) if kept is None else kept
            self.batches.begin(len(ids))
            for window in self.windows:
                yield from window.take(rows, ids, placed, times, Order(behind, newest, back), repeats)
            self.batches.end()

    def advance(self, times: Times, *, silence_counts: bool) -> Iterator[Found]:
        """What time alone does, the records of the round (if any) being in."""
        watermark_us = times.end_us
        keys = len(self.keys)
        for group in self.gaps if silence_counts else ():
            fell = group.gaps.advance(self.newest_us[:keys], watermark_us)
            for watch in self.watches() if len(fell) else ():
                if watch.silence_us == group.gaps.after_us:
                    watch.levels.forget(fell)
            for key in fell.tolist():
                at_us = group.gaps.fell_us(int(self.newest_us[key]), key)
                row = int(np.searchsorted(times.before, at_us))
                for rule in group.rules:
                    yield Found(row, BEFORE, at_us, gap_signal(rule, self.keys.key(key), at_us, watermark_us=times.at(row)))
        for window in self.windows:
            yield from window.advance(watermark_us)
        if self.terms.ticks:
            yield from self._tick(watermark_us)

    def _tick(self, watermark_us: int) -> Iterator[Found]:
        """Conditions that become true by time alone, looked at once for each whole second that is new."""
        second = watermark_us // US_PER_S
        if second <= self._second:
            return
        self._second = second
        at_us = second * US_PER_S
        key, vectors = self.terms.tick(at_us)
        if len(key):
            never = np.full(len(key), -1, np.int64)
            points = Points(key, np.full(len(key), LAST_ROW, np.int64), np.full(len(key), at_us, np.int64), never, ())
            times = Times(np.empty(0, np.int64), watermark_us)
            for watch in self.records:
                yield from watch.take(points, self.terms.of(vectors, watch.rule), times, self.keys.key, {})

    def _advance_newest(self, rows: Round, ts: I64) -> I64:
        """The newest time of the key just before each row, all in the order of ``rows``; the rows are taken in."""
        newest = ts.copy()
        first = self.newest_us[rows.keys]
        newest[rows.key_starts] = np.maximum(newest[rows.key_starts], first)
        rows.accumulate(np.maximum, newest)
        self.newest_us[rows.keys] = newest[rows.key_ends]
        before = np.empty_like(newest)
        before[1:] = newest[:-1]
        before[rows.key_starts] = first
        return before

    def _silences(
        self, rows: Round, where: npt.NDArray[np.intp], before: I64, ts: I64, data: Rows, times: Times, counts: bool
    ) -> tuple[list[Found], Back]:
        """Where keys fell silent before a record, and with which they come back."""
        signals: list[Found] = []
        rows_back: dict[int, I64] = {}
        for group in self.gaps:
            gone = group.gaps.take(rows, before, ts, times.before[where])
            back = gone.back
            for place in gone.fell.tolist() if counts else ():
                at_us, key = int(gone.last_us[place]) + group.gaps.after_us, self.keys.key(int(rows.key[place]))
                row = int(np.searchsorted(times.before, at_us))
                signals += [Found(row, BEFORE, at_us, gap_signal(r, key, at_us, watermark_us=times.at(row))) for r in group.rules]
            for place in back.tolist():
                row, key, at_us = int(where[place]), self.keys.key(int(rows.key[place])), int(ts[place])
                seq, watermark_us = int(data.seqs[row]), times.at(row)
                signals += [Found(row, BACK, at_us, back_signal(r, key, at_us, watermark_us=watermark_us, seq=seq)) for r in group.rules]
            if len(back):
                rows_back[group.gaps.after_us] = where[back].astype(np.int64)
            group.gaps.disturb(int(ts.min()))
        return signals, rows_back

    def _records(
        self, rows: Round, where: npt.NDArray[np.intp], late: Mask, data: Rows, ts: I64, times: Times, back: Back
    ) -> Iterator[Found]:
        """Conditions on single records. A late one changes nothing: it says what would have been."""
        timely = slice(None) if not late.any() else np.flatnonzero(~late)
        picked = where[timely]
        key, seqs = rows.key[timely], data.seqs[picked]
        vectors = self.terms.take(data, key, picked, ts[timely])
        points = Points(key, picked.astype(np.int64), ts[timely], seqs, ())
        extremes = Extremes(vectors)
        for watch in self.records:
            if not watch.rests(extremes, back):
                yield from watch.take(points, self.terms.of(vectors, watch.rule), times, self.keys.key, back)
        if isinstance(timely, np.ndarray):
            yield from self._late(rows, np.flatnonzero(late), where, ts, data, times)
        else:
            for watch in (w for w in self.records if w.held_late):
                watch.held_late.difference_update(rows.keys.tolist())

    def _late(
        self, rows: Round, old: npt.NDArray[np.intp], where: npt.NDArray[np.intp], ts: I64, data: Rows, times: Times
    ) -> Iterator[Found]:
        """Of each run of late records of a key at which a condition holds, the first is told."""
        key, where, ts = rows.key[old], where[old], ts[old]
        follows = np.append(False, (old[1:] == old[:-1] + 1) & (key[1:] == key[:-1]))
        starts, ends = np.isin(old, rows.key_starts), np.isin(old, rows.key_ends)
        vectors = self.terms.look(data, key, where, ts)
        for watch in self.records:
            mine = self.terms.of(vectors, watch.rule)
            true = watch.evaluate(mine, len(key)) == TRUE
            again = follows & np.append(False, true[:-1])
            if watch.held_late:
                again |= starts & np.isin(key, list(watch.held_late))
                watch.held_late.difference_update(rows.keys.tolist())
            watch.held_late.update(key[true & ends].tolist())
            watch.late += int(true.sum())
            for place in np.flatnonzero(true & ~again)[:LATE_SIGNALS_MAX].tolist():
                row = int(where[place])
                signal = Signal(
                    watch.rule.name,
                    self.keys.key(int(key[place])),
                    What.LATE,
                    int(ts[place]),
                    times.at(row),
                    int(data.seqs[row]),
                    TRUE,
                    watch.values(mine, place),
                )
                yield Found(row, BEFORE, int(ts[place]), signal)


def ordered(found: Sequence[Found]) -> list[Signal]:
    """Signals in the order of happening."""
    return [f.signal for f in sorted(found, key=_place)]


def _place(found: Found) -> tuple[int, int, int, bool]:
    """What leaves a window at the time at which its key falls silent comes first, whoever found it first."""
    return found.row, found.rank, found.at_us, found.signal.what is What.GAP
