"""What the first pass says of numbers: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Arrays = dict[str, npt.NDArray[Any]]
"""Name -> array with one row a slot."""

KINDS: Final = ("usual", "value", "pattern", "season", "shift", "infinite")
"""What was most unusual, by number: a value as there was none; the order in which values came; the value for this time of the day; the mean
of the newest values for this time of the day; a value that is infinite."""
USUAL, VALUE, PATTERN, SEASON, SHIFT, INFINITE = range(6)
HIGHEST, LOWEST, RISE, FALL = 1, 2, 4, 8
"""Bits of ``Scored.records``: the highest or lowest value, the steepest rise or fall since the series is followed."""
SLOT_BYTES_MAX: Final = 64 * 1024
"""Memory of one series, at most."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the records of one call, in their order."""

    slots: I32
    ts_us: I64
    values: F64
    score: F64
    """0 (as usual) to 1: 1 minus about how rarely a record is so unusual, so 0.99 and more is rare. 0 for NaN: a value is missing."""
    onset: F64
    """The same as the beginning of something: halved while what has had its score lasts. What one alarm for each anomaly is made of."""
    expected: F64
    """What would have been usual; NaN: not known yet."""
    spread: F64
    """How far from it values of this series usually are; 0 for a series that has never changed, NaN: not known yet."""
    kind: U8
    """What was most unusual: a place in ``KINDS``."""
    records: U8
    """Which records it sets: bits."""
    seasonal: Mask
    """Whether ``expected`` is that of the time of the day (or week), else that of the values just before."""
    followed_us: I64
    """How long the series had been followed, by event time."""


def nothing_said(slots: I32, ts_us: I64, values: F64) -> Scored:
    """To be filled in."""
    n = len(slots)
    return Scored(
        slots,
        ts_us,
        values,
        score=np.zeros(n),
        onset=np.zeros(n),
        expected=np.full(n, np.nan),
        spread=np.full(n, np.nan),
        kind=np.zeros(n, np.uint8),
        records=np.zeros(n, np.uint8),
        seasonal=np.zeros(n, np.bool_),
        followed_us=np.zeros(n, np.int64),
    )
