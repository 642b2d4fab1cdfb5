"""Why a record has its score, in words for a person. Pure."""

from __future__ import annotations

import math
from datetime import datetime, tzinfo
from typing import Final

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.numeric.scored import FALL, HIGHEST, INFINITE, LOWEST, PATTERN, RISE, SHIFT, Scored
from appliance.hybrid.analysis.phrases import number, times

_RECORDS: Final = ((RISE, "steepest rise"), (FALL, "steepest fall"), (HIGHEST, "highest"), (LOWEST, "lowest"))


def reason_of(scored: Scored, i: int, zone: tzinfo) -> str:
    """One line: "4.2 times the usual spread for Sunday 07:00; steepest rise in 9 days"."""
    value, expected, spread = float(scored.values[i]), float(scored.expected[i]), float(scored.spread[i])
    if math.isnan(value):
        return "no value"
    if scored.kind[i] == INFINITE:
        return "an infinite value"
    if math.isnan(expected):
        return f"{number(value)}, with nothing known of this series yet"
    parts = [_distance(scored, i, value, expected, spread, zone)]
    if scored.kind[i] == SHIFT:
        parts.append("the newest values together are off their usual level")
    elif scored.kind[i] == PATTERN:
        parts.append("values in an order not seen before")
    said = [words for bit, words in _RECORDS if scored.records[i] & bit]
    if said:
        parts.append(f"{said[0]} in {_span(int(scored.followed_us[i]))}")
    return "; ".join(parts)


def _distance(scored: Scored, i: int, value: float, expected: float, spread: float, zone: tzinfo) -> str:
    at = datetime.fromtimestamp(int(scored.ts_us[i]) // US_PER_S, zone)
    when = f" for {at:%A %H}:00" if scored.seasonal[i] else ""
    if spread <= 0:
        return f"{number(value)} where it was always {number(expected)}" if value != expected else f"{number(value)}, as ever"
    return f"{times((value - expected) / spread)} the usual spread{when}"


def _span(us: int) -> str:
    """A length of time in its largest unit, at least one second."""
    seconds = max(1, us // US_PER_S)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"
