"""Whether a condition can hold anywhere in a round, from the least and the largest value of each of its terms.

Most rules are quiet most of the time: one look at the extremes, which rules share, takes the place of computing them row by row.
Where nothing can be said this way (texts, arithmetic, a null test) the answer is that it may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import numpy as np

from appliance.hot.stream.expression import Expression, Term
from appliance.hot.stream.expression.nodes import Between, Comparison, Literal, Logic
from appliance.hot.stream.values import Vector

MayHold: TypeAlias = "Callable[[Ranges], bool]"
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


class Ranges(Protocol):
    """Between what the values of each term lie, by its place."""

    def may_reach(self, place: int, least: float) -> bool:
        """Whether a value may be at least so large."""

    def may_fall_to(self, place: int, most: float) -> bool:
        """Whether a value may be at most so large."""


class Extremes:
    """Of the vectors of one round, each computed when it is first asked for."""

    def __init__(self, vectors: Sequence[Vector]) -> None:
        """Values of rows that are null count too, which makes a range wider and never too narrow."""
        self._vectors = vectors
        self._high: dict[int, float] = {}
        self._low: dict[int, float] = {}

    def may_reach(self, place: int, least: float) -> bool:
        """Whether a value may be at least so large. NaN, which is null, may stand for any."""
        high = self._high.get(place)
        if high is None:
            high = self._high[place] = _extreme(np.maximum, self._vectors[place])
        return not high < least

    def may_fall_to(self, place: int, most: float) -> bool:
        """Whether a value may be at most so large."""
        low = self._low.get(place)
        if low is None:
            low = self._low[place] = _extreme(np.minimum, self._vectors[place])
        return not low > most


def may_hold(condition: Expression, places: Mapping[Term, int]) -> MayHold | None:
    """How to tell whether ``condition`` may be true in any row; ``places`` are those of its terms among the vectors.

    None where it can't be told. Comparisons count their borders in, so that rounding of large ints does no harm.
    """
    match condition:
        case Comparison():
            return _comparison(condition, places)
        case Between(operand=operand, low=Literal() as low, high=Literal() as high, negated=False):
            above = _comparison(Comparison(">=", operand, low), places)
            below = _comparison(Comparison("<=", operand, high), places)
            return _all([above, below])
        case Logic(word="and"):
            return _all([may_hold(o, places) for o in condition.operands])
        case Logic(word="or"):
            return _any([may_hold(o, places) for o in condition.operands])
        case _:
            return None


def _comparison(node: Comparison, places: Mapping[Term, int]) -> MayHold | None:
    sign, left, right = node.sign, node.left, node.right
    if sign not in _MIRRORED:
        return None
    if isinstance(left, Literal):
        sign, left, right = _MIRRORED[sign], right, left
    place = places.get(left)  # type: ignore[arg-type]
    if place is None or not isinstance(right, Literal) or isinstance(right.value, bool) or not isinstance(right.value, int | float):
        return None
    border = float(right.value)
    match sign:
        case ">" | ">=":
            return lambda extremes: extremes.may_reach(place, border)
        case "<" | "<=":
            return lambda extremes: extremes.may_fall_to(place, border)
        case _:
            return lambda extremes: extremes.may_reach(place, border) and extremes.may_fall_to(place, border)


def _all(parts: Sequence[MayHold | None]) -> MayHold | None:
    """Holds only where all do: those of which something can be said decide."""
    known = [p for p in parts if p is not None]
    return (lambda extremes: all(p(extremes) for p in known)) if known else None


def _any(parts: Sequence[MayHold | None]) -> MayHold | None:
    known = [p for p in parts if p is not None]
    return (lambda extremes: any(p(extremes) for p in known)) if len(known) == len(parts) else None


def _extreme(function: np.ufunc, vector: Vector) -> float:
    """NaN where there is no saying: texts, truths, no row."""
    values = vector.values
    if vector.texts is not None or values.dtype.kind not in "fi" or not len(values):
        return float("nan")
    return float(function.reduce(values))
