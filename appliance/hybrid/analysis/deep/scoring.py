"""Scores of records with what came before and after them: what the first pass would have said, had it known the rest. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.grid import Grid, gridded
from appliance.hybrid.analysis.deep.shapes import strangeness
from appliance.hybrid.analysis.deep.values import CELLS_MAX, DAY_US, F64, I64

SHORT_PART: Final = 6
LONG_PART: Final = 2
"""Stretches that are compared: this part of a day each, or of the series where it is shorter than ``DAYS_MIN``."""
DAYS_MIN: Final = 3
WIDTH_MIN: Final = 8
OFTEN: Final = 0.9
"""How unlike the rest a stretch must be is measured by the series itself: this part of it is taken to be usual."""
SHARP: Final = 3
"""How steeply a score rises around what is usual; the order of scores is the same with any."""
RECORDS_MIN: Final = 32
"""Fewer say nothing."""


def deep_scores(ts_us: I64, values: F64) -> F64:
    """From 0 (as usual) to 1 for each record, from all of them. 0.5: as unlike the rest as nine tenths of the series are at most.

    Records may come in any order of time. NaN is a missing value: 0; an infinite one: 1. Constant and very short series: 0.
    """
    score = np.zeros(len(values))
    if len(values) >= RECORDS_MIN:
        grid, cell = gridded(ts_us, values, cells_max=CELLS_MAX)
        score = surprise(grid)[cell]
    return np.where(np.isinf(values), 1.0, np.where(np.isnan(values), 0.0, score))


def surprise(grid: Grid) -> F64:
    """For each cell from 0 to 1: how unlike the rest the stretches around it are, short ones and long ones together."""
    parts = [_scaled(strangeness(grid.values, grid.known, width)) for width in widths(grid)]
    total = np.minimum(np.mean(parts, axis=0), 1e6) ** SHARP
    return np.asarray(total / (1.0 + total), np.float64)


def widths(grid: Grid) -> tuple[int, int]:
    """Cells of a short and of a long stretch."""
    size = len(grid)
    base = DAY_US / grid.step_us
    if size < DAYS_MIN * base:
        base = size / (2 * DAYS_MIN)
    short, long = (round(base / part) for part in (SHORT_PART, LONG_PART))
    most = max(WIDTH_MIN, size // 6)
    return min(max(WIDTH_MIN, short), most), min(max(WIDTH_MIN + 1, long), most)


def _scaled(found: F64) -> F64:
    """As a multiple of what is usual in the series; zero for one in which nothing differs."""
    usual = float(np.quantile(found, OFTEN)) if len(found) else 0.0
    top = float(found.max(initial=0.0))
    usual = max(usual, 1e-3 * top)
    return found / usual if usual > 0 else np.zeros(len(found))
