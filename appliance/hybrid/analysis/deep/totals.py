"""Series that only count up, as rates: what the deep pass looks at of them, as the first pass does. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.tables import Series
from appliance.hybrid.analysis.deep.values import F64

CELLS_MIN: Final = 24
"""Of fewer cells nothing is told."""
FALLS_MAX: Final = 0.02
"""The part of its cells in which a counter may begin anew."""
RISES_MIN: Final = 0.5
US_PER_S: Final = 1_000_000


def is_total(series: Series) -> bool:
    """Whether it counts up: never negative, it hardly ever falls, and rises more often than not; whole numbers, where single ones are
    known."""
    if len(series.mean) < CELLS_MIN or float(series.mean.min()) < 0:
        return False
    change = np.diff(series.mean)
    ends = np.concatenate((series.low, series.high))
    whole = bool(np.isnan(ends).all() or (np.isfinite(ends).all() and (ends == np.floor(ends)).all()))
    return whole and float((change < 0).mean()) <= FALLS_MAX and float((change > 0).mean()) >= RISES_MIN


def as_rates(series: Series, *, step_us: int) -> Series:
    """What it rose by, a second, from the cell before to each but the first; without those in which it began anew."""
    seconds = np.diff(series.cells) * step_us / US_PER_S
    rates: F64 = np.diff(series.mean) / seconds
    kept = rates >= 0
    none = np.full(int(kept.sum()), np.nan)
    return replace(series, cells=series.cells[1:][kept], count=series.count[1:][kept], mean=rates[kept], low=none, high=none)
