"""Where the marks of an axis are: round numbers, and round local times, right across daylight saving. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from appliance.clock import US_PER_S
from appliance.cold.batch.reports.period import day_start_us, local_day

MINUTE_US: Final = 60 * US_PER_S
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
_MINUTES: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
_DAYS: Final = (1, 2, 7, 14)
_PREFIXES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
Mark = tuple[float, str]
"""A place on the axis and what stands there."""


def number_marks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Round numbers that cover ``low`` to ``high``: steps of 1, 2, 2.5 or 5 times a power of ten; at least two."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high <= low:
        spread = abs(low) * 0.1 or 1.0
        low, high = low - spread, high + spread
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


def number_word(value: float, step: float) -> str:
    """``1.5 M``, ``20``, ``0.25``: as many digits as marks ``step`` apart need."""
    size = max(abs(value), step)
    for factor, prefix in _PREFIXES:
        if size >= factor * 10 or (size >= factor and factor > 1e3):
            return f"{value / factor:.4g} {prefix}" if value else "0"
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0 if float(step).is_integer() else 1
    if 0 < step < 1 and round(step * 10**digits, 6) % 1:
        digits += 1
    return f"{value:.{digits}f}" if digits <= 6 else f"{value:.2g}"


def time_marks(low_us: int, high_us: int, zone: tzinfo, *, count: int = 6) -> list[Mark]:
    """Round local times from ``low_us`` to ``high_us``, both included; an hour that is repeated has two marks."""
    span = max(1, high_us - low_us)
    minutes = next((m for m in _MINUTES if span / (m * MINUTE_US) <= count), None)
    if minutes is not None:
        return [(at, word) for at, word in _clock_marks(low_us, high_us, zone, minutes) if low_us <= at <= high_us]
    days = next((d for d in _DAYS if span / (d * DAY_US) <= count), None)
    return list(_day_marks(low_us, high_us, zone, days) if days is not None else _month_marks(low_us, high_us, zone, count))


def _clock_marks(low_us: int, high_us: int, zone: tzinfo, minutes: int) -> Iterator[Mark]:
    """Steps through UTC by what every zone's offset is a multiple of, and keeps where the local clock is round."""
    pace = min(minutes, 15) * MINUTE_US
    at = low_us // pace * pace
    while at <= high_us:
        local = datetime.fromtimestamp(at // US_PER_S, zone)
        if (local.hour * 60 + local.minute) % minutes == 0:
            yield at, f"{local.day} {local:%b}" if not (local.hour or local.minute) else local.strftime("%H:%M")
        at += pace


def _day_marks(low_us: int, high_us: int, zone: tzinfo, days: int) -> Iterator[Mark]:
    day = local_day(low_us, zone)
    end = local_day(high_us, zone)
    while day <= end:
        at = day_start_us(day, zone)
        if day.toordinal() % days == 0 and low_us <= at <= high_us:
            yield at, f"{day.day} {day:%b}"
        day += timedelta(days=1)


def _month_marks(low_us: int, high_us: int, zone: tzinfo, count: int) -> Iterator[Mark]:
    first, last = local_day(low_us, zone), local_day(high_us, zone)
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    step = next((s for s in (1, 2, 3, 6, 12, 24, 60, 120) if months / s <= count), 240)
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        year, month = divmod(number, 12)
        at = day_start_us(date(year, month + 1, 1), zone)
        if number % step == 0 and low_us <= at <= high_us:
            yield at, date(year, month + 1, 1).strftime("%b %Y" if step < 12 else "%Y")
