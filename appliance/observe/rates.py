"""Records a second, by stream, over the last two minutes. One writer adds; anybody may read. Holds no clock."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

HISTORY_S = 120
RATE_S = 10
_NS = 1_000_000_000
_PLACES = HISTORY_S + 1
"""The whole seconds and the one under way."""


class RateHistory:
    """A count for each of the last ``HISTORY_S`` seconds and each key, in 2 kB a key."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[array[int], array[int]]] = {}

    def add(self, key: str, count: int, *, at_ns: int) -> None:
        """``at_ns`` is of the monotonic clock."""
        second = at_ns // _NS
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = (array("q", [0] * _PLACES), array("q", [-1] * _PLACES))
        counts, seconds = kept
        place = second % _PLACES
        if seconds[place] != second:
            counts[place], seconds[place] = 0, second
        counts[place] += count

    def history(self, key: str, *, at_ns: int) -> tuple[int, ...]:
        """The last ``HISTORY_S`` whole seconds, oldest first; the second under way is not in it."""
        now = at_ns // _NS
        kept = self._kept.get(key)
        if kept is None:
            return (0,) * HISTORY_S
        counts, seconds = kept
        return tuple(counts[s % _PLACES] if seconds[s % _PLACES] == s else 0 for s in range(now - HISTORY_S, now))


def rate_of(history: Iterable[int]) -> float:
    """The mean of the newest ``RATE_S`` seconds."""
    newest = tuple(history)[-RATE_S:]
    return sum(newest) / RATE_S
