"""Scores of records with what came before and after them: what the first pass would have said, had it known the rest. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.grid import Grid, gridded
from appliance.hybrid.analysis.deep.shapes import strangeness
from appliance.hybrid.analysis.deep.values import CELLS_MAX, DAY_US, F64, I64
from appliance.hybrid.analysis.numeric.scorer import Scorer

SHORT_PART: Final = 6
LONG_PART: Final = 2
"""Stretches that are compared: this part of a day each, or of the series where it is shorter than ``DAYS_MIN``."""
DAYS_MIN: Final = 3
WIDTH_MIN: Final = 8
OFTEN: Final = 0.9
"""How unlike the rest a stretch must be is measured by the series itself: this part of it is taken to be usual."""
SHARP: Final = 3
"""How steeply a score rises around what is usual; the order of scores is the same with any."""
ALONE: Final = 0.2
"""What a stretch that the first pass said nothing of is worth beside one that it did, in powers of ten of rarity."""
UNLIKE_MAX: Final = 2.0
"""What is twice as unlike as usual is no more likely to be wrong when it is more so."""
_RAREST: Final = 1e-4
RECORDS_MIN: Final = 32
"""Fewer say nothing."""


def deep_scores(ts_us: I64, values: F64) -> F64:
    """From 0 (as usual) to 1 for each record, from all of them: what the first pass said there and around, held against how unlike the rest
    of the series, before and after, the stretch around it is.

    Records may come in any order of time. NaN is a missing value: 0; an infinite one: 1. Constant and very short series: 0.
    """
    score = np.zeros(len(values))
    if len(values) >= RECORDS_MIN:
        grid, cell = gridded(ts_us, values, cells_max=CELLS_MAX)
        unlike = np.minimum(surprise(grid), UNLIKE_MAX)
        said = np.zeros(len(grid))
        np.maximum.at(said, cell, _said(ts_us, values))
        reach = widths(grid)[0] // 2
        score = ((_highest(said, reach) + ALONE) * unlike)[cell] ** SHARP
    return np.where(np.isinf(values), 1.0, np.where(np.isnan(values), 0.0, score / (1.0 + score)))


def _said(ts_us: I64, values: F64) -> F64:
    """What the first pass says of each record, as powers of ten of how rare that is: 0 to 4."""
    order = np.argsort(ts_us, kind="stable")
    scorer = Scorer()
    scorer.grow(1)
    found = np.zeros(len(values))
    found[order] = scorer.score(np.zeros(len(values), np.int32), ts_us[order], values[order]).score
    return np.asarray(-np.log10(1.0 - np.clip(found, 0.0, 1.0) + _RAREST), np.float64)


def _highest(values: F64, reach: int) -> F64:
    """Of so many values on either side of each and itself."""
    ends = np.zeros(reach)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([ends, values, ends]), 2 * reach + 1)
    return np.asarray(windows.max(axis=1), np.float64)


def surprise(grid: Grid) -> F64:
    """For each cell how unlike the rest the stretches around it are, short ones and long ones together: 1 is what nine tenths of the series
    have at most."""
    parts = [_scaled(strangeness(grid.values, grid.known, width)) for width in widths(grid)]
    return np.asarray(np.mean(parts, axis=0), np.float64)


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
