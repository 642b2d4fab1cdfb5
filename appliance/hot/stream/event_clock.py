"""How far event time has come in one stream: pure bookkeeping over the times of its records and the monotonic clock.

The watermark is the largest event time so far, less the stream's lateness; nothing earlier is expected any more. Before a record
of time t is applied the watermark has reached t less the lateness, so what is due runs at the same place however the records are
cut into rounds. While nothing arrives it goes on with the monotonic clock, which no step of the wall clock moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.clock import US_PER_S
from appliance.hot.stream.values import I64, Mask

FUTURE_US: Final = 3_600 * US_PER_S
"""A record further ahead of the wall clock than this is not looked at: one from the year 2100 must not end every window."""
NEVER: Final = -(2**62)
"""The watermark of a stream that has had no record: before all times, and far from overflow."""


@dataclass(slots=True)
class EventClock:
    """Owned by the plan of one stream."""

    lateness_us: int
    newest_us: int = NEVER
    """The largest event time so far."""
    watermark_us: int = NEVER
    arrived_ns: int | None = None
    """Monotonic time at which the newest records came; None before any have."""
    _ahead_us: int = NEVER
    """The furthest that the wall clock was ever ahead of the monotonic one."""

    def take(self, ts: I64, *, now_ns: int) -> I64:
        """The watermark just before each record is applied, not falling; the clock then stands behind the last one."""
        highest = np.maximum.accumulate(np.maximum(ts, self.newest_us))
        before = np.maximum(highest - self.lateness_us, self.watermark_us)
        self.newest_us = int(highest[-1])
        self.watermark_us = int(before[-1])
        self.arrived_ns = now_ns
        return np.asarray(before, dtype=np.int64)

    def idle(self, now_ns: int) -> int:
        """Moves the watermark on by the time since the last records came, and returns it."""
        if self.arrived_ns is not None and self.newest_us != NEVER:
            elapsed_us = (now_ns - self.arrived_ns) // 1000
            self.watermark_us = max(self.watermark_us, self.newest_us + elapsed_us - self.lateness_us)
        return self.watermark_us

    def wall_us(self, now_us: int, now_ns: int) -> int:
        """The latest that it may be: by the wall clock as it is, or as it was before it was set back. What is from the future is told by
        this, so that a box whose clock is set back, or starts too early, goes on looking at what devices send."""
        self._ahead_us = max(self._ahead_us, now_us - now_ns // 1000)
        return self._ahead_us + now_ns // 1000

    def restore(self, newest_us: int, watermark_us: int, *, elapsed_us: int, now_ns: int) -> None:
        """As it stood ``elapsed_us`` ago (0 where that can't be known), when time alone had moved the watermark to ``watermark_us``."""
        self.newest_us = newest_us
        self.watermark_us = max(self.watermark_us, watermark_us, newest_us - self.lateness_us)
        idle_us = self.watermark_us - (newest_us - self.lateness_us)
        self.arrived_ns = now_ns - (idle_us + max(0, elapsed_us)) * 1000


def near(ts: I64, *, now_us: int) -> Mask | None:
    """Which records are not too far ahead of the wall clock; None when all are fine."""
    limit = now_us + FUTURE_US
    return None if not len(ts) or int(ts.max()) <= limit else ts <= limit
