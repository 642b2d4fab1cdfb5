"""A table of windows that looks only at what may make a rule speak.

As long as a rule is false of a key, and the bounds of all values rule out that its condition holds in any window of that key, the key's
records wait here; they go into the panes many at a time, without points. Keys of which that can't be said are *loud*: their records are
looked at as they come. So nothing that a rule would have told is missed or later; only what nobody would have heard of is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np

from appliance.hot.stream.bounds import NOTHING, UNKNOWN, Bounds, union
from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.values import FALSE, I64, Extent, Mask, Points, Vector
from appliance.hot.stream.waiting import Batches, Part, batch_of, joined, parted
from appliance.hot.stream.watch import Watch
from appliance.hot.stream.windows.aggregates import FAR, Aggregate
from appliance.hot.stream.windows.store import Store
from appliance.hot.stream.windows.table import PaneTable

ROWS_MAX: Final = 16_384
"""Records that wait at most; of each table some fewer, so that not all put theirs into the panes in one round."""
AWAKE_ROUNDS: Final = 32
"""Rounds for which all keys are looked at once that was necessary: putting all windows together costs as much as some rounds."""
_SPREAD: Final = 2_654_435_761
"""Knuth's multiplier: lengths of windows, which are round numbers, become numbers all over the place."""
LOUD_SHARE: Final = 0.5
"""Of the keys: when more are loud, all are looked at."""
_SHARES: Final = (1.0, 0.99, 0.9, 0.5)
"""Of the values of a round beyond what was there before: how many may be what is usual now."""


class QuietTable(PaneTable):
    """As ``PaneTable``; points that no rule can speak at may be missing. For tables that ``absorb``."""

    def __init__(
        self,
        *,
        pane_us: int,
        panes: int,
        aggregates: Sequence[Aggregate],
        arguments: int,
        watches: Sequence[Watch],
        batches: Batches,
        lateness_panes: int = 0,
        lateness_us: int = 0,
    ) -> None:
        """``arguments`` is the number of input vectors, ``watches`` are all rules that ask: each must have a ``may_hold``; ``batches`` is
        what it shares with other tables of the same keys."""
        self._batches = batches
        self._parts: list[Part] = []
        self._rows = 0
        self._late: list[I64] = []
        """Keys with late records among those that wait."""
        self._end_us = NEVER
        self._is_open = False
        super().__init__(pane_us=pane_us, panes=panes, aggregates=aggregates, lateness_panes=lateness_panes, lateness_us=lateness_us)
        assert self.absorbs
        self._watches = watches
        self._usual = Bounds(aggregates, arguments, over_us=panes * pane_us)
        """Of all records but those that stand out."""
        self._whole = Bounds(aggregates, arguments, over_us=panes * pane_us)
        """Of all records, as long as they are kept: of windows of the past too."""
        self._usual_version = self._whole_version = -1
        self._is_quiet = False
        self._possible: frozenset[str] = frozenset()
        self._awake = 0
        self._wanted: I64 = np.empty(0, np.int64)
        self._spike_us: I64 = np.empty(0, np.int64)
        """By key: the newest of its records that stand out; ``NEVER`` where no window has one."""
        self._spikes = 0
        """Keys with such records."""
        self._was_loud: Mask = np.empty(0, np.bool_)

    # --- what all of the table goes through -------------------------------------------------------------------------------

    @property
    def _store(self) -> Store:
        """With all records that have come, but while loud keys alone are looked at."""
        if not self._is_open:
            self.settle()
        return self._kept

    @_store.setter
    def _store(self, store: Store) -> None:
        self._kept = store

    @property
    def watermark_us(self) -> int:
        """Up to which time points have been given, or are known to say nothing."""
        return max(self._kept.watermark_us, self._end_us)

    @property
    def overfull(self) -> I64:
        """As ``PaneTable.overfull``: no values are kept."""
        return self._wanted[:0]

    @property
    def is_ordered(self) -> bool:
        """As ``PaneTable.is_ordered``."""
        return self._kept.layout.is_ordered

    def settle(self) -> None:
        """Puts what waits into the panes."""
        if self._is_open or not (self._parts or self._kept.watermark_us < self._end_us):
            return
        parts, late = self._parts, self._late
        self._parts, self._rows, self._late = [], 0, []
        with self._opened():
            if not late:
                batch = self._batches.of(parts)
            else:
                slow, rest = parted(joined(parts), np.unique(np.concatenate(late)))
                super().load(slow.ids, slow.ts, slow.seqs, slow.vectors, slow.watermark, watermark_us=NEVER)
                parts = [rest] if len(rest.ids) else []
                batch = batch_of(parts)
            super().absorb(batch, list(zip(*(part.vectors for part in parts), strict=True)), watermark_us=self._end_us)

    # --- records and time -------------------------------------------------------------------------------------------------

    def take(
        self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, watermark_us: int, watched: Mask | None = None
    ) -> Points:
        """As ``PaneTable.take``, but for points at which no rule can speak."""
        assert watched is None
        if not len(ids):
            return self.advance(watermark_us)
        self._note(ids, ts, vectors)
        loud = self._loud(ids, vectors)
        self._wanted = self._wanted[:0]
        if loud is None:
            return super().take(ids, ts, seqs, vectors, watermark, watermark_us=watermark_us)
        waits = ~loud.take(ids)
        part = Part(ids, ts, seqs, list(vectors), watermark)
        if waits.all():
            self._wait(part)
        elif waits.any():
            self._wait(part.take(np.flatnonzero(waits)))
        self._end_us = max(self._end_us, watermark_us)
        return self._look(loud, lambda: PaneTable.take(self, ids, ts, seqs, vectors, watermark, watermark_us=watermark_us, watched=loud))

    def puts_off(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, watermark_us: int, late: I64) -> bool:
        """Keeps a round with late records (``late``: of which keys) for later, since nothing comes of it; False: it has to be looked at."""
        self._note(ids, ts, vectors)
        loud = self._loud(ids, vectors)
        if loud is None or loud.any() or any(self.can_hold(w) for w in self._watches):
            return False
        self._late.append(late)
        self._wait(Part(ids, ts, seqs, list(vectors), watermark))
        self._end_us = max(self._end_us, watermark_us)
        return True

    def advance(self, watermark_us: int, watermark: I64 | None = None, watched: Mask | None = None) -> Points:
        """As ``PaneTable.advance``, but for points at which no rule can speak."""
        if watched is not None:
            return super().advance(watermark_us, watermark, watched)
        loud = self._loud(self._wanted[:0], ())
        if loud is None:
            return super().advance(watermark_us)
        self._end_us = max(self._end_us, watermark_us)
        return self._look(loud, lambda: PaneTable.advance(self, watermark_us, None, loud))

    def load(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, watermark_us: int) -> None:
        """As ``PaneTable.load``."""
        if len(ids):
            self._note(ids, ts, vectors)
        super().load(ids, ts, seqs, vectors, watermark, watermark_us=watermark_us)

    def replace(self, affected: I64, pane_from: int, pane_to: int, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector]) -> None:
        """As ``PaneTable.replace``."""
        if len(ids):
            self._note(ids, ts, vectors)
        super().replace(affected, pane_from, pane_to, ids, ts, seqs, vectors)

    def want(self, ids: I64) -> None:
        """In the next round these keys are looked at, whatever they hold."""
        self._wanted = ids

    def can_hold(self, watch: Watch) -> bool:
        """Whether a rule's condition may hold in any window there is."""
        if self._whole_version != self._whole.version:
            self._whole_version = self._whole.version
            self._possible = frozenset(w.rule.name for w in self._watches if w.may_hold is None or w.may_hold(self._whole))
        return watch.rule.name in self._possible

    def _look(self, loud: Mask, act: Callable[[], Points]) -> Points:
        """Points of loud keys alone; what waits goes on waiting."""
        if not loud.any():
            return _NOTHING
        with self._opened():
            return act()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """Meanwhile the table is what has been put into the panes."""
        was, self._is_open = self._is_open, True
        try:
            yield
        finally:
            self._is_open = was

    def _wait(self, part: Part) -> None:
        if self._parts and [v.values.dtype for v in part.vectors] != [v.values.dtype for v in self._parts[0].vectors]:
            self.settle()
        self._parts.append(part)
        self._rows += len(part.ids)
        if self._batches.is_flood:
            if self._batches.is_due or self._rows >= 2 * ROWS_MAX:
                self.settle()
        elif self._rows >= ROWS_MAX - self.panes * self.pane_us * _SPREAD % 2**32 % (ROWS_MAX // 2):
            self.settle()

    # --- what stands out --------------------------------------------------------------------------------------------------

    def _note(self, ids: I64, ts: I64, vectors: Sequence[Vector]) -> None:
        """Takes the values of records into account before they go anywhere."""
        round_ = self._batches.facts(ids, ts)
        self._reserve(round_.keys)
        most = round_.most if self._whole.counts else 0
        oldest_us, newest_us, extents = round_.oldest_us, round_.newest_us, [v.extent for v in vectors]
        usual = union(self._usual.extents, extents)
        if usual != self._usual.extents and not self._is_quiet_within(usual):
            usual = self._widened(vectors, extents)
            out = np.zeros(len(ids), np.bool_)
            for vector, (low, high) in zip(vectors, usual, strict=True):
                out |= vector.valid & ~((vector.values >= low) & (vector.values <= high)) if vector.texts is None else True
            self._stand_out(ids[out], ts[out])
            extents = [_within(extent, limits) for extent, limits in zip(extents, usual, strict=True)]
        whole, back_us = [v.extent for v in vectors], self._usual.forgotten_us
        if oldest_us - self.panes * self.pane_us < back_us:
            old = np.flatnonzero(ts - self.panes * self.pane_us < back_us)
            self._stand_out(ids[old], np.full(len(old), back_us))
        if oldest_us - self.panes * self.pane_us < self._whole.forgotten_us:
            whole = [UNKNOWN] * len(vectors)
        is_time = self._usual.note(extents, most, newest_us)
        self._whole.note(whole, most, newest_us)
        if is_time:
            with self._opened():  # what waits makes it later, but of keys that only wait
                first_us = min([oldest_us, *(int(part.ts.min()) for part in self._parts)])
                begin_us = min(self.begin_us, first_us - self.panes * self.pane_us)
            self._usual.forget(begin_us)
            self._whole.forget(begin_us - (self.kept_panes - self.panes) * self.pane_us if begin_us < FAR else FAR)

    def _stand_out(self, ids: I64, ts: I64) -> None:
        np.maximum.at(self._spike_us, ids, ts)
        self._spikes = int(np.count_nonzero(self._spike_us != NEVER))

    def _widened(self, vectors: Sequence[Vector], extents: Sequence[Extent]) -> list[Extent]:
        """The usual extents with as much of these values as leaves every rule quiet, an argument and a side after the other."""
        usual = list(self._usual.extents)
        for place, (vector, extent) in enumerate(zip(vectors, extents, strict=True)):
            if vector.texts is not None or not extent[0] <= extent[1]:
                continue
            for share in _SHARES:
                low, high = extent if share == 1.0 else np.quantile(vector.values[vector.valid], (1 - share, share)).tolist()
                tried = [*usual]
                tried[place] = union([usual[place]], [(low, high)])[0]
                if self._is_quiet_within(tried):
                    usual = tried
                    break
        return usual

    def _is_quiet_within(self, extents: Sequence[Extent]) -> bool:
        bounds = self._usual.with_extents(extents)
        return not any(w.may_hold is None or w.may_hold(bounds) for w in self._watches)

    def _loud(self, ids: I64, vectors: Sequence[Vector]) -> Mask | None:
        """The keys that are looked at, by id; None: all."""
        if self._usual_version != self._usual.version:
            self._usual_version = self._usual.version
            self._is_quiet = self._is_quiet_within(self._usual.extents)
        loud = self._loud_keys() if self._is_quiet and not any(v.texts is not None for v in vectors) else None
        if loud is None or np.count_nonzero(loud) > LOUD_SHARE * len(loud):
            self._awake = AWAKE_ROUNDS
            return None
        if self._awake:
            self._awake -= len(ids) > 0
            return None
        if (loud > self._was_loud[: len(loud)]).any():
            self.settle()
        self._was_loud = loud
        return loud

    def _loud_keys(self) -> Mask | None:
        """Keys that hold records that stand out, of which a rule is not false, or that were asked for; None when each point is wanted."""
        loud = np.zeros(len(self._spike_us), np.bool_)
        if self._spikes:
            self._let_go()
            loud |= self._spike_us != NEVER
        for watch in self._watches:
            if not watch.is_calm:
                if watch.is_observed:
                    return None
                last = watch.levels.last[: len(loud)]
                loud[: len(last)] |= last != FALSE
        loud[self._wanted] = True
        return loud

    def _let_go(self) -> None:
        """Keys whose windows have left behind what stood out."""
        keys = np.flatnonzero(self._spike_us != NEVER)
        keys = keys[keys < len(self._kept.pane)]
        pane = self._kept.pane[keys]
        over = keys[(pane != NEVER) & ((pane - self.panes + 1) * self.pane_us > self._spike_us[keys])]
        self._spike_us[over] = NEVER
        self._spikes -= len(over)

    def _reserve(self, keys: int) -> None:
        new = keys - len(self._spike_us)
        if new > 0:
            self._spike_us = np.append(self._spike_us, np.full(new, NEVER, np.int64))
            self._was_loud = np.append(self._was_loud, np.zeros(new, np.bool_))


_NONE: Final = np.empty(0, np.int64)
_NOTHING: Final = Points(_NONE, _NONE, _NONE, _NONE, ())


def _within(extent: Extent, limits: Extent) -> Extent:
    """The part of an extent that lies within limits."""
    low, high = max(extent[0], limits[0]), min(extent[1], limits[1])
    return (low, high) if low <= high else NOTHING
