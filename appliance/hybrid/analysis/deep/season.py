"""Robust seasonal decomposition: level + profile of the day or week + rest, by medians, with what came before and after. Pure.

As STL (Cleveland et al., 1990) it takes trend and season out in turn; medians over cycles in place of loess make it robust and quick, and
a season is taken only where it explains something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.grid import Grid, filled
from appliance.hybrid.analysis.deep.values import DAY_US, F64, MAD_TO_SIGMA, WEEK_US

CYCLES_MIN: Final = 3
"""Fewer cycles can't tell a season from chance."""
WORTH: Final = 0.85
"""A season counts where what is left without it is at most this part of what is left with it."""
_LOOKS: Final = 101
"""A running median looks at no more values of its window than this, evenly apart."""
_BLOCK: Final = 1_024
"""Windows that are sorted at once: memory is bounded by it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A grid taken apart: ``level + season + rest`` are its values; ``rest`` means nothing where they are not known."""

    level: F64
    season: F64
    rest: F64
    period_us: int
    """Of the season; 0: none."""
    spread: float
    """Robust standard deviation of the rest; above zero."""


def decomposed(grid: Grid) -> Parts:
    """See the module. A day goes before a week; both where both explain something."""
    x = grid.values
    if not grid.known.any():
        return Parts(x, np.zeros(len(x)), np.zeros(len(x)), 0, spread_of(x, x))
    season, period = np.zeros(len(x)), 0
    for candidate_us in (DAY_US, WEEK_US):
        cells = round(candidate_us / grid.step_us) if grid.step_us else 0
        if cells < 4 or len(x) < CYCLES_MIN * cells:
            continue
        left = _without(grid, season)
        profile = _profile(np.where(grid.known, left, np.nan), cells)
        both = left, _without(grid, season + profile)
        before, after = (float(np.abs(v - running_median(v, cells))[grid.known].mean()) for v in both)
        if before > 0 and after <= WORTH * before:
            season, period = season + profile, candidate_us
    left = _without(grid, season)
    width = max(3, min(len(x) // 5, round(DAY_US / grid.step_us))) if len(x) else 3
    level = running_median(left, width)
    rest = x - season - level
    return Parts(level, season, rest, period, spread_of(rest, x))


def spread_of(rest: F64, values: F64) -> float:
    """A robust standard deviation, with a floor that follows the size of the values: a flat series has a spread as well."""
    if not len(rest):
        return 1e-9
    sigma = float(np.median(np.abs(rest - np.median(rest)))) * MAD_TO_SIGMA
    return max(sigma, 1e-3 * float(np.abs(np.median(values)) + np.std(values)), 1e-9)


def running_median(values: F64, width: int) -> F64:
    """Of ``width`` values around each; the ends look at the first and last of them."""
    width = min(max(3, width | 1), len(values) - (1 - len(values) % 2)) if len(values) >= 3 else 0
    if not width:
        return values.copy()
    half = width // 2
    ends = np.full(half, np.median(values[:width])), np.full(half, np.median(values[-width:]))
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([ends[0], values, ends[1]]), width)[:, :: -(-width // _LOOKS)]
    return np.concatenate([np.median(windows[at : at + _BLOCK], axis=1) for at in range(0, len(values), _BLOCK)])


def _without(grid: Grid, season: F64) -> F64:
    """The values without a season, put in between where they are not known: a gap must not look like the season upside down."""
    return filled(np.where(grid.known, grid.values - season, np.nan))[0]


def _profile(values: F64, period: int) -> F64:
    """The median of each place of the period over all cycles, around zero; NaN in ``values`` is not looked at."""
    known = np.isfinite(values)
    rest = values - running_median(np.interp(np.arange(len(values)), np.flatnonzero(known), values[known]), period)
    cycles = np.concatenate([rest, np.full(-len(rest) % period, np.nan)]).reshape(-1, period)
    with np.errstate(all="ignore"):
        empty = ~np.isfinite(cycles).any(axis=0)
        cycles[:, empty] = 0.0
        profile = np.nanmedian(cycles, axis=0)
    profile -= np.median(profile)
    return np.tile(profile, len(cycles))[: len(values)]
