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

    def extend(self, as_of_us: int, history: Sequence[int]) -> None:
        """Takes a status: ``history`` holds the whole seconds that end at ``as_of_us``; what it says of known seconds is right."""
        if not history:
            return
        begin = as_of_us // US_PER_S - len(history)
        if not self._values or begin < self._start_s or begin > self._start_s + len(self._values) + self._seconds_max:
            self._start_s, self._values = begin, list(history)
        else:
            missing = begin - (self._start_s + len(self._values))
            if missing > 0:
                self._values.extend([None] * missing)
            self._values[begin - self._start_s :] = history
        excess = len(self._values) - self._seconds_max
        if excess > 0:
            del self._values[:excess]
            self._start_s += excess

    @property
    def buckets(self) -> Buckets:
        """What the chart draws."""
        return Buckets(start_us=self._start_s * US_PER_S, step_us=US_PER_S, low=self._values, high=self._values)
