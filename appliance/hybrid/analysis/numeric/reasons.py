"""Why a record has its score, in words for a person. Pure."""

from __future__ import annotations

import math

from appliance.hybrid.analysis.numeric.scored import Scored


def reason_of(scored: Scored, i: int) -> str:
    """One line."""
    value, expected, spread = float(scored.values[i]), float(scored.expected[i]), float(scored.spread[i])
    if math.isnan(value):
        return "no value"
    if math.isnan(expected):
        return f"{value:.6g}, with nothing known of this series yet"
    if spread > 0:
        return f"{abs(value - expected) / spread:.1f} times the usual spread from {expected:.6g}"
    return f"{value:.6g} instead of {expected:.6g}, which never changed before"
