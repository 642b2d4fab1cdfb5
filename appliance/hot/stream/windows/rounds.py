"""A round of records by key: sorted, cut into runs of one key and pane, and added up along these runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from appliance.hot.stream.values import I64, Mask
from appliance.hot.stream.windows.aggregates import F64, Numbers, Places

_LAYER_COST = 4.0
_RUN_COST = 1.5
"""What one step of either way to accumulate costs besides its elements, in µs: measured, only the proportion counts."""
_LAYERS_MAX = 8
"""Rows of the longest run up to which runs are better taken layer by layer than each by itself."""


@dataclass
class Round:
    """Rows sorted by key, in their own order within a key. Ids are at least 0; there is at least one row."""

    order: Places
    """Where each row stood."""
    key: I64
    key_starts: Places
    """The first row of each key."""
    starts: Places
    """The first row of each run."""

    @classmethod
    def of(cls, ids: I64) -> Round:
        """Sorted by key; each key is one run until ``cut`` says otherwise."""
        # 16-bit integers are sorted by radix, in a fifth of the time
        order = (ids.astype(np.uint16) if int(ids.max()) < 2**16 else ids).argsort(kind="stable")
        key = ids.take(order)
        starts = np.concatenate((_ZERO, np.flatnonzero(key[1:] != key[:-1]) + 1))
        return cls(order, key, starts, starts)

    def cut(self, differs: Mask) -> None:
        """Begins a run at each row with ``differs`` (one for each row but the first) as well as at each key."""
        changed = differs.copy()
        changed[self.key_starts[1:] - 1] = True
        self.starts = np.concatenate((_ZERO, np.flatnonzero(changed) + 1))
        for name in ("lengths", "run_of", "ends", "single", "_layers", "_plan"):
            self.__dict__.pop(name, None)

    def __len__(self) -> int:
        return len(self.key)

    @cached_property
    def key_ends(self) -> Places:
        """The last row of each key."""
        ends = np.empty_like(self.key_starts)
        ends[:-1], ends[-1] = self.key_starts[1:], len(self.key)
        ends -= 1
        return ends

    @cached_property
    def keys(self) -> I64:
        """The keys that there are, rising."""
        return self.key.take(self.key_starts)

    @cached_property
    def lengths(self) -> Places:
        """Rows of each run."""
        lengths = np.empty_like(self.starts)
        lengths[:-1] = self.starts[1:]
        lengths[-1] = len(self.key)
        lengths -= self.starts
        return lengths

    @cached_property
    def single(self) -> bool:
        """Whether each run is one row."""
        return len(self.starts) == len(self.key)

    @cached_property
    def run_of(self) -> Places:
        """The run of each row."""
        return np.arange(len(self.key)) if self.single else np.repeat(np.arange(len(self.starts)), self.lengths)

    @cached_property
    def ends(self) -> Places:
        """The last row of each run."""
        return self.starts + self.lengths - 1

    def accumulate(self, function: np.ufunc, values: Numbers) -> None:
        """Each element becomes ``function`` of the one before it in its run and itself: strictly one after the other, in place."""
        if self.single:
            return
        long, layers = self._plan
        for start, stop in long:
            function.accumulate(values[start:stop], out=values[start:stop])
        for rows in layers:
            values[rows] = function(values[rows - 1], values[rows])

    def chained(self, some: Places | slice, begin: F64, values: Numbers) -> F64:
        """Of each run the sum of its values, with ``begin`` before those of ``some`` runs, added strictly one after the other."""
        if self.single:
            terms = np.asarray(values + 0.0, dtype=np.float64)
            terms[some] += begin
            return terms
        terms = np.array(values, dtype=np.float64)
        terms[self.starts[some]] += begin
        # bincount adds in the order of what it is given
        return np.asarray(np.bincount(self.run_of, weights=terms), dtype=np.float64)

    def extreme(self, function: np.ufunc, values: Numbers) -> Numbers:
        """Of each run the ``function``, which is ``np.minimum`` or ``np.maximum``, of its values, none of which is NaN."""
        if self._layers is None:
            return np.asarray(function.reduceat(values, self.starts))
        found = values.take(self.starts)
        for runs, rows in self._layers:
            if runs is None:
                function(found, values.take(rows), out=found)
            else:
                found[runs] = function(found.take(runs), values.take(rows))
        return found

    @cached_property
    def _layers(self) -> list[tuple[Places | None, Places]] | None:
        """Runs (None: all) with a second row and these rows, with a third, and so on; None where some are too long for that."""
        longest = int(self.lengths.max())
        if longest > _LAYERS_MAX:
            return None
        reach = [np.flatnonzero(self.lengths > layer) for layer in range(1, longest)]
        whole = len(self.starts)
        return [(None if len(runs) == whole else runs, self.starts.take(runs) + layer) for layer, runs in enumerate(reach, 1)]

    @cached_property
    def _plan(self) -> tuple[list[tuple[int, int]], list[Places]]:
        """Long runs go each by itself, short ones all together layer by layer; the border is where the whole is cheapest."""
        order = np.argsort(-self.lengths, kind="stable")
        lengths = self.lengths[order]
        ahead = np.arange(len(lengths) + 1)
        long = int(np.argmin(ahead * _RUN_COST + np.append(lengths, 1) * _LAYER_COST))
        runs = [(start, start + length) for start, length in zip(self.starts[order[:long]].tolist(), lengths[:long].tolist(), strict=True)]
        starts, rest = self.starts[order[long:]], lengths[long:]
        longest = int(rest[0]) if len(rest) else 1
        # lengths fall, so the runs that reach a layer come first
        reach = len(rest) - np.searchsorted(rest[::-1], np.arange(1, longest), side="right")
        return runs, [starts[:count] + layer for layer, count in enumerate(reach.tolist(), 1)]


_ZERO = np.zeros(1, dtype=np.intp)
