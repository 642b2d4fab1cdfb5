"""A clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.clock import US_PER_S

NOON_US = 1_795_348_800_000_000
"""2026-11-22 12:00 in UTC."""


@dataclass
class FakeClock:
    """All three clocks move together in ``pass_s``; ``now`` alone may also be set, as a wrong wall clock would be."""

    now: int = NOON_US
    up_ns: int = 1_000_000_000_000
    boot: str = "boot-1"

    def now_us(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.up_ns

    def boottime_us(self) -> int:
        return self.up_ns // 1000

    def boot_id(self) -> str:
        return self.boot

    def pass_s(self, seconds: float) -> None:
        """Time goes by on every clock."""
        self.now += int(seconds * US_PER_S)
        self.up_ns += int(seconds * 1_000_000_000)
