"""Figures as people read them: rounded, with a unit, short enough for a column; times both relative and absolute.

Nothing is computed here but the notation. ``None`` is unknown and prints as a dash.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

US_PER_S = 1_000_000
_DASH = "-"


def count(value: int | None) -> str:
    """``0`` to ``999`` exactly, then three digits and a letter: ``1.23k``, ``45.6M``; at most five characters."""
    if value is None:
        return _DASH
    if abs(value) < 1000:
        return str(value)
    return _scaled(float(value), 1000, ("", "k", "M", "G", "T", "P", "E"))


def rate(value: float | None) -> str:
    """Records a second: one decimal below ten, so that a slow stream is not taken for a dead one."""
    if value is None:
        return _DASH
    if 0 < value < 0.05:
        return "<0.1"
    if value < 9.95:
        return "0" if value == 0 else f"{value:.1f}"
    return count(round(value))


def size(value: int | None) -> str:
    """Bytes in binary units: ``512 B``, ``1.21 MiB``."""
    if value is None:
        return _DASH
    if abs(value) < 1024:
        return f"{value} B"
    return _scaled(float(value), 1024, ("", " KiB", " MiB", " GiB", " TiB", " PiB"))


def millis(value: float | None) -> str:
    """Milliseconds, turning into seconds above 9.9 of them."""
    if value is None:
        return _DASH
    if value < 9.95:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 9950 else f"{value / 1000:.1f} s"


def share(value: float) -> str:
    """A part of one as a percentage; below ten with one decimal."""
    percent = value * 100
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def number(value: float) -> str:
    """A measured value on an axis or in a title: four significant digits, thousands shortened."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if abs(value) >= 10_000:
        return count(round(value))
    text = f"{value:.4g}"
    return "0" if text == "-0" else text


def axis(value: float) -> str:
    """A round value beside an axis, without zeros that say nothing: ``750``, ``1.5k``, ``20M``."""
    size, unit = value, ""
    for larger in "kMGT":
        if abs(size) < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.4g}{unit}"


def age(span_us: int | None) -> str:
    """How long ago, in one unit: ``now``, ``7 s``, ``3 min``, ``2.1 h``, ``5 d``. A time ahead of the clock prints with a plus."""
    if span_us is None:
        return _DASH
    seconds = span_us / US_PER_S
    if seconds < -1:
        return "+" + span(-span_us)
    if 59.5 <= seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"  # as narrow as the others: six cells
    return "now" if seconds < 1 else span(span_us)


def span(span_us: int) -> str:
    """A length of time in one unit."""
    seconds = span_us / US_PER_S
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 0.95 else f"{seconds:.0f} s"
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86_400
    if minutes < 99.5:
        return f"{_short(minutes)} min"
    if hours < 47.5:
        return f"{_short(hours)} h"
    return f"{_short(days)} d" if days < 999.5 else f"{days / 365.25:.1f} y"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"


@lru_cache(maxsize=4096)
def clock_time(second: int) -> str:
    """Time of day in the zone of this machine, ``second`` since 1970."""
    return local(second).strftime("%H:%M:%S")


def moment(ts_us: int | None, *, now_us: int) -> str:
    """An absolute time in at most eight characters: the time of day for today, else the day, else year and month."""
    if ts_us is None:
        return _DASH
    second = ts_us // US_PER_S
    there, here = local(second), local(now_us // US_PER_S)
    if there.date() == here.date():
        return clock_time(second)
    return there.strftime("%d %b") if there.year == here.year else there.strftime("%b %Y")


def utc_day(ts_us: int) -> str:
    """The UTC day of a time, as the day of a forecast is told."""
    return datetime.fromtimestamp(max(_FIRST, min(_LAST, ts_us // US_PER_S)), UTC).strftime("%Y-%m-%d")


def zone(now_us: int) -> str:
    """The name of this machine's zone at that time, as every absolute time on the screens is in it."""
    return local(now_us // US_PER_S).strftime("%Z") or "UTC"


def local(second: int) -> datetime:
    """That second in the zone of this machine; times outside the calendar are shown as its edge."""
    return datetime.fromtimestamp(max(_FIRST, min(_LAST, second)), UTC).astimezone()


_FIRST = -62_000_000_000
_LAST = 253_000_000_000


def _scaled(value: float, step: int, units: tuple[str, ...]) -> str:
    """Three digits in the first unit that needs no more of them; the last one takes what is left."""
    place = 0
    while (place == 0 or abs(value) >= 999.5) and place < len(units) - 1:
        value, place = value / step, place + 1
    return _three(value) + units[place]


def _three(value: float) -> str:
    shown = abs(value)
    if shown < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if shown < 99.95 else f"{value:.0f}"
