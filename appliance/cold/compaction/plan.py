"""Which days of which stream are compacted, from which segments, and why. Pure.

A few rules keep both files and writes few. A day with too many segments has its *small* ones merged (size-tiered: what is
merged is at most as large as what it is merged with, so that a record is rewritten a logarithmic number of times). A day that is
over is rewritten whole once it is quiet. The days of a month that is over are put together where they are small. What is finished
and gets late records waits for more of them, the longer the less they are and the larger the file. What was deleted is taken out of
each file by itself, at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from appliance.clock import US_PER_DAY, US_PER_S, day_of
from appliance.cold.compaction.units import Unit, month_of, packs, units_of
from appliance.cold.segments import folder_of
from appliance.manifest import Deletion, Dirty, Segment
from appliance.options import CompactOptions
from appliance.records import Schema

ROLLED, MERGED, FINAL = 0, 1, 2
"""The levels of a segment."""

SEGMENT_ROWS_MAX = 4_000_000
"""A larger output is divided: what is read at a time, and lost with a damaged file, stays bounded."""
CLOSED_AFTER_S = 900.0
"""A day counts as over this long after its end: late records of the last minutes and a roll are in by then."""
QUIET_S = 600.0
"""A day that is over is rewritten when it got no segment for this long."""
RESTLESS_S = 3_600.0
"""... or after this long, though it still gets some; the same for a finished day that is dirty or grew by an eighth."""
LATE_S = 86_400.0
"""A finished day with a few late records, none of them a twin, is rewritten after this long."""
LARGE_BYTES = 16 << 20
"""What is finished and larger waits longer in proportion, up to ``PATIENCE_MAX`` times: a rewriting should be worth its bytes."""
PATIENCE_MAX = 7
MONTH_AFTER_S = 2 * 86_400.0
"""A month counts as over this long after its end."""
WHOLE_ROWS_MAX = 50_000_000
"""A day with more is never rewritten whole: its segments are large already, and a rewriting would take minutes."""
INPUTS_MAX = 32
"""More are merged step by step: each open file takes memory of its own ..."""
OPEN_COLUMNS_MAX = 1_000
"""... which is some 40 kB a column, so of wide streams fewer are merged at once."""
TIER_MIN = 4
"""With fewer segments a day than this, merges would rewrite the same records over and over."""
PLANS_MAX = 64

Day = tuple[str, int | str]
"""Stream, and UTC day (the first of several that lie in one file) or month, as ``YYYY-MM``."""


class Reason(StrEnum):
    """Why a day is compacted."""

    FILES = "too many segments"
    TWINS = "records that are there twice"
    CLOSED = "the day is over"
    LATE = "late records"
    MONTH = "the month is over"
    DELETED = "deleted records"


class LakeStream(Protocol):
    """What the plan needs of a stream; ``StreamState`` is one."""

    @property
    def name(self) -> str: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def mark(self) -> int: ...
    @property
    def segments(self) -> tuple[Segment, ...]: ...
    @property
    def dirty(self) -> Mapping[int, Dirty]: ...
    @property
    def deletions(self) -> tuple[Deletion, ...]: ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a day has been in need of its rewriting."""

    newest: int
    """Highest id among its segments when last looked at."""
    since_ns: int
    """Monotonic time when it was first seen in need."""
    changed_ns: int
    """Monotonic time when it was last seen to get a segment."""


@dataclass(frozen=True, slots=True)
class CompactionPlan:
    """Segments of one day, or of neighbouring days of a month, that are rewritten as one."""

    stream: str
    day: int
    """The first of the days."""
    inputs: tuple[Segment, ...]
    level: int
    """Of the outputs: 2 when ``inputs`` were all live segments of the days, else 1; as before for what is only rid of deleted records."""
    dedup: bool
    """Twins are made one. Then ``inputs`` are all live segments that can hold one: an older twin elsewhere would be lost or win."""
    mark: int
    """The stream's mark when this was planned. With ``dedup`` a day is clean afterwards if its ``Dirty.seq`` is not above it."""
    reason: Reason
    days: int = 1

    @property
    def rows(self) -> int:
        return sum(s.rows for s in self.inputs)

    @property
    def bytes(self) -> int:
        return sum(s.bytes for s in self.inputs)

    def clears(self, dirty: Dirty) -> bool:
        """Whether a day's entry in the dirty ledger, as it is at commit, is settled by this compaction."""
        return self.dedup and self.day <= dirty.day < self.day + self.days and dirty.seq <= self.mark

    @property
    def place(self) -> str:
        """The days, or the month, for people."""
        return folder_of(self.day, self.days).removeprefix("date=")

    def __str__(self) -> str:
        twins = ", twins made one" if self.dedup else ""
        size = f"{len(self.inputs)} segments, {self.rows} records, {self.bytes} bytes"
        return f"{self.stream} {self.place}: {size} ({self.reason}{twins})"


def observe(waiting: Mapping[Day, Waiting], streams: Iterable[LakeStream], *, now_ns: int) -> dict[Day, Waiting]:
    """The days and months in need of a rewriting, each with how long it has been so; hand it to the next plan and the next ``observe``.

    Holds an entry for each of them and no other; after a restart it starts from nothing, which only makes them wait anew.
    """
    found: dict[Day, Waiting] = {}

    def note(key: Day, segments: Iterable[Segment]) -> None:
        newest = max(s.id for s in segments)
        before = waiting.get(key, Waiting(newest, now_ns, now_ns))
        found[key] = Waiting(newest, before.since_ns, before.changed_ns if before.newest == newest else now_ns)

    for stream in streams:
        for unit in units_of(stream.segments):
            if not _is_settled(stream, unit):
                note((stream.name, unit.day), unit.segments)
        for month, pack in _packs(stream):
            note((stream.name, month), (s for unit in pack for s in unit.segments))
    return found


def plan_compaction(
    streams: Iterable[LakeStream], *, options: CompactOptions, waiting: Mapping[Day, Waiting], now_us: int, now_ns: int
) -> tuple[CompactionPlan, ...]:
    """At most 64 plans, deletions first, then what has the most segments; no segment in two of them. Empty when compaction is off.

    ``waiting`` comes from ``observe``; ``now_us`` is the wall clock (which days are over), ``now_ns`` the monotonic one (how
    long they wait). A plan holds as long as its inputs are live.
    """
    if not options.enabled:
        return ()
    plans: list[CompactionPlan] = []
    for stream in streams:
        purges = _plan_purges(stream)
        plans += purges
        if purges:
            continue
        for unit in units_of(stream.segments):
            wait = waiting.get((stream.name, unit.day))
            if wait and (plan := _plan_unit(stream, unit, wait, files_max=max(TIER_MIN, options.files_max), now_us=now_us, now_ns=now_ns)):
                plans.append(plan)
        for month, pack in _packs(stream):
            month_wait = waiting.get((stream.name, month))
            if month_wait and is_over(pack, now_us=now_us) and _due_together(pack, month_wait, now_ns=now_ns):
                plans.append(_whole(stream, pack, Reason.MONTH))
    return tuple(sorted(plans, key=lambda p: (p.reason is not Reason.DELETED, -len(p.inputs), p.stream, p.day))[:PLANS_MAX])


def pick_tier(segments: Iterable[Segment], *, files_max: int, inputs_max: int = INPUTS_MAX) -> tuple[Segment, ...]:
    """The smallest segments, as long as each is no larger than those before it together; empty when merging them gains nothing.

    At least a third of ``files_max`` are picked, so that a merge is worth its process, at most ``inputs_max``. Full-sized
    segments are left alone.
    """
    small = sorted((s for s in segments if s.rows <= SEGMENT_ROWS_MAX // 2), key=lambda s: (s.bytes, s.id))
    picked: list[Segment] = []
    together = 0
    for segment in small:
        if len(picked) == inputs_max or (len(picked) >= max(2, files_max // 3) and segment.bytes > together):
            break
        picked.append(segment)
        together += segment.bytes
    outputs = -(-sum(s.rows for s in picked) // SEGMENT_ROWS_MAX)
    return tuple(picked) if len(picked) > outputs else ()


def segments_of_twins(segments: Iterable[Segment], twins: Iterable[Dirty]) -> tuple[Segment, ...]:
    """Those that can hold a twin: twins have the same event time, so both lie within the dirty span."""
    spans = list(twins)
    return tuple(s for s in segments if any(s.ts_max >= d.ts_min and s.ts_min <= d.ts_max for d in spans))


def inputs_max(schema: Schema) -> int:
    """How many segments of a stream are merged at once, by its width."""
    return max(2, min(INPUTS_MAX, OPEN_COLUMNS_MAX // (len(schema.columns) + 2)))


def is_open(day: int, *, now_us: int) -> bool:
    """Whether records of that day may still be expected: not over for long, and not in the far future either."""
    return (day + 1) * US_PER_DAY + round(CLOSED_AFTER_S * US_PER_S) > now_us and day <= day_of(now_us) + 1


def is_over(pack: tuple[Unit, ...], *, now_us: int) -> bool:
    """Whether the month that all of these days lie in has been over for long enough."""
    month = month_of(pack[0].day)
    return month is not None and month.end * US_PER_DAY + round(MONTH_AFTER_S * US_PER_S) <= now_us


def _packs(stream: LakeStream) -> list[tuple[str, tuple[Unit, ...]]]:
    """Month and days of it that can lie in one file and don't yet; days that wait for something else part their neighbours."""
    settled = {unit.day for unit in units_of(stream.segments) if _is_settled(stream, unit)}
    return packs(units_of(stream.segments), settled=settled, inputs_max=inputs_max(stream.schema))


def _plan_purges(stream: LakeStream) -> list[CompactionPlan]:
    """Each file that may hold deleted records, by itself."""
    return [
        CompactionPlan(stream.name, s.day, (s,), s.level, False, stream.mark, Reason.DELETED, s.days)
        for s in stream.segments
        if any(d.concerns(s) for d in stream.deletions)
    ]


def _whole(stream: LakeStream, units: Iterable[Unit], reason: Reason, *, dedup: bool = False) -> CompactionPlan:
    """All segments of these days into their final form."""
    return _plan_of(stream, tuple(s for unit in units for s in unit.segments), FINAL, reason, dedup=dedup)


def _plan_of(stream: LakeStream, inputs: tuple[Segment, ...], level: int, reason: Reason, *, dedup: bool) -> CompactionPlan:
    first, last = min(s.day for s in inputs), max(s.day_last for s in inputs)
    return CompactionPlan(stream.name, first, inputs, level, dedup, stream.mark, reason, last - first + 1)


def _plan_unit(stream: LakeStream, unit: Unit, wait: Waiting, *, files_max: int, now_us: int, now_ns: int) -> CompactionPlan | None:
    loose = tuple(s for s in unit.segments if s.level < FINAL)
    rewriting = _plan_rewriting(stream, unit, wait, now_us=now_us, now_ns=now_ns)
    at_once = inputs_max(stream.schema)
    if rewriting and len(rewriting.inputs) <= at_once:
        return rewriting
    tier = pick_tier(loose, files_max=files_max, inputs_max=at_once) if rewriting or len(loose) > files_max else ()
    return _plan_of(stream, tier, MERGED, Reason.FILES, dedup=False) if tier else rewriting


def _plan_rewriting(stream: LakeStream, unit: Unit, wait: Waiting, *, now_us: int, now_ns: int) -> CompactionPlan | None:
    """Twins made one, or a day that is over brought into its final form; None: not needed, or not yet."""
    segments, twins = unit.segments, _twins(stream, unit)
    loose = tuple(s for s in segments if s.level < FINAL)
    late = len(loose) < len(segments)
    if is_open(unit.last, now_us=now_us) or unit.rows > WHOLE_ROWS_MAX:
        inputs = segments_of_twins(segments, twins) if twins and _seconds(now_ns - wait.since_ns) >= RESTLESS_S else ()
        if not inputs or 2 * _bytes(s for s in inputs if s.level < FINAL) < _bytes(inputs):
            return None
        level = FINAL if len(inputs) == len(segments) else MERGED
        return _plan_of(stream, inputs, level, Reason.TWINS, dedup=True)
    if _due(wait, late=late, pressing=bool(twins) or 8 * _bytes(loose) >= unit.bytes, bytes_all=unit.bytes, now_ns=now_ns):
        return _whole(stream, [unit], Reason.TWINS if twins else Reason.LATE if late else Reason.CLOSED, dedup=bool(twins))
    return None


def _due(wait: Waiting, *, late: bool, pressing: bool, bytes_all: int, now_ns: int) -> bool:
    """``late``: the day was finished before; ``pressing``: its answers pay for what has come since."""
    waited_s, quiet_s = _seconds(now_ns - wait.since_ns), _seconds(now_ns - wait.changed_ns)
    if late:
        return waited_s >= (RESTLESS_S if pressing else LATE_S) * min(max(bytes_all / LARGE_BYTES, 1.0), PATIENCE_MAX)
    return quiet_s >= QUIET_S or waited_s >= RESTLESS_S


def _due_together(pack: tuple[Unit, ...], wait: Waiting, *, now_ns: int) -> bool:
    """A few days more in a file that is there already wait like late records."""
    together = sum(u.bytes for u in pack)
    rest = together - max(u.bytes for u in pack)
    return _due(wait, late=True, pressing=8 * rest >= together, bytes_all=together, now_ns=now_ns)


def _twins(stream: LakeStream, unit: Unit) -> tuple[Dirty, ...]:
    """The unit's entries in the dirty ledger for which the lake alone holds the twins: all of them below the mark."""
    if not stream.dirty:
        return ()
    return tuple(d for d in stream.dirty.values() if unit.day <= d.day <= unit.last and d.seq <= stream.mark)


def _is_settled(stream: LakeStream, unit: Unit) -> bool:
    """One segment, or the parts of one rewriting, without twins: rolled segments are sorted and encoded like compacted ones."""
    return (len(unit.segments) == 1 or all(s.level == FINAL for s in unit.segments)) and not _twins(stream, unit)


def _seconds(ns: int) -> float:
    return ns / 1e9


def _bytes(segments: Iterable[Segment]) -> int:
    return sum(s.bytes for s in segments)
