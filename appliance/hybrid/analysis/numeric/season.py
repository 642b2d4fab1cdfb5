"""What is usual at a time of the day: a profile, and what was seen around that time on other days. Pure, by column."""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric.scored import F64, I64, Arrays
from appliance.hybrid.analysis.numeric.state import Field

BINS: Final = 96
"""Of a day: a quarter of an hour each, UTC."""
AROUND: Final = 6
"""Bins before and after that count as the same time: what comes daily comes within an hour and a half."""
FADE: Final = 0.98
"""Of what was seen at that time, a day later: how much of its distance from the level remains."""
RATE: Final = 0.3
"""Weight of the first value of a visit of a bin in the profile; of later ones by the root of their number, so that many count together."""
OUTLIER: Final = 10.0
"""Usual errors by which a value can be off the profile at most for what it adds to it."""
_DAY_US: Final = 86_400_000_000
_AROUND: Final = np.arange(-AROUND, AROUND + 1)

FIELDS: Final = {
    "profile": Field("f4", BINS, np.nan),
    "high": Field("f4", BINS, -np.inf),
    "low": Field("f4", BINS, np.inf),
    "now_high": Field("f4", 0, -np.inf),
    "now_low": Field("f4", 0, np.inf),
    "now_count": Field("i4"),
    "bin": Field("i2", 0, -1),
}


def usual(a: Arrays, s: I64, ts_us: I64, x: F64, level: F64, error: F64) -> tuple[F64, F64]:
    """``x``: values, ``level``: their long mean before, ``error``: how far they usually are from what was expected.

    -> the profile's value (NaN: none for this time yet); how far ``x`` is beyond all that was seen around this time on other days
    (infinite: nothing was).

    Learns ``x`` afterwards.
    """
    bins = (ts_us % _DAY_US) * BINS // _DAY_US
    before = a["bin"][s].astype(np.int64)
    left = np.flatnonzero((bins != before) & (before >= 0))
    if len(left):
        _fold(a, s[left], before[left], level[left])
    profile = a["profile"][s, bins].astype(np.float64)
    at = (bins[:, None] + _AROUND) % BINS
    high, low = a["high"][s[:, None], at].max(axis=1), a["low"][s[:, None], at].min(axis=1)
    beyond = np.where(np.isfinite(high), np.maximum(np.maximum(x - high, low - x), 0.0), np.inf)
    a["now_high"][s] = np.maximum(a["now_high"][s], x)
    a["now_low"][s] = np.minimum(a["now_low"][s], x)
    a["bin"][s] = bins
    rate = RATE / np.sqrt(1.0 + a["now_count"][s])
    most = np.where(error > 0, OUTLIER * error, np.inf)
    a["profile"][s, bins] = np.where(np.isnan(profile), x, profile + rate * np.clip(x - profile, -most, most))
    a["now_count"][s] += 1
    return profile, beyond


def _fold(a: Arrays, s: I64, bins: I64, level: F64) -> None:
    """What was seen in the bin that is over becomes part of what was seen at its time; the older part fades towards the level."""
    high, low = a["high"][s, bins].astype(np.float64), a["low"][s, bins].astype(np.float64)
    a["high"][s, bins] = np.maximum(np.where(np.isfinite(high), level + FADE * (high - level), high), a["now_high"][s])
    a["low"][s, bins] = np.minimum(np.where(np.isfinite(low), level + FADE * (low - level), low), a["now_low"][s])
    a["now_high"][s], a["now_low"][s], a["now_count"][s] = -np.inf, np.inf, 0
