"""What a training hands to the first pass: what is usual for each hour of the week, by series. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.hybrid.analysis.numeric.scored import F32, I32

HOURS: Final = 168
"""Hours of a week; hour 0 is Monday, 00:00 to 01:00 UTC."""


@dataclass(frozen=True, slots=True)
class Model:
    """Profiles of the series of some slots, one row each."""

    version: str
    slots: I32
    """Rising, each once. Who builds it maps series to slots; a series without a slot is left out."""
    median: F32
    """By row and hour (n x ``HOURS``); NaN: not known."""
    spread: F32
    """By row and hour: a robust standard deviation; NaN: not known."""
    factor: F32
    """By row: how many times more surprising than usual something must be to have the same score, from feedback; 1: none."""
