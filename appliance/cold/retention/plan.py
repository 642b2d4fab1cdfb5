"""Which days of which streams are removed, why, and why others stay. Pure.

By age: whole days beyond a stream's ``keep``; what compaction has put into one file goes with its last day. By disk: while history
takes more than it may, the oldest days of the streams that are worth least. Never what isn't safely in the lake and read: days that
are dirty, of which records are still hot or a segment is lost, or that something still needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from appliance.batch_options import RetentionOptions
from appliance.clock import US_PER_DAY, US_PER_S, day_of
from appliance.cold.compaction.units import Unit, units_of
from appliance.cold.segments import folder_of
from appliance.manifest import Dirty, Segment
from appliance.options import StreamOptions
from appliance.records import fold

REMOVALS_MAX = 64
"""Of one plan; the next has the rest."""
_WORTH = {"low": 0, "normal": 1, "high": 2}
_DEFAULT = StreamOptions()

Hold = tuple[int, str]
"""Earliest event time that something still needs, and what that is."""
Times = tuple[int, int]
"""Earliest and latest event time, closed."""


class KeptStream(Protocol):
    """What the plan needs of a stream; ``StreamState`` is one."""

    @property
    def name(self) -> str: ...
    @property
    def segments(self) -> tuple[Segment, ...]: ...
    @property
    def lost(self) -> tuple[Segment, ...]: ...
    @property
    def dirty(self) -> Mapping[int, Dirty]: ...


@dataclass(frozen=True, slots=True)
class Removal:
    """Days of a stream that go, with all of their files."""

    stream: str
    day: int
    days: int
    segments: tuple[Segment, ...]
    why: str

    @property
    def bytes(self) -> int:
        return sum(s.bytes for s in self.segments)

    @property
    def rows(self) -> int:
        return sum(s.rows for s in self.segments)

    def __str__(self) -> str:
        where = folder_of(self.day, self.days).removeprefix("date=")
        return f"{self.stream} {where}: {self.rows} records, {self.bytes} bytes ({self.why})"


@dataclass(frozen=True, slots=True)
class Kept:
    """Days that should go and can't yet."""

    stream: str
    day: int
    days: int
    why: str


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What goes now, in this order; falsy when nothing does."""

    removals: tuple[Removal, ...] = ()
    kept: tuple[Kept, ...] = ()
    bytes_over: int = 0
    """What history takes beyond its limit once this is done; 0: within it, or there is none."""

    def __bool__(self) -> bool:
        return bool(self.removals)


def plan_retention(
    streams: Iterable[KeptStream],
    *,
    options: RetentionOptions,
    of_streams: Mapping[str, StreamOptions],
    hot: Mapping[str, Sequence[Times]],
    holds: Mapping[str, Sequence[Hold]],
    beside: Mapping[str, int] = MappingProxyType({}),
    other_bytes: int = 0,
    now_us: int,
) -> RetentionPlan:
    """At most 64 removals: by age first, then by disk; each with its reason.

    ``of_streams``, ``hot`` and ``holds`` are by folded name: options, the times of batches that are not in the lake yet, and what is
    still needed. ``beside`` are bytes that go with a segment (its search index), by its path; ``other_bytes`` count towards the limit of
    the disk besides (views). ``now_us`` is the wall clock.
    """
    known = list(streams)
    clock_us = retention_clock(known, hot=hot, now_us=now_us)
    removals: list[Removal] = []
    kept: list[Kept] = []
    left: list[tuple[int, int, str, Unit, KeptStream]] = []
    for stream in known:
        own = of_streams.get(fold(stream.name), _DEFAULT)
        keep_s = own.keep_s if own.keep_s is not None else options.keep_s
        for unit in units_of(stream.segments):
            if keep_s is not None and (unit.last + 1) * US_PER_DAY <= clock_us - round(keep_s * US_PER_S):
                _sort(stream, unit, f"older than {_days(keep_s)}", hot, holds, removals, kept)
            else:
                left.append((_WORTH[own.worth], unit.day, stream.name, unit, stream))
    over = 0
    if options.disk_bytes_max is not None:
        bytes_all = other_bytes + sum(_taken(stream.segments, beside) for stream in known)
        over = bytes_all - sum(_taken(r.segments, beside) for r in removals) - options.disk_bytes_max
        for _worth, _day, _name, unit, stream in sorted(left, key=lambda e: e[:3]):
            if over <= 0:
                break
            if unit.last >= day_of(clock_us):
                continue  # today's records are what the box is for; were they removed, the next roll would bring more of them
            before = len(removals)
            _sort(stream, unit, "the disk that history may take is full", hot, holds, removals, kept)
            over -= _taken(unit.segments, beside) if len(removals) > before else 0
    return RetentionPlan(tuple(removals[:REMOVALS_MAX]), tuple(kept), max(over, 0))


def retention_clock(streams: Iterable[KeptStream], *, hot: Mapping[str, Sequence[Times]], now_us: int) -> int:
    """The earlier of the wall clock and the newest record that is not in the future.

    So neither a clock that jumps ahead nor a record from the year 2100 ages what there is. Of a file that reaches into the
    future only its earliest record is known not to. Without any record it is the lowest integer: nothing is old.
    """
    newest = -(2**63)
    for stream in streams:
        spans = [(s.ts_min, s.ts_max) for s in stream.segments]
        for low, high in (*spans, *hot.get(fold(stream.name), ())):
            newest = max(newest, high if high <= now_us else low if low <= now_us else newest)
    return min(now_us, newest)


def _taken(segments: Iterable[Segment], beside: Mapping[str, int]) -> int:
    """Bytes of files and of what goes with them."""
    return sum(s.bytes + beside.get(s.path, 0) for s in segments)


def _sort(
    stream: KeptStream,
    unit: Unit,
    why: str,
    hot: Mapping[str, Sequence[Times]],
    holds: Mapping[str, Sequence[Hold]],
    removals: list[Removal],
    kept: list[Kept],
) -> None:
    """Puts days that should go where they belong."""
    key = fold(stream.name)
    stays = _why_it_stays(stream, unit, hot.get(key, ()), holds.get(key, ()))
    days = unit.last - unit.day + 1
    if stays is None:
        removals.append(Removal(stream.name, unit.day, days, unit.segments, why))
    else:
        kept.append(Kept(stream.name, unit.day, days, stays))


def _why_it_stays(stream: KeptStream, unit: Unit, hot: Sequence[Times], holds: Sequence[Hold]) -> str | None:
    start_us, end_us = unit.day * US_PER_DAY, (unit.last + 1) * US_PER_DAY
    if any(unit.day <= day <= unit.last for day in stream.dirty):
        return "records of it may be there twice until compaction has been there"
    if any(low < end_us and high >= start_us for low, high in hot):
        return "records of it are not in the lake yet"
    if any(s.day <= unit.last and s.day_last >= unit.day for s in stream.lost):
        return "a segment of it is missing or damaged"
    return next((why for needed_us, why in holds if needed_us < end_us), None)


def _days(seconds: float) -> str:
    days = seconds / 86_400
    return f"{days:g} days" if days >= 1 else f"{seconds:g} s"
