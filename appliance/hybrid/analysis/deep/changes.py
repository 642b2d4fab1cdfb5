"""Change points: where the level of a series becomes another one for good. Pure.

PELT (Killick, Fearnhead, Eckley, 2012) over means with the squared error as cost: exact, and nearly linear where changes are many. It sees
values without their season, medians of three (one spike is no change), and tells only of changes that are large against the spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.values import F64

CELLS_MAX: Final = 1_500
"""Of longer series medians of blocks are looked at."""
PENALTY: Final = 3.0
"""Times variance times log(n): Yao (1988) takes 2 for independent noise; what is measured hangs together, so a change has to say more."""
SPREADS_MIN: Final = 3.0
"""A change that is told lies at least so many spreads between its levels."""
CELLS_MIN: Final = 4
"""Cells that a level lasts at least."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of level."""

    cell: int
    """The first of the new level."""
    before: float
    after: float
    spreads: float
    """Size, in spreads."""
    lasts: int
    """Cells of the new level."""


def change_points(values: F64, spread: float) -> list[Change]:
    """The changes of a finite series without its season, in order; ``spread`` is its usual one, above zero."""
    if len(values) < 2 * CELLS_MIN:
        return []
    block = -(-len(values) // CELLS_MAX)
    x = _blocks(values, block)
    smooth = np.median(np.stack([np.r_[x[:1], x[:-1]], x, np.r_[x[1:], x[-1:]]]), axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.clip((smooth - np.median(smooth)) / spread, -1e6, 1e6)
    ends = [*_pelt(scaled, PENALTY * float(np.log(len(x)))), len(x)]
    found: list[Change] = []
    begins = [0, *ends[:-1]]
    levels = [float(np.median(x[a:b])) for a, b in zip(begins, ends, strict=True)]
    for i in range(1, len(begins)):
        size = abs(levels[i] - levels[i - 1]) / spread
        if size >= SPREADS_MIN:
            lasts = (ends[i] - begins[i]) * block
            found.append(Change(min(begins[i] * block, len(values) - 1), levels[i - 1], levels[i], size, lasts))
    return found


def _pelt(x: F64, penalty: float) -> list[int]:
    """Beginnings of all segments but the first, of the segmentation with the least squared error plus ``penalty`` for each."""
    n = len(x)
    sums, squares = np.r_[0.0, np.cumsum(x)], np.r_[0.0, np.cumsum(x * x)]
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    last = np.zeros(n + 1, np.int64)
    candidates = np.zeros(1, np.int64)
    for end in range(CELLS_MIN, n + 1):
        size = end - candidates
        cost = best[candidates] + squares[end] - squares[candidates] - (sums[end] - sums[candidates]) ** 2 / size + penalty
        choice = int(cost.argmin())
        best[end], last[end] = cost[choice], candidates[choice]
        candidates = np.r_[candidates[cost - penalty <= best[end]], end - CELLS_MIN + 1]
    found: list[int] = []
    at = int(last[n])
    while at > 0:
        found.append(at)
        at = int(last[at])
    return found[::-1]


def _blocks(values: F64, block: int) -> F64:
    if block == 1:
        return values
    padded = np.r_[values, np.full(-len(values) % block, values[-1])]
    return np.asarray(np.median(padded.reshape(-1, block), axis=1), np.float64)
