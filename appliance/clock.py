"""Where time comes from: one object, handed down from the wiring; nothing else reads a clock.

Three clocks, each for its purpose: ``now_us`` is the wall clock (what a person reads, may jump), ``monotonic_ns`` measures
spans (never jumps, stands still in suspend), ``boottime_us`` with ``boot_id`` orders commits even when the wall clock was wrong.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

US_PER_S = 1_000_000
US_PER_DAY = 86_400 * US_PER_S


class Clock(Protocol):
    """What the long-lived loops hold; tests hand in a fake."""

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970 in UTC."""

    def monotonic_ns(self) -> int:
        """Nanoseconds from an arbitrary start, never going back."""

    def boottime_us(self) -> int:
        """Microseconds since the machine was booted, suspend included."""

    def boot_id(self) -> str:
        """The kernel's id of this boot; empty where there is none."""


class SystemClock:
    """The machine's own clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def boottime_us(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def boot_id(self) -> str:
        return _boot_id()


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def day_of(ts_us: int) -> int:
    """The UTC day that holds ``ts_us``, as days since 1970-01-01 (negative before it)."""
    return ts_us // US_PER_DAY


def day_name(day: int) -> str:
    """``YYYY-MM-DD`` of a day number of ``day_of``."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")


def iso(ts_us: int) -> str:
    """ISO 8601 with ``Z``, microseconds only where there are any."""
    whole, rest = divmod(ts_us, US_PER_S)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z" if rest else f"{text}Z"
