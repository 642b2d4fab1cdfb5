"""What is usual for each hour of the week, by series, out of cells of history; and how well that holds on days not learned from. Pure.

A season is taken only where it says more of held-out days than the series' own median does; else the series has no profile, and the first
pass goes by what it has learned itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np

from appliance.hybrid.analysis.deep.values import F64, HOUR_US, I64, MAD_TO_SIGMA

HOURS: Final = 168
DAY_H: Final = 24
_FIRST_MONDAY_H: Final = 96
"""1970-01-01 was a Thursday: hour 0 of a week is Monday, 00:00 to 01:00 in UTC."""
CYCLES_MIN: Final = 3
"""Days, or weeks, of which a profile is made at least."""
WORTH: Final = 0.9
"""A season counts where its error on held-out days is at most this part of that of the median."""
HELD_PART: Final = 5
"""One of so many days is held out: the newest ones, each whole, up to the last record."""
DISMISSED: Final = 1.25
"""What a series shows must be so many times as surprising for each incident with it that people dismissed."""
CONFIRMED: Final = 1.1
FACTOR_MIN: Final = 0.8
FACTOR_MAX: Final = 3.0
Season = Literal["none", "day", "week"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Of one series."""

    season: Season
    median: F64
    """By hour of the week; NaN: not known."""
    spread: F64
    """Likewise; of single records."""
    error: float
    """Mean absolute error of held-out cells, in spreads of the series; NaN: nothing was held out."""
    naive_error: float
    """Likewise of the median."""


NO_PROFILE: Final = Profile("none", np.full(HOURS, np.nan), np.full(HOURS, np.nan), float("nan"), float("nan"))
"""Of a series of which nothing is known by the hour."""


def profile_of(cells: I64, mean: F64, low: F64, high: F64, count: I64, *, step_us: int) -> Profile:
    """Cells of one series, rising, none of them NaN. Too short a history gives the season ``none``."""
    hour = cells * step_us // HOUR_US
    of_week = (hour - _FIRST_MONDAY_H) % HOURS
    inside = _within(low, high, count)
    overall = max(float(np.median(np.abs(mean - np.median(mean)))) * MAD_TO_SIGMA, 1e-3 * abs(float(np.median(mean))), 1e-9)
    day = hour // DAY_H
    held = hour > hour[-1] - DAY_H * max(1, int(day[-1] - day[0] + 1) // HELD_PART)
    if held.all() or day[-1] - day[0] + 1 < CYCLES_MIN + 1:
        return NO_PROFILE
    naive = float(np.abs(mean[held] - np.median(mean[~held])).mean()) / overall
    errors: dict[Season, float] = {"none": naive}
    for season in ("day", "week"):
        median, _ = _fitted(of_week[~held], day[~held], mean[~held], inside[~held], season)
        said = median[of_week[held]]
        if np.isfinite(said).mean() > 0.9:
            errors[season] = float(np.nanmean(np.abs(mean[held] - said))) / overall
    best = min(errors, key=lambda s: (errors[s], s))
    if best == "none" or errors[best] > WORTH * naive:
        return Profile("none", NO_PROFILE.median, NO_PROFILE.spread, naive, naive)
    median, spread = _fitted(of_week, day, mean, inside, best)
    return Profile(best, median, spread, errors[best], naive)


def factors(words: Sequence[tuple[str, Sequence[str]]]) -> dict[str, float]:
    """What people said, the oldest first: (``confirm`` or ``dismiss``, the series concerned) -> series -> factor, where it is not one."""
    found: dict[str, float] = {}
    for verdict, series in words:
        for each in series:
            factor = found.get(each, 1.0) * DISMISSED if verdict == "dismiss" else found.get(each, 1.0) / CONFIRMED
            found[each] = float(np.clip(factor, FACTOR_MIN, FACTOR_MAX))
    return {each: factor for each, factor in found.items() if factor != 1.0}


def _fitted(of_week: I64, day: I64, mean: F64, inside: F64, season: Season) -> tuple[F64, F64]:
    """Median and spread by hour of the week, each of what came within an hour of it in all cycles."""
    places = of_week % DAY_H if season == "day" else of_week
    size = DAY_H if season == "day" else HOURS
    cycle = day if season == "day" else day // 7
    median, spread = np.full(size, np.nan), np.full(size, np.nan)
    for place in range(size):
        own = places == place
        if len(np.unique(cycle[own])) < CYCLES_MIN:
            continue
        near = own | (places == (place - 1) % size) | (places == (place + 1) % size)
        median[place] = np.median(mean[own])
        scatter = float(np.median(np.abs(mean[near] - median[place]))) * MAD_TO_SIGMA
        spread[place] = np.hypot(scatter, np.median(inside[near]))
    return np.tile(median, HOURS // size), np.tile(spread, HOURS // size)


def _within(low: F64, high: F64, count: I64) -> F64:
    """The standard deviation of records within their cell, out of the range of so many of them, as control charts have it: the range of
    n normal values is about twice the (n - 3/8) / (n + 1/4) quantile (Blom, 1958)."""
    sizes, which = np.unique(np.minimum(np.maximum(count, 1), 100_000), return_inverse=True)
    normal = NormalDist()
    widths = np.array([2 * normal.inv_cdf((n - 0.375) / (n + 0.25)) if n > 1 else np.inf for n in sizes.tolist()])
    return np.asarray(np.nan_to_num((high - low) / widths[which]), np.float64)
