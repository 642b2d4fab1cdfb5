"""How surprising a magnitude is among those of its own past: the tail of its distribution, kept up record by record. Pure, by column.

Peaks over threshold (Siffer et al., "Anomaly Detection in Streams with Extreme Value Theory", KDD 2017), in constant memory: the threshold
is the ``1 - OVER`` quantile, followed by stochastic approximation in the logarithm (so any unit will do); what exceeds it is held to be
of a generalised Pareto distribution, whose scale and shape come from the mean and the mean square of the newest excesses (method of
moments, Hosking and Wallis 1987).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric.scored import F64, I64, Arrays
from appliance.hybrid.analysis.numeric.state import Field

OVER: Final = 0.05
"""Part of the magnitudes that is above the threshold."""
STEP: Final = 0.03
"""How fast the threshold follows, in its logarithm; faster in the beginning."""
MEMORY: Final = 0.01
"""Weight of a new excess: about the newest hundred count."""
SHAPE_MAX: Final = 0.25
"""Of the tail: above it the mean square that it is estimated from hardly settles."""
EXCESS_MAX: Final = 10.0
"""In means of the excesses: further ones are learned as this much, so that one outlier can't make the next look usual."""
FEW: Final = 3
"""Excesses without which nothing is known of the tail."""
_LEAST: Final = 1e-36
_PER_DECADE: Final = 1.0 / np.log(10.0)


def fields(views: int) -> dict[str, Field]:
    """What is kept of each of ``views`` magnitudes of a series."""
    return {
        "tail_log": Field("f8", views, np.nan),
        "tail_m1": Field("f8", views),
        "tail_m2": Field("f8", views),
        "tail_n": Field("i4", views),
    }


def surprise(a: Arrays, s: I64, x: F64, seen: I64) -> F64:
    """``x``: magnitudes (rows of ``s`` by views), 0 or more, NaN where not known. -> -log10 of how likely one so large is.

    0 below the threshold. Learns ``x`` afterwards. The first that is not 0 is as surprising as there were zeros before it.
    """
    log, n = a["tail_log"][s], a["tail_n"][s]
    known = np.isfinite(x)
    x = np.where(known, x, 0.0)
    log_x = np.log(x + _LEAST)
    new = np.isnan(log)
    threshold = np.exp(np.where(new, 0.0, log))
    over = known & ~new & (x > threshold)
    weight = np.maximum(1.0 - (1.0 - MEMORY) ** n, _LEAST)
    m1, m2 = a["tail_m1"][s], a["tail_m2"][s]
    mean = np.maximum(m1 / weight, 0.05 * threshold) + _LEAST
    excess = np.where(over, x - threshold, 0.0)
    shape = np.clip(0.5 - 0.5 * mean * mean / np.maximum(m2 / weight, mean * mean), 1e-6, SHAPE_MAX)
    scaled = excess / (mean * (1.0 - shape))
    found = (np.log1p(shape * scaled) / shape) * _PER_DECADE - np.log10(OVER)
    out = np.where(over & (n >= FEW), found, 0.0)
    out = np.where(new & known & (x > 0), np.log10(seen + 1.0)[:, None], out)

    step = np.maximum(STEP, 2.0 / (seen + 2.0))[:, None]
    moved = log + np.where(over, step * (1.0 - OVER), -step * OVER)
    a["tail_log"][s] = np.where(new & known & (x > 0), log_x, np.where(known & ~new, moved, log))
    learned = np.minimum(excess, np.where(n > 0, EXCESS_MAX * mean, threshold))
    a["tail_m1"][s] = np.where(over, m1 * (1.0 - MEMORY) + MEMORY * learned, m1)
    a["tail_m2"][s] = np.where(over, m2 * (1.0 - MEMORY) + MEMORY * learned * learned, m2)
    a["tail_n"][s] = np.where(over, np.minimum(n + 1, 1_000_000), n)
    return out
