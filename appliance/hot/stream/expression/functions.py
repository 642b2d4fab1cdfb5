"""The functions of the expression language: their names, what they are, how many arguments they take."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Statistic(StrEnum):
    """An aggregate over the records of a window. Null, NaN and infinite inputs are skipped, as in SQL; without any input it is null."""

    COUNT = "count"
    """Without an argument the rows, else the values that are not null; never null."""
    DISTINCT = "distinct"
    """How many different values, exactly; written ``count(distinct x)``; never null."""
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    STDDEV = "stddev"
    """Of a sample (divided by n - 1), as in DuckDB; null below two values."""
    MEDIAN = "median"
    QUANTILE = "quantile"
    """Continuous (DuckDB's ``quantile_cont``) at ``Aggregate.parameter``."""
    RATE = "rate"
    """Change per second, over the window; without one, since the record before."""
    DELTA = "delta"
    """Change, over the window; without one, since the record before."""


CHANGES: Final = frozenset({Statistic.RATE, Statistic.DELTA})
"""The aggregates that mean something without a window too."""
COUNTS: Final = frozenset({Statistic.COUNT, Statistic.DISTINCT})
"""The aggregates that take values of any kind, give whole numbers and are never null."""
OF_ANY_KIND: Final = COUNTS | {Statistic.FIRST, Statistic.LAST}
"""The aggregates whose argument needn't be a number."""
STATISTICS: Final[Mapping[str, Statistic]] = {**{s.value: s for s in Statistic}, "mean": Statistic.AVG}
"""Each name that a user may write -> the aggregate."""

SCALARS: Final[Mapping[str, tuple[int, int | None]]] = {
    "abs": (1, 1),
    "round": (1, 2),
    "floor": (1, 1),
    "ceil": (1, 1),
    "sqrt": (1, 1),
    "least": (1, None),
    "greatest": (1, None),
    "coalesce": (1, None),
    "lower": (1, 1),
    "upper": (1, 1),
    "length": (1, 1),
}
"""Name -> fewest and most arguments (None: any number). Rounding is half away from zero, as in DuckDB."""
OF_NUMBERS: Final = frozenset({"abs", "round", "floor", "ceil", "sqrt"})
OF_TEXTS: Final = frozenset({"lower", "upper", "length"})
DIGITS_MAX: Final = 15
"""Digits that ``round`` can be asked for, either side of the point: what a float64 holds."""

TIME_SINCE: Final = "time_since"
BASELINE: Final = "baseline"
BASELINE_LOW: Final = "baseline_low"
BASELINE_HIGH: Final = "baseline_high"
BASELINES: Final = (BASELINE, BASELINE_LOW, BASELINE_HIGH)
"""What a model says of a column: what is usual, and the lowest and highest value that it still takes for usual."""
EVERY_FUNCTION: Final = (*SCALARS, *STATISTICS, TIME_SINCE, *BASELINES)
"""Every name that may stand before a parenthesis."""

RESERVED_WORDS: Final = frozenset({"and", "or", "not", "is", "in", "between", "like", "null", "true", "false", "distinct"})
"""Words of the language; a column of such a name is written in double quotes."""
