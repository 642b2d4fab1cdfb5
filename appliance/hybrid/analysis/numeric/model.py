"""What a training hands to the first pass: what is usual for each hour of the week, by series. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric.scored import F32, F64, I32, I64

HOURS: Final = 168
"""Hours of a week; hour 0 is Monday, 00:00 to 01:00 UTC."""
_HOUR_US: Final = 3_600_000_000
_FIRST_MONDAY_H: Final = 96
"""1970-01-01 was a Thursday."""


@dataclass(frozen=True, slots=True)
class Model:
    """Profiles of the series of some slots, one row each."""

    version: str
    slots: I32
    """Each once. Who builds it maps series to slots; a series without a slot is left out."""
    median: F32
    """By row and hour (n x ``HOURS``); NaN: not known."""
    spread: F32
    """By row and hour: a robust standard deviation; NaN: not known."""
    factor: F32
    """By row: how many times more surprising than usual something must be to have the same score, from feedback; 1: none."""


def without(model: Model, slots: I32) -> Model:
    """The same without the rows of these slots, which belong to other series now."""
    kept = ~np.isin(model.slots, slots)
    return Model(model.version, model.slots[kept], model.median[kept], model.spread[kept], model.factor[kept])


class Profiles:
    """A ``Model`` as the scorer asks it: by slot."""

    def __init__(self, model: Model) -> None:
        if not model.median.shape == model.spread.shape == (len(model.slots), HOURS) or len(model.factor) != len(model.slots):
            raise ValueError(f"model {model.version}: rows by {HOURS} hours are needed for each slot, found {model.median.shape}")
        self.version = model.version
        self._row = np.full(int(model.slots.max(initial=-1)) + 2, -1, np.int64)
        self._row[model.slots] = np.arange(len(model.slots))
        blank = np.full((1, HOURS), np.nan, np.float32)
        self._median, self._spread = np.concatenate([model.median, blank]), np.concatenate([model.spread, blank])
        self._factor = np.concatenate([np.maximum(model.factor, 1e-3), np.ones(1, np.float32)])

    def at(self, slots: I64, ts_us: I64) -> tuple[F64, F64]:
        """Median and spread of that hour of the week; NaN where not known."""
        hour, row = (ts_us // _HOUR_US - _FIRST_MONDAY_H) % HOURS, self._rows(slots)
        return self._median[row, hour].astype(np.float64), self._spread[row, hour].astype(np.float64)

    def factor(self, slots: I64) -> F64:
        """See ``Model``."""
        return self._factor[self._rows(slots)].astype(np.float64)

    def _rows(self, slots: I64) -> I64:
        return self._row[np.minimum(slots, len(self._row) - 1)]
