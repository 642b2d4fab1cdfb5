"""How often each template comes, by minutes of event time, and which minutes have more than there ever are."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.hybrid.analysis.texts.coding import I32, I64
from appliance.hybrid.analysis.texts.scored import F64

MINUTE_US: Final = 60_000_000
MEMORY_MINUTES: Final = 1_440
"""A minute counts as one of so many once there have been more: the rate of the last day, roughly."""
FORGOTTEN: Final = 0.9999
"""What stays of the highest minute after another one: half of it is forgotten in five days."""
GROWTH_MAX: Final = 4.0
"""A minute counts as at most so many times the usual most, so that what goes on being unusual is not usual after its first minute."""
YOUNG_MINUTES: Final = 10.0
"""Until then each minute counts as it was."""
COUNT_MIN: Final = 5.0
"""Fewer in a minute are never too many."""
SPREADS: Final = 3.0
LEARNED_MINUTES: Final = 60.0
"""Minutes after which a rate is trusted in full; before, by the root of the part that has passed."""
Usual = list[float]
"""Of one template: the minute it is in, its count there, minutes before that, mean and mean square of their counts, the highest."""
_MINUTE, _COUNT, _MINUTES, _MEAN, _SQUARE, _PEAK = range(6)


class Rates:
    """The usual rate of each template; owned by one `TextScorer`."""

    def __init__(self) -> None:
        self.usual: dict[int, Usual] = {}

    def take(self, ids: I32, minutes: I64, count: F64, usual: F64) -> F64:
        """Counts texts of templates in minutes that never fall; writes how many there were so far and how many are usual at most.

        Returns how much weight the excess of each has, 0 to 1: less for a template that is young.
        """
        weight = np.zeros(len(ids))
        if not len(ids):
            return weight
        order = np.argsort(ids, kind="stable")
        sorted_ids, sorted_minutes = ids[order], minutes[order]
        begins = np.flatnonzero(np.r_[True, (np.diff(sorted_ids) != 0) | (np.diff(sorted_minutes) != 0)])
        lengths = np.diff(np.r_[begins, len(ids)])
        runs = zip(sorted_ids[begins].tolist(), sorted_minutes[begins].tolist(), lengths.tolist(), strict=True)
        looked = np.array([self._run(id_, minute, length) for id_, minute, length in runs])
        within = np.arange(len(ids)) - np.repeat(begins, lengths)
        count[order] = np.repeat(looked[:, 0], lengths) + within + 1
        usual[order] = np.repeat(looked[:, 1], lengths)
        weight[order] = np.repeat(looked[:, 2], lengths)
        return weight

    def join(self, old: int, heir: int) -> None:
        """What is usual of ``old`` is of ``heir`` from now on."""
        one = self.usual.pop(old, None)
        other = self.usual.get(heir)
        if one is None or other is None:
            if one is not None:
                self.usual[heir] = one
            return
        minute = max(one[_MINUTE], other[_MINUTE])
        for usual in (one, other):
            _go_to(usual, minute)
        mean = one[_MEAN] + other[_MEAN]
        square = one[_SQUARE] + other[_SQUARE] + 2 * one[_MEAN] * other[_MEAN]
        peak, minutes = one[_PEAK] + other[_PEAK], max(one[_MINUTES], other[_MINUTES])
        self.usual[heir] = [minute, one[_COUNT] + other[_COUNT], minutes, mean, square, peak]

    def forget(self, id_: int) -> None:
        """Nothing is known of it any more."""
        self.usual.pop(id_, None)

    def _run(self, id_: int, minute: int, length: int) -> tuple[float, float, float]:
        """How many there were in that minute before, the most that is usual, the weight; then counts them."""
        usual = self.usual.get(id_)
        if usual is None:
            usual = self.usual[id_] = [minute, 0, 0, 0.0, 0.0, 0.0]
        _go_to(usual, minute)
        before = usual[_COUNT]
        usual[_COUNT] += length
        if not usual[_MINUTES]:
            return before, math.nan, 0.0
        return before, _most(usual), min(1.0, math.sqrt(usual[_MINUTES] / LEARNED_MINUTES))


def excess(count: F64, usual: F64) -> npt.NDArray[np.float64]:
    """How often the usual most was doubled; 0 where it was not passed or is not known."""
    with np.errstate(invalid="ignore"):
        ratio: F64 = np.maximum(count / usual, 1.0)
    return np.log2(np.where(np.isnan(ratio), 1.0, ratio))


def _most(usual: Usual) -> float:
    """The most that a minute usually has."""
    mean = usual[_MEAN]
    spread = math.sqrt(max(usual[_SQUARE] - mean * mean, 0.0) + mean)
    return max(usual[_PEAK], mean + SPREADS * spread, COUNT_MIN)


def _go_to(usual: Usual, minute: float) -> None:
    """Closes the minutes before ``minute``, the empty ones among them."""
    passed = minute - usual[_MINUTE]
    if passed <= 0:
        return
    share = 1.0 / min(usual[_MINUTES] + 1, MEMORY_MINUTES)
    count = usual[_COUNT] if usual[_MINUTES] < YOUNG_MINUTES else min(usual[_COUNT], GROWTH_MAX * _most(usual))
    usual[_MEAN] += share * (count - usual[_MEAN])
    usual[_SQUARE] += share * (count * count - usual[_SQUARE])
    usual[_PEAK] = max(usual[_PEAK] * FORGOTTEN, count)
    usual[_MINUTES] += 1
    empty = passed - 1
    if empty:
        known = usual[_MINUTES]
        counted = min(empty, max(0.0, MEMORY_MINUTES - known))
        kept = known / (known + counted) * (1.0 - 1.0 / MEMORY_MINUTES) ** (empty - counted)
        usual[_MEAN] *= kept
        usual[_SQUARE] *= kept
        usual[_PEAK] *= FORGOTTEN**empty
        usual[_MINUTES] += empty
    usual[_MINUTE], usual[_COUNT] = minute, 0
