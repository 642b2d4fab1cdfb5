"""What has changed of a stream from one published picture to a later one, as far as answers can see it. Pure.

A roll and a compaction change nothing that a merged answer shows; new records change it at their times, a deletion in its span; segments
that are gone with nothing in their place change it where they were. Whatever is not understood counts as changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from appliance.hot.ledger import buckets_of
from appliance.hot.series import I64
from appliance.hot.state import Chunk, StreamState
from appliance.manifest import Segment
from appliance.records import TimeRange
from appliance.serving.question import Question
from appliance.spans import EVERYTHING, FIRST, LAST, Span, common, union, widened


@dataclass(frozen=True, slots=True)
class Changes:
    """See the module."""

    everything: bool = False
    """Its columns or what makes records the same have changed: nothing that was known holds."""
    times: tuple[I64, ...] = ()
    """Event times of records that have come, none of them empty."""
    spans: tuple[Span, ...] = ()
    """Where else records may be others, on whichever side."""
    moved: tuple[Span, ...] = ()
    """Where records have gone from hot to cold."""

    def touch(self, span: TimeRange, *, side: str = "merged") -> bool:
        """Whether an answer over this range may be another one; ``side``: ``merged``, ``hot`` or ``cold``."""
        if self.everything:
            return True
        if span.empty:
            return False
        low, high = bounds(span)
        fixed = union([*self.spans, *(self.moved if side != "merged" else ())])
        if common(fixed, ((low, high),)):
            return True
        return side != "cold" and any(bool(((ts >= low) & (ts < high)).any()) for ts in self.times)

    def buckets(self, width_us: int) -> tuple[Span, ...]:
        """The buckets whose rows may be others, whole."""
        if self.everything:
            return EVERYTHING
        return union([*(span for ts in self.times for span in buckets_of(ts, width_us)), *widened(self.spans, width_us)])


NOTHING = Changes()


def changes(before: StreamState | None, now: StreamState | None) -> Changes:
    """What is different; None: there was, or is, no such stream."""
    if before is now:
        return NOTHING
    if before is None or now is None or before.id != now.id or before.identity != now.identity:
        return Changes(everything=True)
    if before.schema.version != now.schema.version or now.last_seq < before.last_seq:
        return Changes(everything=True)
    times, fresh = _come(before, now)
    lost, moved = _segments(before, now)
    old = {d.id for d in before.deletions}
    deleted = [bounds(TimeRange(d.since_us, d.until_us)) for d in now.deletions if d.id not in old]
    return Changes(times=times, spans=union([*fresh, *lost, *deleted]), moved=moved)


def bounds(span: TimeRange) -> Span:
    """A range as a span."""
    return FIRST if span.since is None else span.since, LAST if span.until is None else span.until


def within(question: Question, span: Span) -> Question:
    """The same question about the records of a (bounded) span alone."""
    since, until = bounds(question.span)
    return replace(question, since_us=max(since, span[0]), until_us=min(until, span[1]))


def _come(before: StreamState, now: StreamState) -> tuple[tuple[I64, ...], tuple[Span, ...]]:
    """The times of records that are newer, as far as memory has them; else the spans in which they may lie."""
    if now.last_seq == before.last_seq:
        return (), union((d.ts_min, d.ts_max + 1) for day, d in now.dirty.items() if before.dirty.get(day) != d)  # found by a repair
    chunks = now.ring_chunks(after=before.last_seq)
    if now.ring_first <= before.last_seq + 1:
        return tuple(_times(c) for c in chunks), ()
    if now.ring_first > now.mark + 1:
        return (), EVERYTHING  # some lie in the hot store alone
    spans = [(s.ts_min, s.ts_max + 1) for s in now.segments if s.last > before.last_seq]
    return (), union([*spans, *((c.ts_min, c.ts_max + 1) for c in chunks)])


def _times(chunk: Chunk) -> I64:
    return np.asarray(chunk.data.column(0).view(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _segments(before: StreamState, now: StreamState) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Where records may have gone or come back, and where they have moved from hot to cold."""
    if before.segments is now.segments and before.lost is now.lost and before.mark == now.mark:
        return (), ()
    had, have = {s.id for s in before.segments}, {s.id for s in now.segments}
    gone = [s for s in before.segments if s.id not in have]
    made = [s for s in now.segments if s.id not in had]
    rolled = [s for s in made if s.first > before.mark]
    moved = _spans([*made, *gone]) if rolled or before.mark == now.mark else EVERYTHING
    odd = {s.id for s in before.lost} ^ {s.id for s in now.lost}
    found = [s for s in (*before.lost, *now.lost) if s.id in odd]
    is_whole = not odd and now.cold_rows - before.cold_rows == now.mark - before.mark  # what was rolled came in, and nothing went
    for some in () if is_whole else _by_days([*gone, *(s for s in made if s.first <= before.mark)]):
        if not _is_compaction([s for s in some if s.id in had], [s for s in some if s.id not in had], before, odd):
            found += some
    return _spans(found), moved if before.mark != now.mark else ()


def _is_compaction(gone: Sequence[Segment], made: Sequence[Segment], before: StreamState, odd: set[int]) -> bool:
    """Whether the new files of some days hold what the old ones held: as many rows; or they were dirty days, which never expire, and twins
    have become one; or fewer where deleted ones were among them, and all of their sequences lie within those of the new ones."""
    if not gone or not made or any(s.id in odd for s in gone):
        return False
    rows_gone, rows_made = sum(s.rows for s in gone), sum(s.rows for s in made)
    if rows_gone == rows_made or all(any(s.day <= day <= s.day_last for day in before.dirty) for s in gone):
        return True
    is_less = any(d.overlaps(s.ts_min, s.ts_max) for d in before.deletions for s in gone)
    first, last = min(s.first for s in made), max(s.last for s in made)
    return is_less and rows_made < rows_gone and all(first <= s.first and s.last <= last for s in gone)


def _by_days(segments: Iterable[Segment]) -> list[list[Segment]]:
    """Those whose days overlap, together."""
    found: list[list[Segment]] = []
    last_day = None
    for segment in sorted(segments, key=lambda s: s.day):
        if last_day is None or segment.day > last_day:
            found.append([])
        found[-1].append(segment)
        last_day = segment.day_last if last_day is None else max(last_day, segment.day_last)
    return found


def _spans(segments: Iterable[Segment]) -> tuple[Span, ...]:
    return union((s.ts_min, s.ts_max + 1) for s in segments)
