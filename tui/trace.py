"""A rate over time, put together from the seconds that each status brings, so that a chart can look further back than one status.

Bounded: the oldest seconds fall off. Seconds that no status told of are gaps.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.widgets.plot import Buckets

US_PER_S = 1_000_000


class Trace:
    """Records a second, by second; owned by the UI's thread."""

    def __init__(self, *, seconds_max: int = 3600) -> None:
        self._seconds_max = seconds_max
        self._start_s = 0
        self._values: list[int | None] = []
        self.buckets = Buckets(0, US_PER_S, (), ())
        """What the chart draws: the same object until there is something new."""

    def extend(self, as_of_us: int, history: Sequence[int]) -> None:
        """Takes a status: ``history`` holds the whole seconds that end at ``as_of_us``; what it says of known seconds is right."""
        if not history:
            return
        begin = as_of_us // US_PER_S - len(history)
        at = begin - self._start_s
        if self._values and 0 <= at <= len(self._values) and self._values[at:] == list(history):
            return
        if not self._values or at < 0 or at > len(self._values) + self._seconds_max:
            self._start_s, self._values = begin, list(history)
        else:
            self._values.extend([None] * (at - len(self._values)))
            self._values[at:] = history
        excess = len(self._values) - self._seconds_max
        if excess > 0:
            del self._values[:excess]
            self._start_s += excess
        seconds = tuple(self._values)
        self.buckets = Buckets(self._start_s * US_PER_S, US_PER_S, seconds, seconds)
