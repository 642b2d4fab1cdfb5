"""What something costs: processor time over the last minute, in bounded memory. One writer adds; anybody may read. Holds no clock."""

from __future__ import annotations

from typing import Final

SLOT_NS: Final = 10_000_000_000
SLOTS: Final = 6


class CostMeter:
    """Nanoseconds spent, in six slots of ten seconds."""

    def __init__(self) -> None:
        self._spent = [0] * SLOTS
        self._slot = -1
        self._begun_ns = -1
        self.total_ns = 0
        """Spent since the meter was made."""

    def add(self, spent_ns: int, *, at_ns: int) -> None:
        """``at_ns`` is of the monotonic clock and does not go back."""
        self._spent[self._turn(at_ns)] += spent_ns
        self.total_ns += spent_ns

    def us_per_s(self, *, at_ns: int) -> float:
        """Microseconds spent in each second, over the last minute, or since the first call when that is shorter."""
        if self._begun_ns < 0:
            return 0.0
        self._turn(at_ns)
        span_ns = min(at_ns - self._begun_ns, (SLOTS - 1) * SLOT_NS + at_ns % SLOT_NS)
        return sum(self._spent) / 1e3 / max(span_ns / 1e9, 1.0)

    def _turn(self, at_ns: int) -> int:
        now = at_ns // SLOT_NS
        if self._slot < 0:
            self._slot, self._begun_ns = now, at_ns
        for passed in range(self._slot + 1, min(now, self._slot + SLOTS) + 1):
            self._spent[passed % SLOTS] = 0
        self._slot = max(self._slot, now)
        return self._slot % SLOTS
