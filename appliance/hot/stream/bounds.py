"""Between what values every aggregate of every window lies: from the least and the largest value of what has come, never row by row.

Records are noted as they come, a stretch of event time after the other; a stretch is let go once no window reaches back to it. The
bounds may be too wide and are never too narrow, so what they rule out can't be anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final

from appliance.hot.stream.values import Extent
from appliance.hot.stream.windows.aggregates import FAR, NEVER, Aggregate, Function

STRETCHES_PER_WINDOW: Final = 8
"""So much longer than the window it takes until a large value is forgotten: an eighth."""
STRETCHES_MAX: Final = 64
"""Above it, because of a device that is far behind the others, the two oldest become one."""
_ROUNDING: Final = 1e-6
"""Of the largest value: more than what sums of a window's values can be off by."""
_COUNTED: Final = frozenset({Function.COUNT_ALL, Function.COUNT, Function.DISTINCT, Function.SUM})
NOTHING: Final[Extent] = (float("inf"), float("-inf"))
UNKNOWN: Final[Extent] = (float("nan"), float("nan"))
"""Of values that may be any."""


@dataclass(slots=True)
class _Stretch:
    """What came in a stretch of event time."""

    since_us: int
    until_us: int
    extents: list[Extent]
    """By argument: the least and the largest value."""
    most: int
    """No key has had more records."""


class Bounds:
    """Of one table of windows. Answers what ``quiet.may_hold`` asks, for every window that there is or can come of what was noted."""

    def __init__(self, aggregates: Sequence[Aggregate], arguments: int, *, over_us: int) -> None:
        """``arguments`` is the number of input vectors, ``over_us`` the length of a window."""
        self.counts = any(a.function in _COUNTED for a in aggregates)
        """Whether it matters how many records a key has."""
        self.version = 0
        """Rises whenever the bounds change."""
        self.forgotten_us = NEVER
        """Windows that reach back to before this may hold what is not within the bounds."""
        self._aggregates = aggregates
        self._arguments = arguments
        self._step_us = max(1, over_us // STRETCHES_PER_WINDOW)
        self._stretches: list[_Stretch] = []
        self._extents: list[Extent] = [NOTHING] * arguments
        self._most = 0
        """Of all stretches."""
        self._allowed = 0
        """What the bounds are made for: some more than ``_most``, so that they don't change with each record."""

    def may_reach(self, place: int, least: float) -> bool:
        """Whether a value of this aggregate may be at least so large."""
        return not self._range(place)[1] < least

    def may_fall_to(self, place: int, most: float) -> bool:
        """Whether a value of this aggregate may be at most so large."""
        return not self._range(place)[0] > most

    @property
    def extents(self) -> list[Extent]:
        """Of what was noted, by argument."""
        return self._extents

    def with_extents(self, extents: Sequence[Extent]) -> Bounds:
        """The same, if that were the extents of the arguments; not to be noted in."""
        other = copy(self)
        other._extents = list(extents)
        return other

    def note(self, extents: Sequence[Extent], most: int, newest_us: int) -> bool:
        """Takes in records: the extent of each argument, the most that one key has of them, the newest event time. True: it is time to
        ``forget``."""
        last = self._stretches[-1] if self._stretches else None
        is_new = last is None or newest_us >= last.since_us + self._step_us
        if last is None or is_new:
            self._stretches.append(_Stretch(newest_us, newest_us, list(extents), most))
            if len(self._stretches) > STRETCHES_MAX:
                self._join_oldest()
        else:
            last.until_us = max(last.until_us, newest_us)
            last.most += most
            last.extents = union(last.extents, extents)
        self._most += most
        whole = union(self._extents, extents)
        if whole != self._extents or (self.counts and self._most > self._allowed):
            self._renew(whole)
        return is_new

    def forget(self, begin_us: int) -> None:
        """No window reaches back to before ``begin_us`` (``FAR``: there is none)."""
        kept = [s for s in self._stretches if s.until_us >= begin_us] if begin_us < FAR else []
        if len(kept) < len(self._stretches):
            self.forgotten_us = max(self.forgotten_us, *(s.until_us + 1 for s in self._stretches if s.until_us < begin_us))
            self._stretches = kept
            self._most = sum(s.most for s in kept)
            whole = [NOTHING] * self._arguments
            for stretch in kept:
                whole = union(whole, stretch.extents)
            self._renew(whole)

    def _renew(self, extents: list[Extent]) -> None:
        self._extents = extents
        self._allowed = self._most + self._most // 4 + 16
        self.version += 1

    def _join_oldest(self) -> None:
        a, b, *rest = self._stretches
        extents = union(a.extents, b.extents)
        self._stretches = [_Stretch(a.since_us, max(a.until_us, b.until_us), extents, a.most + b.most), *rest]

    def _range(self, place: int) -> Extent:
        """Of one aggregate. Where there is no value it is null, or a count of none."""
        aggregate = self._aggregates[place]
        if aggregate.function in (Function.COUNT_ALL, Function.COUNT, Function.DISTINCT):
            return 0.0, float(self._allowed)
        assert aggregate.argument is not None
        low, high = self._extents[aggregate.argument]
        if low > high:
            return NOTHING
        slack = _ROUNDING * max(abs(low), abs(high))
        apart = high - low + slack
        match aggregate.function:
            case Function.SUM:
                return self._allowed * min(low - slack, 0.0), self._allowed * max(high + slack, 0.0)
            case Function.STDDEV:
                return 0.0, apart
            case Function.DELTA:
                return -apart, apart
            case Function.RATE:
                return -apart * 1e6, apart * 1e6
            case _:
                return low - slack, high + slack


def union(some: Sequence[Extent], others: Sequence[Extent]) -> list[Extent]:
    """By argument."""
    return [_union(a, b) for a, b in zip(some, others, strict=True)]


def _union(a: Extent, b: Extent) -> Extent:
    """NaN, which says that nothing is known, stays."""
    if a[0] != a[0] or b[0] != b[0]:
        return UNKNOWN
    return (a[0] if a[0] <= b[0] else b[0]), (a[1] if a[1] >= b[1] else b[1])
