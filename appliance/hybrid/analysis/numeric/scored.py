"""What the first pass says of numbers: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

KINDS: Final = ("usual", "level", "step", "season", "shift", "spread", "pattern", "not a number")
"""What was most unusual, by number: the value itself; its change from the records before; the value for this time of the day; the mean of
the newest records; their spread; the order in which values came; a value that is infinite."""
USUAL, LEVEL, STEP, SEASON, SHIFT, SPREAD, PATTERN, NOT_FINITE = range(8)
SLOT_BYTES_MAX: Final = 64 * 1024
"""Memory of one series, at most."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the records of one call, in their order."""

    slots: I32
    ts_us: I64
    values: F64
    score: F64
    """0 (as usual) to 1; 0.99 and more is rare: see ``scorer``. 0 for NaN, which is a value that is missing."""
    expected: F64
    """What would have been usual; NaN: not known yet."""
    spread: F64
    """How far from it values of this series usually are; 0 for a series that has never changed, NaN: not known yet."""
    kind: U8
    """What was most unusual: a place in ``KINDS``."""
