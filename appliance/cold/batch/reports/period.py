"""The days that a report is about: whole local days, weeks or months of the node's time zone, with their bounds in UTC. Pure.

A day begins at the first instant whose local date it is: where daylight saving skips midnight that is the instant of the change,
where it repeats midnight it is the first of the two. So days tile time without a gap, and have 23, 24 or 25 hours as the zone has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from appliance.batch_options import Covers
from appliance.clock import US_PER_S
from appliance.errors import UsageRefused

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """One day, ISO week or month of a zone; half-open."""

    covers: Covers
    day: date
    """The first local day."""
    end_day: date
    """The local day after the last one."""
    since_us: int
    until_us: int

    @property
    def last_day(self) -> date:
        return self.end_day - timedelta(days=1)

    @property
    def name(self) -> str:
        """``2026-11-21``, ``2026-W47`` or ``2026-11``."""
        if self.covers == "week":
            year, week, _ = self.day.isocalendar()
            return f"{year}-W{week:02d}"
        return self.day.isoformat() if self.covers == "day" else self.day.strftime("%Y-%m")


def day_start_us(day: date, zone: tzinfo) -> int:
    """The first instant of a local day, microseconds in UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return (instant - _EPOCH) // _US
    low, high = midnight.replace(fold=1).astimezone(UTC), instant  # midnight is skipped: the change lies between its two readings
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        low, high = (middle, high) if middle.astimezone(zone).date() < day else (low, middle)
    return (high.replace(microsecond=0) - _EPOCH) // _US


def period_of(day: date, *, covers: Covers, zone: tzinfo) -> Period:
    """The day, ISO week (from Monday on) or month that holds ``day``."""
    if covers == "week":
        first = day - timedelta(days=day.weekday())
        end = first + timedelta(days=7)
    elif covers == "month":
        first = day.replace(day=1)
        end = (first + timedelta(days=32)).replace(day=1)
    else:
        first, end = day, day + timedelta(days=1)
    return Period(covers, first, end, day_start_us(first, zone), day_start_us(end, zone))


def local_day(at_us: int, zone: tzinfo) -> date:
    """The local date of an instant."""
    return datetime.fromtimestamp(at_us // US_PER_S, zone).date()


def period_before(now_us: int, *, covers: Covers, zone: tzinfo) -> Period:
    """The newest one that is over at ``now_us``."""
    current = period_of(local_day(now_us, zone), covers=covers, zone=zone)
    return period_of(current.day - timedelta(days=1), covers=covers, zone=zone)


def period_asked(text: str | None, *, now_us: int, covers: Covers, zone: tzinfo) -> Period:
    """The one that a person names by one of its days: ``2026-11-21``, ``today``, ``yesterday``; None: the newest that is over.

    Raises ``UsageRefused`` for what is no day, and for one that has not begun.
    """
    if text is None:
        return period_before(now_us, covers=covers, zone=zone)
    today = local_day(now_us, zone)
    named = {"today": today, "yesterday": today - timedelta(days=1)}.get(text.strip().lower())
    try:
        found = period_of(named or date.fromisoformat(text.strip()), covers=covers, zone=zone)
    except (ValueError, OverflowError):
        raise UsageRefused(f"day {text[:40]!r} is no day: write 2026-11-21, today or yesterday") from None
    if found.since_us > now_us:
        raise UsageRefused(f"day {text[:40]!r} has not begun")
    return found
