"""What history says of a column, for each key and hour of the week: made by a training, swapped in while rules run.

One owner at a time: ``swap`` replaces whole tables, so that a reader sees the old or the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.clock import US_PER_S
from appliance.hot.stream.expression.functions import BASELINE, BASELINE_HIGH, BASELINE_LOW
from appliance.hot.stream.values import I64, Key, Vector

HOURS: Final = 168
_HOUR_US: Final = 3_600 * US_PER_S
_FIRST_MONDAY_US: Final = 4 * 24 * _HOUR_US
"""1970-01-01 was a Thursday: hour 0 is Monday, 00:00 to 01:00 in UTC."""
Name = tuple[str, tuple[str, ...], str]
"""Stream, columns of the key, column that the baseline is of; stream and column folded."""
Hours = npt.NDArray[np.float64]


def hour_of_week(at_us: I64) -> I64:
    """0 to 167, from Monday 00:00 in UTC."""
    return (at_us - _FIRST_MONDAY_US) // _HOUR_US % HOURS


@dataclass(frozen=True, slots=True)
class Baseline:
    """Of one name: a row of ``HOURS`` values for each key, NaN where history says nothing."""

    rows: Mapping[Key, int]
    values: Hours
    made_us: int = 0
    """Wall clock of the training."""
    low: Hours | None = None
    high: Hours | None = None
    """The lowest and highest value that is still usual, like ``values``; None where the model has no such bounds."""

    def of(self, function: str) -> Hours | None:
        """What a function of ``BASELINES`` gives; None: the model doesn't know."""
        return {BASELINE_LOW: self.low, BASELINE_HIGH: self.high}.get(function, self.values)


@dataclass(slots=True)
class Baselines:
    """All baselines of the box."""

    tables: dict[Name, Baseline] = field(default_factory=dict)

    def swap(self, name: Name, baseline: Baseline) -> None:
        """From now on this one."""
        self.tables = {**self.tables, name: baseline}

    def look(
        self,
        name: Name,
        ids: I64,
        at_us: I64,
        key_of: Callable[[int], Key],
        cache: dict[int, tuple[int, I64]],
        *,
        function: str = BASELINE,
    ) -> Vector:
        """What a function of ``BASELINES`` gives for each key and time; null where there is nothing.

        ``cache`` is the caller's, for this name: which row of the newest table each id has.
        """
        table = self.tables.get(name)
        found = None if table is None else table.of(function)
        if table is None or found is None or not len(ids):
            return Vector(np.zeros(len(ids)), np.zeros(len(ids), np.bool_))
        made, places = cache.get(0, (-1, np.empty(0, np.int64)))
        highest = int(ids.max()) + 1
        if made != id(table) or len(places) < highest:
            known = places if made == id(table) else np.empty(0, np.int64)
            places = np.append(known, [table.rows.get(key_of(i), -1) for i in range(len(known), highest)]).astype(np.int64)
            cache[0] = (id(table), places)
        row = places[ids]
        values = found[np.maximum(row, 0), hour_of_week(at_us)]
        return Vector(values, (row >= 0) & np.isfinite(values))
