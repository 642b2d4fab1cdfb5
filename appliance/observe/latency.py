"""Latency over the last minute, in bounded memory: buckets on a logarithmic scale, six slots of ten seconds.

One writer at a time adds; reading while it does gives a picture that is at most one value off. Holds no clock.
"""

from __future__ import annotations

import math

import numpy as np

from appliance.observe.histogram import BUCKETS, bucket_of, upper_ms
from appliance.observe.status import LatencyStatus

SLOT_NS = 10_000_000_000
SLOTS = 6


class LatencyWindow:
    """What took how long, over the last minute."""

    def __init__(self) -> None:
        self._counts = np.zeros((SLOTS, BUCKETS), dtype=np.int64)
        self._max = np.zeros(SLOTS)
        self._slot = -1

    def add(self, ms: float, *, at_ns: int, count: int = 1) -> None:
        """``at_ns`` is of the monotonic clock and does not go back."""
        slot = self._turn(at_ns)
        self._counts[slot, bucket_of(ms)] += count
        self._max[slot] = max(self._max[slot], ms)

    def status(self, *, at_ns: int) -> LatencyStatus:
        """Percentiles of the last minute; None where nothing was added."""
        self._turn(at_ns)
        counts = self._counts.sum(axis=0)
        total = int(counts.sum())
        if total == 0:
            return LatencyStatus()
        cumulated = np.cumsum(counts)
        high = float(self._max.max())

        def percentile(share: float) -> float:
            bucket = int(np.searchsorted(cumulated, math.ceil(share * total)))
            return min(high, upper_ms(bucket))

        return LatencyStatus(percentile(0.5), percentile(0.99), high, total)

    def _turn(self, at_ns: int) -> int:
        """Empties the slots that time has passed over and returns the one of now."""
        now = at_ns // SLOT_NS
        if self._slot < 0:
            self._slot = now
        for passed in range(self._slot + 1, min(now, self._slot + SLOTS) + 1):
            self._counts[passed % SLOTS] = 0
            self._max[passed % SLOTS] = 0.0
        self._slot = max(self._slot, now)
        return int(self._slot % SLOTS)
