"""Which day of which stream is compacted, from which segments, and why. Pure.

A few rules keep both files and writes few. A day with too many segments has its *small* ones merged (size-tiered: what is
merged is at most as large as what it is merged with, so that a record is rewritten a logarithmic number of times). A day that is
over is rewritten whole once it is quiet. A finished day that gets late records waits for more of them, the longer the less they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from appliance.clock import US_PER_DAY, US_PER_S, day_of
from appliance.cold.segments import day_folder
from appliance.manifest import Dirty, Segment
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
WHOLE_ROWS_MAX = 50_000_000
"""A day with more is never rewritten whole: its segments are large already, and a rewriting would take minutes."""
INPUTS_MAX = 32
"""More are merged step by step: each open file takes memory of its own ..."""
OPEN_COLUMNS_MAX = 1_000
"""... which is some 40 kB a column, so of wide streams fewer are merged at once."""
TIER_MIN = 4
"""With fewer segments a day than this, merges would rewrite the same records over and over."""
PLANS_MAX = 64

Day = tuple[str, int]
"""Stream and UTC day."""


class Reason(StrEnum):
    """Why a day is compacted."""

    FILES = "too many segments"
    TWINS = "records that are there twice"
    CLOSED = "the day is over"
    LATE = "late records"


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
    """One day's segments that are rewritten as one."""

    stream: str
    day: int
    inputs: tuple[Segment, ...]
    level: int
    """Of the outputs: 2 when ``inputs`` were all live segments of the day, else 1."""
    dedup: bool
    """Twins are made one. Then ``inputs`` are all live segments that can hold one: an older twin elsewhere would be lost or win."""
    mark: int
    """The stream's mark when this was planned. With ``dedup`` the day is clean afterwards if its ``Dirty.seq`` is not above it."""
    reason: Reason

    @property
    def rows(self) -> int:
        return sum(s.rows for s in self.inputs)

    @property
    def bytes(self) -> int:
        return sum(s.bytes for s in self.inputs)

    def clears(self, dirty: Dirty) -> bool:
        """Whether the day's entry in the dirty ledger, as it is at commit, is settled by this compaction."""
        return self.dedup and dirty.day == self.day and dirty.seq <= self.mark

    def __str__(self) -> str:
        twins = ", twins made one" if self.dedup else ""
        size = f"{len(self.inputs)} segments, {self.rows} records, {self.bytes} bytes"
        return f"{self.stream} {day_folder(self.day)}: {size} ({self.reason}{twins})"


def observe(waiting: Mapping[Day, Waiting], streams: Iterable[LakeStream], *, now_ns: int) -> dict[Day, Waiting]:
    """The days in need of a rewriting, each with how long it has been so; hand it to the next plan and the next ``observe``.

    Holds an entry for each unfinished day and no other; after a restart it starts from nothing, which only makes days wait anew.
    """
    found = {}
    for stream in streams:
        for day, segments in _by_day(stream.segments).items():
            if _finished(segments) and not _twins(stream, day):
                continue
            newest = max(s.id for s in segments)
            before = waiting.get((stream.name, day), Waiting(newest, now_ns, now_ns))
            changed_ns = before.changed_ns if before.newest == newest else now_ns
            found[stream.name, day] = Waiting(newest, before.since_ns, changed_ns)
    return found


def plan_compaction(
    streams: Iterable[LakeStream], *, options: CompactOptions, waiting: Mapping[Day, Waiting], now_us: int, now_ns: int
) -> tuple[CompactionPlan, ...]:
    """At most 64 plans, the day with the most segments first; no two of the same day. Empty when compaction is off.

    ``waiting`` comes from ``observe``; ``now_us`` is the wall clock (which days are over), ``now_ns`` the monotonic one (how
    long they wait). A plan holds as long as its inputs are live.
    """
    if not options.enabled:
        return ()
    plans = []
    for stream in streams:
        for day, segments in _by_day(stream.segments).items():
            wait = waiting.get((stream.name, day))
            if wait and (
                plan := _plan_day(stream, day, segments, wait, files_max=max(TIER_MIN, options.files_max), now_us=now_us, now_ns=now_ns)
            ):
                plans.append(plan)
    return tuple(sorted(plans, key=lambda p: (-len(p.inputs), p.stream, p.day))[:PLANS_MAX])


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


def segments_of_twins(segments: Iterable[Segment], dirty: Dirty) -> tuple[Segment, ...]:
    """Those that can hold a twin: twins have the same event time, so both lie within the dirty span."""
    return tuple(s for s in segments if s.ts_max >= dirty.ts_min and s.ts_min <= dirty.ts_max)


def inputs_max(schema: Schema) -> int:
    """How many segments of a stream are merged at once, by its width."""
    return max(2, min(INPUTS_MAX, OPEN_COLUMNS_MAX // (len(schema.columns) + 2)))


def is_open(day: int, *, now_us: int) -> bool:
    """Whether records of that day may still be expected: not over for long, and not in the far future either."""
    return (day + 1) * US_PER_DAY + round(CLOSED_AFTER_S * US_PER_S) > now_us and day <= day_of(now_us) + 1


def _plan_day(
    stream: LakeStream, day: int, segments: tuple[Segment, ...], wait: Waiting, *, files_max: int, now_us: int, now_ns: int
) -> CompactionPlan | None:
    loose = tuple(s for s in segments if s.level < FINAL)
    rewriting = _plan_rewriting(stream, day, segments, wait, now_us=now_us, now_ns=now_ns)
    at_once = inputs_max(stream.schema)
    if rewriting and len(rewriting.inputs) <= at_once:
        return rewriting
    tier = pick_tier(loose, files_max=files_max, inputs_max=at_once) if rewriting or len(loose) > files_max else ()
    return CompactionPlan(stream.name, day, tier, MERGED, False, stream.mark, Reason.FILES) if tier else rewriting


def _plan_rewriting(
    stream: LakeStream, day: int, segments: tuple[Segment, ...], wait: Waiting, *, now_us: int, now_ns: int
) -> CompactionPlan | None:
    """Twins made one, or a day that is over brought into its final form; None: not needed, or not yet."""
    twins = _twins(stream, day)
    loose = tuple(s for s in segments if s.level < FINAL)
    late = len(loose) < len(segments)
    if is_open(day, now_us=now_us) or sum(s.rows for s in segments) > WHOLE_ROWS_MAX:
        inputs = segments_of_twins(segments, twins) if twins and _seconds(now_ns - wait.since_ns) >= RESTLESS_S else ()
        if not inputs or 2 * _bytes(s for s in inputs if s.level < FINAL) < _bytes(inputs):
            return None
        level = FINAL if len(inputs) == len(segments) else MERGED
        return CompactionPlan(stream.name, day, inputs, level, True, stream.mark, Reason.TWINS)
    if _due(wait, late=late, pressing=twins is not None or 8 * _bytes(loose) >= _bytes(segments), now_ns=now_ns):
        reason = Reason.TWINS if twins else Reason.LATE if late else Reason.CLOSED
        return CompactionPlan(stream.name, day, segments, FINAL, twins is not None, stream.mark, reason)
    return None


def _due(wait: Waiting, *, late: bool, pressing: bool, now_ns: int) -> bool:
    """``late``: the day was finished before; ``pressing``: its answers pay for what has come since."""
    waited_s, quiet_s = _seconds(now_ns - wait.since_ns), _seconds(now_ns - wait.changed_ns)
    if late:
        return waited_s >= (RESTLESS_S if pressing else LATE_S)
    return quiet_s >= QUIET_S or waited_s >= RESTLESS_S


def _twins(stream: LakeStream, day: int) -> Dirty | None:
    """The day's entry in the dirty ledger, when the lake alone holds the twins: all of them below the mark."""
    dirty = stream.dirty.get(day)
    return dirty if dirty is not None and dirty.seq <= stream.mark else None


def _seconds(ns: int) -> float:
    return ns / 1e9


def _bytes(segments: Iterable[Segment]) -> int:
    return sum(s.bytes for s in segments)


def _finished(segments: tuple[Segment, ...]) -> bool:
    """One segment, or the parts of one rewriting: rolled segments are sorted and encoded like compacted ones."""
    return len(segments) == 1 or all(s.level == FINAL for s in segments)


def _by_day(segments: Iterable[Segment]) -> dict[int, tuple[Segment, ...]]:
    days: defaultdict[int, list[Segment]] = defaultdict(list)
    for segment in segments:
        days[segment.day].append(segment)
    return {day: tuple(found) for day, found in days.items()}
