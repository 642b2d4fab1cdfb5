"""Records a second, by stream, over the last two minutes. One writer adds; anybody may read. Holds no clock."""

from __future__ import annotations

from collections.abc import Iterable

HISTORY_S = 120
RATE_S = 10
_NS = 1_000_000_000


class RateHistory:
    """A count for each of the last ``HISTORY_S`` seconds and each key."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._seconds: dict[str, list[int]] = {}

    def add(self, key: str, count: int, *, at_ns: int) -> None:
        """``at_ns`` is of the monotonic clock."""
        second = at_ns // _NS
        counts = self._counts.setdefault(key, [0] * HISTORY_S)
        seconds = self._seconds.setdefault(key, [-1] * HISTORY_S)
        place = second % HISTORY_S
        if seconds[place] != second:
            counts[place], seconds[place] = 0, second
        counts[place] += count

    def history(self, key: str, *, at_ns: int) -> tuple[int, ...]:
        """The last ``HISTORY_S`` whole seconds, oldest first; the second under way is not in it."""
        now = at_ns // _NS
        counts, seconds = self._counts.get(key), self._seconds.get(key)
        if counts is None or seconds is None:
            return (0,) * HISTORY_S
        return tuple(counts[s % HISTORY_S] if seconds[s % HISTORY_S] == s else 0 for s in range(now - HISTORY_S, now))


def rate_of(history: Iterable[int]) -> float:
    """The mean of the newest ``RATE_S`` seconds."""
    newest = tuple(history)[-RATE_S:]
    return sum(newest) / RATE_S
