"""How soon again, and how often: backoff with jitter, and a rate. Pure but for the random numbers that are handed in."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

BACKOFF_S: Final = 1.0
BACKOFF_S_MAX: Final = 300.0
BACKOFF_S_MIN: Final = 0.1
"""Not even the best of chances tries again at once."""
MINUTE_NS: Final = 60_000_000_000


def backoff_s(attempts: int, random: Random) -> float:
    """Seconds until the next attempt after ``attempts`` failed ones (at least 1): exponential, full jitter, at most 5 min.

    Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    bound = min(BACKOFF_S_MAX, BACKOFF_S * 2.0 ** min(attempts - 1, 30))
    return max(BACKOFF_S_MIN, random.uniform(0.0, bound))


class Rate:
    """At most ``rate_max`` within any minute. Bounded by that number."""

    def __init__(self, rate_max: int) -> None:
        self.rate_max = rate_max
        self._used: deque[int] = deque()

    def free_ns(self, now_ns: int) -> int:
        """When the next one may go; not later than ``now_ns`` when it may go now."""
        while self._used and self._used[0] <= now_ns - MINUTE_NS:
            self._used.popleft()
        return now_ns if len(self._used) < self.rate_max else self._used[len(self._used) - self.rate_max] + MINUTE_NS

    def use(self, now_ns: int) -> None:
        """One has gone."""
        self._used.append(now_ns)
