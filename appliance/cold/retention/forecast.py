"""On which day the disk will be full, and which stream eats it: the growth of the last days, drawn on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance.clock import US_PER_DAY, US_PER_S, day_of
from appliance.manifest import Segment

WINDOW_DAYS = 7
"""The whole days before today whose bytes are taken for what a day brings."""
HORIZON_DAYS = 3_660
"""What lies beyond is not foretold."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What one stream adds."""

    stream: str
    bytes_per_day: int
    days_left: float | None
    """Days until its oldest go as fast as new ones come; None: it is kept for ever."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What will be if it goes on like this."""

    bytes_per_day: int = 0
    """Of all streams, before retention."""
    full_us: int | None = None
    """Start of the UTC day on which the disk has no room for records; None: not within ten years, or not known yet."""
    trim_us: int | None = None
    """Start of the day from which on ``[retention] disk_max`` removes the oldest days; None: no such limit, or not within ten years."""
    stream: str | None = None
    """The one that grows most; None: none does."""


def growth_of(
    stream: str, segments: Iterable[Segment], *, keep_s: float | None, now_us: int, beside: Mapping[str, int] = MappingProxyType({})
) -> Growth:
    """The mean of the last whole days, by event time; since its first day, for a stream that is younger than these.

    A file of several days counts in equal parts. ``beside`` are bytes that lie beside a segment (its search index), by its path.
    """
    today = day_of(now_us)
    live = [s for s in segments if s.day < today]
    if not live:
        return Growth(stream, 0, None)
    first = min(s.day for s in live)
    since = max(today - WINDOW_DAYS, first)
    grown = sum((s.bytes + beside.get(s.path, 0)) * max(0, min(s.day_last, today - 1) - max(s.day, since) + 1) // s.days for s in live)
    left = None if keep_s is None else max(0.0, keep_s / 86_400 - (today - first))
    return Growth(stream, grown // max(1, today - since), left)


def forecast(growths: Iterable[Growth], *, room_bytes: int, lake_bytes: int, disk_bytes_max: int | None, now_us: int) -> Forecast:
    """``room_bytes`` is what records may still take of the disk, ``lake_bytes`` what history takes now, ``disk_bytes_max`` its limit."""
    growing = [g for g in growths if g.bytes_per_day > 0]
    net = [g for g in growing if g.days_left is None or g.days_left > 0]
    largest = max(net or growing, key=lambda g: g.bytes_per_day, default=None)
    total = sum(g.bytes_per_day for g in growing)
    stream = largest.stream if largest else None
    full = _days_until(net, room_bytes)
    trim = None if disk_bytes_max is None else _days_until(net, disk_bytes_max - lake_bytes)
    if trim is not None and (full is None or trim <= full):
        return Forecast(total, None, _day_us(now_us, trim), stream)
    return Forecast(total, None if full is None else _day_us(now_us, full), None, stream)


def _days_until(growths: list[Growth], room_bytes: int) -> float | None:
    """When these have taken so much, each growing until its oldest days go; None: not within the horizon."""
    if room_bytes <= 0:
        return 0.0 if growths else None
    ends = sorted({min(HORIZON_DAYS, HORIZON_DAYS if g.days_left is None else g.days_left) for g in growths} | {float(HORIZON_DAYS)})
    at, taken = 0.0, 0.0
    for end in ends:
        rate = sum(g.bytes_per_day for g in growths if g.days_left is None or g.days_left > at)
        if rate and taken + rate * (end - at) >= room_bytes:
            return at + (room_bytes - taken) / rate
        at, taken = end, taken + rate * (end - at)
    return None


def _day_us(now_us: int, days: float) -> int:
    return day_of(now_us + round(days * 86_400 * US_PER_S)) * US_PER_DAY


def forecast_of(
    streams: Mapping[str, tuple[Iterable[Segment], float | None]],
    *,
    room_bytes: int,
    disk_bytes_max: int | None,
    now_us: int,
    beside: Mapping[str, int] = MappingProxyType({}),
) -> Forecast:
    """``forecast`` over each stream's segments and ``keep`` in seconds, with what lies beside segments."""
    held = {name: (tuple(segments), keep_s) for name, (segments, keep_s) in streams.items()}
    growths = [growth_of(name, segments, keep_s=keep_s, now_us=now_us, beside=beside) for name, (segments, keep_s) in held.items()]
    lake_bytes = sum(s.bytes + beside.get(s.path, 0) for segments, _ in held.values() for s in segments)
    return forecast(growths, room_bytes=room_bytes, lake_bytes=lake_bytes, disk_bytes_max=disk_bytes_max, now_us=now_us)
