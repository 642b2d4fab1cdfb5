"""How far the newest few values of a series are from any like them before: prototypes in constant memory. Pure, by column.

A series' past is held as ``KEPT`` prototypes of each window length. The distance of the newest window to the nearest one (the largest
difference of any of its values) is the magnitude that is judged by its tail. A window further away than all but ``NEW`` of them becomes
a prototype itself, in place of the one that was not met for longest; another one moves its nearest prototype towards itself. So it is an
online form of nearest-neighbour anomaly detection (Burnaev and Ishimtsev, "Conformalized density- and distance-based anomaly
detection", 2016) with the leader clustering of adaptive resonance (Carpenter, Grossberg and Rosen, "Fuzzy ART", 1991).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric.scored import F32, F64, I64, Arrays
from appliance.hybrid.analysis.numeric.state import Field

KEPT: Final = 128
NEW: Final = 0.03
"""Part of the windows that becomes a prototype."""
MOVE: Final = np.float32(0.2)
"""How far the nearest prototype moves towards a window that is like it."""
STEP: Final = 0.03
"""How fast the distance above which a window is new is followed, in its logarithm; faster in the beginning."""
_LEAST: Final = 1e-36


def fields(name: str, length: int) -> dict[str, Field]:
    """What is kept for windows of ``length`` values."""
    return {
        f"{name}_windows": Field("f4", length * KEPT, np.inf),
        f"{name}_met": Field("i4", KEPT, -1),
        f"{name}_radius": Field("f8", 0, np.nan),
    }


def distance(a: Arrays, s: I64, name: str, window: F32, seen: I64) -> F64:
    """``window``: the newest values of each slot of ``s`` (rows by values, oldest first), NaN where there are not enough yet.

    -> distance to the nearest prototype, NaN where there is none. Learns the window afterwards.
    """
    n, length = window.shape
    rows = np.arange(n)
    kept = a[f"{name}_windows"][s].reshape(n, length, KEPT)
    far = np.abs(kept[:, 0] - window[:, :1])
    part = np.empty_like(far)
    for i in range(1, length):
        np.subtract(kept[:, i], window[:, i : i + 1], out=part)
        np.abs(part, out=part)
        np.maximum(far, part, out=far)
    whole = np.isfinite(window[:, 0])
    far[~whole] = np.inf
    nearest = far.argmin(axis=1)
    found = far[rows, nearest].astype(np.float64)
    known = np.isfinite(found)

    radius = a[f"{name}_radius"][s]
    new = whole & ~(known & (found <= np.exp(np.where(np.isnan(radius), -np.inf, radius))))
    met = a[f"{name}_met"]
    place = np.where(new, met[s].argmin(axis=1), nearest)
    old = kept[rows, :, place]
    moved = np.where(new[:, None], window, old + MOVE * (window - np.where(np.isfinite(old), old, window)))
    at = np.flatnonzero(whole)
    columns = np.arange(length) * KEPT
    a[f"{name}_windows"][s[at][:, None], columns + place[at][:, None]] = moved[at]
    met[s[at], place[at]] = seen[at]
    log = np.log(np.where(known, found, 1.0) + _LEAST)
    step = np.maximum(STEP, 3.0 / (seen + 2.0))
    followed = radius + np.where(new, step * (1.0 - NEW), -step * NEW)
    a[f"{name}_radius"][s] = np.where(known, np.where(np.isnan(radius), log, followed), radius)
    return np.where(known, found, np.nan)
