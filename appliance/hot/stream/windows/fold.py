"""Many windows over the same panes: each is combined of a few stretches of 1, 2, 4, … panes that are made once for all.

A window's stretches depend on the number of panes with content that it has, on nothing else: so its sums have the same bits whenever
and beside whichever others it is asked for.
"""

from __future__ import annotations

import numpy as np

from appliance.hot.stream.values import I64
from appliance.hot.stream.windows.aggregates import State
from appliance.hot.stream.windows.layout import Layout
from appliance.hot.stream.windows.ring import Ring
from appliance.hot.stream.windows.state import blank, pick, put

_LENGTHS_MAX = 6
"""Different lengths of windows up to which each is combined by itself."""


class Stretches:
    """Over the states of panes one after the other (those of one key in order of time, the keys one behind the other)."""

    def __init__(self, layout: Layout, panes: State) -> None:
        """``panes`` are the stretches of one."""
        self._layout = layout
        self._levels = [panes]

    def window(self, starts: I64, counts: I64) -> State:
        """The panes ``starts[i] … starts[i] + counts[i] - 1`` as one, for each i; 0 panes give one without records."""
        out = blank(self._layout.columns, len(starts))
        longest = int(counts.max()) if len(counts) else 0
        place = starts.astype(np.int64)
        for level in range(longest.bit_length()):
            panes = self._level(level)
            has = (counts >> level) & 1 == 1
            if has.all():
                out = self._layout.combine(out, pick(panes, place))
                place += 1 << level
            elif has.any():
                rows = np.flatnonzero(has)
                put(out, rows, self._layout.combine(pick(out, rows), pick(panes, place[rows])))
                place[rows] += 1 << level
        return out

    def _level(self, level: int) -> State:
        """Stretches of ``2 ** level`` panes from each pane on; those that reach into the next key are not used."""
        while len(self._levels) <= level:
            panes, half = self._levels[-1], 1 << (len(self._levels) - 1)
            first = {name: column[:-half] for name, column in panes.items()}
            second = {name: column[half:] for name, column in panes.items()}
            self._levels.append(self._layout.combine(first, second))
        return self._levels[level]


def newest_windows(layout: Layout, ring: Ring, ids: I64, skip: I64) -> State:
    """Of each key the closed panes from the ``skip``-th on as one: what ``Stretches`` would give, at less cost for one window a key."""
    counts = ring.count[ids] - skip
    out = blank(layout.columns, len(ids))
    lengths = np.unique(counts).tolist()
    if len(lengths) > _LENGTHS_MAX:
        panes = pick(ring.state, ring.places(ids, skip, counts))
        return Stretches(layout, panes).window(np.cumsum(counts) - counts, counts)
    for length in lengths:
        some = np.flatnonzero(counts == length)
        put(out, some, _equally_long(layout, ring, ids[some], skip[some], length))
    return out


def _equally_long(layout: Layout, ring: Ring, ids: I64, skip: I64, length: int) -> State:
    out = blank(layout.columns, len(ids))
    for level in range(length.bit_length()):
        if length >> level & 1:
            block = pick(ring.state, ring.blocks(ids, skip, 1 << level))
            for _ in range(level):
                first, second = ({name: column[start::2] for name, column in block.items()} for start in (0, 1))
                block = layout.combine(first, second)
            out = layout.combine(out, {name: column[0] for name, column in block.items()})
            skip = skip + (1 << level)
    return out
