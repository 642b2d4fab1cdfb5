"""The views on a record, what each of them finds surprising, and what they say together. Pure, by column over one round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric import patterns, season, tails
from appliance.hybrid.analysis.numeric.model import Profiles
from appliance.hybrid.analysis.numeric.scored import F64, I64, PATTERN, SEASON, SHIFT, U8, USUAL, VALUE, Arrays, Mask
from appliance.hybrid.analysis.numeric.state import Field

FAST: Final = 0.3
"""Weight of the newest value in the short mean: what came just before."""
SLOW: Final = 0.003
"""Weight of the newest value in the long mean: the level."""
RING: Final = 12
"""Newest values that are held: the longest window."""
WINDOWS: Final = (("pair", 2, False), ("six", 6, False), ("twelve", 12, False), ("level_six", 6, True))
"""Windows that are compared with those before: name, values, whether as distances from the level."""
SEEN_ELSEWHERE: Final = 0.25
"""What is left of the surprise of a pattern whose value was there at this time of other days."""
EXPLAINED: Final = 3.0
"""Spreads of a trained profile within which a value is usual."""
_VIEW_KINDS: Final = np.array([VALUE, PATTERN, PATTERN, PATTERN, SEASON, SHIFT], np.uint8)
_WEIGHTS: Final = np.array([0.25, 0.25, 0.25, 0.25, 0.25, 0.25])
_MAGNITUDE_MAX: Final = 1e30
"""Prototypes are single-precision; values further from the first one of their series are looked at as this far."""

_NONE_OF_ERROR: Final = 1e-6
"""Of the usual change: a difference below it is rounding."""
_NONE_OF_VALUE: Final = 1e-7
"""Of a value: what single precision can't tell apart."""

FIELDS: Final = {
    "origin": Field("f8"),
    "fast": Field("f8"),
    "level": Field("f8"),
    "fast_error": Field("f8"),
    "day_error": Field("f8"),
    "ring": Field("f8", RING, np.nan),
    "level_ring": Field("f8", RING, np.nan),
    "off_ring": Field("f8", RING),
    **season.FIELDS,
    **tails.fields(len(WINDOWS) + 2),
    **{name: f for window, length, _ in WINDOWS for name, f in patterns.fields(window, length).items()},
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one round has found, row by row."""

    surprise: F64
    """0 or more: about -log10 of how likely it was, averaged over the views."""
    kind: U8
    expected: F64
    spread: F64
    seasonal: Mask


def look(a: Arrays, s: I64, ts_us: I64, x: F64, model: Profiles | None) -> Seen:
    """One record of each slot of ``s``: finite values ``x`` at ``ts_us``. Learns them afterwards. ``a["seen"]``: how many came before."""
    seen = a["seen"][s].astype(np.int64)
    new = seen == 0
    a["origin"][s] = origin = np.where(new, x, a["origin"][s])
    x = np.clip(x - origin, -_MAGNITUDE_MAX, _MAGNITUDE_MAX)
    fast, level = a["fast"][s], a["level"][s]
    usual, beyond = season.usual(a, s, ts_us, x, level, np.maximum(a["fast_error"][s], a["day_error"][s]))
    if model is not None:
        usual, beyond = _with_model(model, s, ts_us, x, origin, usual, beyond)
    off = x - usual
    unexplained = np.clip(_ratio(beyond, np.abs(x - fast)), 0.0, 1.0)
    known = np.isfinite(off)
    magnitudes = np.empty((len(s), len(WINDOWS) + 2))
    _push(a, "off_ring", s, np.where(known, off, 0.0))
    magnitudes[:, -2] = np.abs(off)
    magnitudes[:, -1] = np.abs(a["off_ring"][s].sum(axis=1)) / RING
    _push(a, "ring", s, x)
    _push(a, "level_ring", s, x - level)
    for i, (name, length, from_level) in enumerate(WINDOWS):
        window = a["level_ring" if from_level else "ring"][s][:, RING - length :].astype(np.float32)
        magnitudes[:, i] = patterns.distance(a, s, name, window, seen)
    least = _NONE_OF_ERROR * a["fast_error"][s] + _NONE_OF_VALUE * np.abs(x)
    magnitudes[magnitudes < least[:, None]] = 0.0
    found = tails.surprise(a, s, magnitudes, seen) * _WEIGHTS
    found[:, : len(WINDOWS)] *= (SEEN_ELSEWHERE + (1.0 - SEEN_ELSEWHERE) * unexplained)[:, None]
    found[:, -2] *= unexplained
    total = found.sum(axis=1)
    kind = np.where(total > 0, _VIEW_KINDS[found.argmax(axis=1)], USUAL).astype(np.uint8)
    expected, spread, seasonal = _expected(a, s, x, seen, fast, usual)
    a["fast"][s] = fast + np.maximum(FAST, 1.0 / (seen + 1.0)) * (x - fast)
    a["level"][s] = level + np.maximum(SLOW, 1.0 / (seen + 1.0)) * (x - level)
    return Seen(total, kind, expected + origin, spread, seasonal)


def _expected(a: Arrays, s: I64, x: F64, seen: I64, fast: F64, usual: F64) -> tuple[F64, F64, Mask]:
    """The forecast that was better so far (values just before, or the time of the day), with its usual error. Learns the errors."""
    fast_error, day_error = a["fast_error"][s], a["day_error"][s]
    known = np.isfinite(usual)
    seasonal = known & (day_error > 0) & (day_error < fast_error)
    rate = np.maximum(0.01, 1.0 / (seen + 1.0))
    a["fast_error"][s] = fast_error + rate * (np.abs(x - fast) - fast_error)
    day = np.where(known, np.abs(x - usual), 0.0)
    a["day_error"][s] = np.where(known, np.where(day_error > 0, day_error + rate * (day - day_error), day), day_error)
    none = seen == 0
    return (
        np.where(none, np.nan, np.where(seasonal, usual, fast)),
        np.where(none, np.nan, 1.2533 * np.where(seasonal, day_error, fast_error)),
        seasonal,
    )


def _with_model(model: Profiles, s: I64, ts_us: I64, x: F64, origin: F64, usual: F64, beyond: F64) -> tuple[F64, F64]:
    """What a trained profile knows of this hour of the week comes before what was learned of the day."""
    median, spread = model.at(s, ts_us)
    known = np.isfinite(median)
    trained = median - origin
    further = np.maximum(np.abs(x - trained) - EXPLAINED * np.where(np.isfinite(spread), spread, 0.0), 0.0)
    return np.where(known, trained, usual), np.where(known, np.minimum(beyond, further), beyond)


def _push(a: Arrays, name: str, s: I64, x: F64) -> None:
    ring = a[name][s]
    ring[:, :-1] = ring[:, 1:]
    ring[:, -1] = x
    a[name][s] = ring


def _ratio(part: F64, whole: F64) -> F64:
    """1 where there is nothing to divide by."""
    positive = whole > 0
    return np.where(positive & np.isfinite(part), part / np.where(positive, whole, 1.0), 1.0)
