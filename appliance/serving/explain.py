"""How a query was answered: rows and files of each side, what was skipped and why, and how long each part took.

Values only; they cross processes as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from appliance.clock import iso
from appliance.serving.routing import RULES


class StreamExplain(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of a query. Counts are those after skipping, before the query's own filters."""

    stream: str
    since_us: int | None
    """The range of event time that can matter, from the SQL and from --since; None: unbounded."""
    until_us: int | None
    columns: tuple[str, ...] | None
    """Columns of hot rows that were handed over; None: all."""
    hot_rows: int
    hot_bytes: int
    hot_rows_skipped: int
    """Hot rows in chunks that lie outside the range."""
    cold_files: int
    cold_rows: int
    cold_bytes: int
    cold_files_skipped: int
    """Live segments that lie outside the range, or are of no use to a query of the hot side."""
    cold_rows_skipped: int
    deduplicated_files: int
    """Segments in which twins had to be told apart, because their day is dirty."""
    dirty_spans: int
    lost_files: int
    """Segments of the range that are missing or damaged; a note of the answer names them."""
    read: str = "merged"
    """The side that is read: ``hot``, ``cold``, ``merged`` or ``none``."""
    rule: str = "both-sides"
    """What decided that: one of ``routing.RULES``."""


class ViewExplain(msgspec.Struct, frozen=True, kw_only=True):
    """One view of a query."""

    view: str
    files: int
    """Of batch, to read."""
    rows: int
    bytes: int
    live: tuple[tuple[int | None, int | None], ...]
    """Spans of buckets that are computed from the records, half-open; None: unbounded."""
    live_buckets: int | None
    """How many those are; None: all that come after the last one that is stored."""
    kept: bool = False
    """Rows of closed buckets were kept in memory: it is a part of an earlier answer."""
    below: ViewExplain | None = None
    """Of a view on a view: where its records come from; None: from the stream."""


class Part(msgspec.Struct, frozen=True):
    """A step of the work and its time."""

    name: str
    ms: float


class Explain(msgspec.Struct, frozen=True, kw_only=True):
    """One answered query."""

    id: str
    path: str
    streams: tuple[StreamExplain, ...]
    tables: tuple[str, ...]
    """The appliance's own tables that were read."""
    rows: int
    """Of the result."""
    parts: tuple[Part, ...]
    """In their order; ``worker`` is the start of a process, 0 when a warm one was there."""
    notes: tuple[str, ...]
    """What the answer lacks, a line each."""
    pruned: bool
    """False: the range could not be found out of the SQL, so everything was read."""
    views: tuple[ViewExplain, ...] = ()
    stood_in: str = ""
    """The view that answered in place of the stream's records; empty: none."""
    not_stood_in: str = ""
    """Why none of the stream's views did, where it would have paid."""
    records: int = 0
    """Records that had to be looked at, before the query's own filters."""
    heavy: bool = False
    """Whether it is batch work when nobody waits for it."""
    cached: str = ""
    """What the cache has done, or would do, in a few words; empty: it was not asked."""

    def with_part(self, part: Part) -> Explain:
        """With one more step in front."""
        return msgspec.structs.replace(self, parts=(part, *self.parts))


def lines(explain: Explain) -> Iterator[str]:
    """The explanation for people."""
    for s in explain.streams:
        yield f"stream {s.stream}: {_span(s)}"
        yield f"  read  {s.read}: {said(s.rule)} ({s.rule})"
        yield f"  hot   {s.hot_rows:,} rows ({s.hot_bytes:,} bytes) handed over, {s.hot_rows_skipped:,} rows skipped"
        yield (
            f"  cold  {s.cold_files:,} files ({s.cold_rows:,} rows, {s.cold_bytes:,} bytes) to read,"
            f" {s.cold_files_skipped:,} files ({s.cold_rows_skipped:,} rows) skipped"
        )
        if s.dirty_spans:
            yield f"  dirty {s.dirty_spans} spans: twins are told apart in {s.deduplicated_files:,} files and the hot rows"
        if s.lost_files:
            yield f"  lost  {s.lost_files:,} files are missing or damaged"
    if explain.stood_in:
        yield f"answered from the view {explain.stood_in} in place of the stream's records"
    if explain.cached:
        yield f"cache: {explain.cached}"
    if explain.not_stood_in:
        yield explain.not_stood_in
    for view in explain.views:
        yield from _view_lines(view, "")
    for table in explain.tables:
        yield f"table {table}"
    if not explain.pruned:
        yield "the time range could not be found out of the SQL: nothing was skipped by it"
    if explain.heavy:
        yield f"heavy: {explain.records:,} records to look at; with nobody waiting (--unattended) it is queued as batch work"
    yield f"{explain.rows:,} rows; " + ", ".join(f"{p.name} {p.ms:.1f} ms" for p in explain.parts)
    for note in explain.notes:
        yield f"note: {note}"


def said(rule: str) -> str:
    """A rule of routing in words; one that is not known (of another version) stands for itself."""
    return next((words for name, words in RULES.items() if name == rule), rule)


def _view_lines(view: ViewExplain, indent: str) -> Iterator[str]:
    yield f"{indent}view {view.view}: {view.files:,} files ({view.rows:,} rows, {view.bytes:,} bytes) from batch"
    for low, high in view.live:
        since = "the beginning" if low is None else time_text(low)
        yield f"{indent}  live  buckets from {since} to {'now' if high is None else time_text(high)}"
    if view.below is not None:
        yield from _view_lines(view.below, indent + "  over ")


def _span(s: StreamExplain) -> str:
    if s.since_us is None and s.until_us is None:
        return "all times (no condition on ts that could be used)"
    since = "the beginning" if s.since_us is None else time_text(s.since_us)
    until = "the end" if s.until_us is None else time_text(s.until_us)
    return f"from {since} to {until}"


def time_text(ts_us: int) -> str:
    """ISO 8601, or the bare number beyond the calendar."""
    try:
        return iso(ts_us)
    except (ValueError, OverflowError, OSError):
        return f"{ts_us} µs"
