"""What can be asked of a window: the functions, one aggregate of a rule, and which states a value of it needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, StrEnum, auto
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.records import Kind

NEVER: Final = -(2**62)
"""Before all times, and far from overflow."""
FAR: Final = 2**62
"""After all times, and far from overflow."""

F64 = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Numbers = npt.NDArray[Any]
"""float64 or int64, whichever the values of an argument are kept as."""
State = dict[str, Numbers]
"""Columns of one length: what is known of the records of a key in a pane, or in several, an element for each such."""


class Function(StrEnum):
    """What an aggregate says of the values of one argument. Nulls, NaN and infinities are skipped; without any value it is null."""

    COUNT_ALL = "count_all"
    """Records; has no argument, is never null."""
    COUNT = "count"
    """Values that are not null; never null."""
    SUM = "sum"
    """Float; added up in the order of the sequences within a pane, the panes in one fixed order."""
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    """The earliest value; of several at one time the one with the lowest sequence."""
    LAST = "last"
    """The latest value; of several at one time the one with the highest sequence."""
    STDDEV = "stddev"
    """Of a sample (divided by n - 1), as DuckDB's; null below two values."""
    DELTA = "delta"
    """``last`` minus ``first``; an int of ints, null where that is too large for one."""
    RATE = "rate"
    """``delta`` by the seconds between ``first`` and ``last``; null when there are none between them."""
    QUANTILE = "quantile"
    """With linear interpolation at the fraction ``parameter``, as DuckDB's ``quantile_cont``; null above ``values_max`` values."""
    DISTINCT = "distinct"
    """Number of different values; null above ``values_max`` values, else never null."""


class Part(Flag):
    """What is kept of an argument besides the number of its values."""

    SUM = auto()
    LOW = auto()
    HIGH = auto()
    FIRST = auto()
    LAST = auto()
    MOMENTS = auto()
    """What a standard deviation is made of."""
    VALUES = auto()
    """The values themselves."""


NEEDS: Final[dict[Function, Part]] = {
    Function.COUNT_ALL: Part(0),
    Function.COUNT: Part(0),
    Function.SUM: Part.SUM,
    Function.AVG: Part.SUM,
    Function.MIN: Part.LOW,
    Function.MAX: Part.HIGH,
    Function.FIRST: Part.FIRST,
    Function.LAST: Part.LAST,
    Function.STDDEV: Part.MOMENTS,
    Function.DELTA: Part.FIRST | Part.LAST,
    Function.RATE: Part.FIRST | Part.LAST,
    Function.QUANTILE: Part.VALUES,
    Function.DISTINCT: Part.VALUES,
}
OF_TEXT: Final = frozenset({Function.COUNT_ALL, Function.COUNT, Function.FIRST, Function.LAST, Function.DISTINCT})
"""The functions that take texts too."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One thing that is asked of each window."""

    function: Function
    argument: int | None = None
    """Which of the input vectors; None for ``count_all`` only."""
    parameter: float | None = None
    """The fraction of a quantile, 0 to 1; None otherwise."""

    def __post_init__(self) -> None:
        assert (self.argument is None) == (self.function is Function.COUNT_ALL), f"{self.function}: argument {self.argument}"
        assert (self.parameter is None) == (self.function is not Function.QUANTILE), f"{self.function}: parameter {self.parameter}"
        assert self.parameter is None or 0 <= self.parameter <= 1, f"{self.function}: fraction {self.parameter}"

    def refusal(self, kind: Kind) -> str | None:
        """Why the aggregate can't be had of values of ``kind``, in one line; None: it can."""
        if kind in (Kind.TEXT, Kind.TAG) and self.function not in OF_TEXT:
            return f"{self.function} needs numbers, not text"
        return None
