"""The files of views are what was written, and no late record is without the mark that makes its bucket anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from appliance.clock import iso
from appliance.derived import Used, View, ViewFile, ViewVersion
from appliance.hot.ledger import load_used
from appliance.hot.state import StreamState
from appliance.hot.view_store import load_views
from appliance.reconcile.derived.files import MISSING, wrong_with
from appliance.reconcile.derived.sql import quoted, within
from appliance.reconcile.derived.twice import seen_twice, turn_of
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.spans import FIRST, LAST, Span, common, union, widened, without

FILE_MISSING: Final = "view file missing"
FILE_CHANGED: Final = "view file changed"
MARK_MISSING: Final = "dirty mark missing"
MARK_FORGOTTEN: Final = "dirty mark forgotten"
FINDINGS_MAX: Final = 100
"""Of one view at one look; there are as many again at the next."""


def versions_of(views: Iterable[View]) -> list[ViewVersion]:
    """Every version that answers or is being built."""
    return [v for view in views for v in (view.active, view.building) if v is not None]


def name_of(version: ViewVersion) -> str:
    """As SQL knows it."""
    return f"{version.definition.name}@{version.number}"


def shown(span: Span) -> str:
    """A half-open span for a person."""
    low, high = span
    return f"{'the beginning' if low == FIRST else iso(low)} to {'the end' if high == LAST else iso(high)}"


def check_files(look: Look) -> Iterator[Finding]:
    """Each file of each view by its size; by its hash where all is looked at, and else one of them a look."""
    files = {f.path: (v, f) for v in versions_of(look.state.views.values()) for f in v.files}
    deep = set(files) if look.is_whole else set(sorted(files)[turn_of(look) % len(files) :][:1]) if files else set()
    for path, (version, file) in files.items():
        reason = wrong_with(look.folder, path, size=file.bytes, sha256=file.sha256, deep=path in deep)
        if path in deep:
            look.pause(file.bytes)
        if reason is not None:
            yield _of_file(version, file, reason)


def _of_file(version: ViewVersion, file: ViewFile, reason: str) -> Finding:
    spans = union((f.low, f.high) for f in version.files if f.path == file.path)
    is_sealed = spans[-1][1] <= version.used.sealed_us
    rows = f"{file.rows} rows of the view {version.definition.name}, {shown((spans[0][0], spans[-1][1]))}"
    return Finding(
        kind=FILE_MISSING if reason == MISSING else FILE_CHANGED,
        where=file.path,
        key=name_of(version),
        stream=version.stream,
        since_us=None if spans[0][0] == FIRST else spans[0][0],
        until_us=spans[-1][1],
        what=f"{reason}; it held {rows}" + ("; their records are gone" if is_sealed else ""),
        repair=None if is_sealed else "its buckets are made anew out of the records",
        facts={"version": version.id},
    )


def check_memory(look: Look) -> Iterator[Finding]:
    """What memory knows to be stale, the store does too: else a restart would take it for true."""
    assert look.memory is not None
    stale = [entry for entry in look.memory.used.values() if entry.stale]
    known = {u.id: u for u in load_used(look.reader.cursor)} if stale else {}
    lacking = [e for e in stale if e.id in known and without(e.dirty, known[e.id].dirty)]
    after = {v.used.id: v for v in versions_of(load_views(look.reader.cursor, known).values())} if lacking else {}
    before = {v.used.id: v for v in versions_of(look.memory.views.values())} if lacking else {}
    for entry in lacking:
        stored = known[entry.id]
        if not _is_same_refresh(before.get(entry.id), after.get(entry.id), entry, stored):
            continue
        for span in without(entry.dirty, stored.dirty)[:FINDINGS_MAX]:
            yield Finding(
                kind=MARK_FORGOTTEN,
                where="hot.sqlite ledger_dirty",
                key=f"{entry.name} {span[0]}",
                stream=entry.stream,
                since_us=None if span[0] == FIRST else span[0],
                until_us=span[1],
                what=f"the buckets {shown(span)} of {entry.name} are stale, and the store does not say so",
                repair="the mark is written again",
                facts={"ledger": entry.id, "low": span[0], "high": span[1]},
            )


def _is_same_refresh(before: ViewVersion | None, after: ViewVersion | None, entry: Used, stored: Used) -> bool:
    """Whether nothing was made anew between the two pictures, so that marks can only have been added."""
    if before is None or after is None:
        return False
    made = (before.refreshed_us, before.files, entry.closed_us, entry.sealed_us)
    return made == (after.refreshed_us, after.files, stored.closed_us, stored.sealed_us)


def check_marks(look: Look) -> Iterator[Finding]:
    """No file of a view holds a bucket as true of which it does not know a record; where not all is looked at, of the newest files only."""
    yield from seen_twice(look, _marks)


def _marks(look: Look) -> Iterator[Finding]:
    for version in versions_of(look.state.views.values()):
        stream = look.state.streams.get(version.stream)
        if stream is None or not look.concerns(version.used.closed_us):
            continue
        files = [f for f in version.files if f.seq is not None]
        for file in files if look.is_whole else files[-1:]:
            for span in _trusted(version, file):
                if may_hold_later(stream, look, file.seq or 0, span):
                    yield from _unmarked(look, version, stream, file, span)


def _trusted(version: ViewVersion, file: ViewFile) -> tuple[Span, ...]:
    """What is read from a file."""
    sealed = max(version.used.sealed_us, version.begin_us)
    return common(without(((file.low, file.high),), version.used.dirty), ((sealed, version.used.closed_us),))


def may_hold_later(stream: StreamState, look: Look, seq: int, span: Span) -> bool:
    """Whether there can be a record above a sequence in a span of event time, by the manifest and the heads of the hot batches."""
    low, high = span
    if any(s.last > seq and s.ts_min < high and s.ts_max >= low for s in stream.segments):
        return True
    found = look.reader.execute(
        "SELECT 1 FROM batch WHERE stream_id = ? AND last > ? AND ts_min < ? AND ts_max >= ? LIMIT 1", (stream.id, seq, high, low)
    )
    return bool(found)


def _unmarked(look: Look, version: ViewVersion, stream: StreamState, file: ViewFile, span: Span) -> Iterator[Finding]:
    assert look.query is not None
    width = version.definition.bucket_us
    bucket = f"time_bucket(to_microseconds({width}), ts)"
    found = look.query(
        f"SELECT {bucket} AS bucket, min(_seq) AS low, max(_seq) AS high, count(*) AS n FROM {quoted(stream.name)}"
        f" WHERE _seq > {file.seq} AND {within('ts', *span)} GROUP BY 1 ORDER BY 1 LIMIT {FINDINGS_MAX}"
    )
    for bucket_us, first, last, count in _rows(found):
        spans = widened([(bucket_us, bucket_us + 1)], width)
        yield Finding(
            kind=MARK_MISSING,
            where=file.path,
            key=f"{name_of(version)} {bucket_us}",
            stream=version.stream,
            first=first,
            last=last,
            since_us=spans[0][0],
            until_us=spans[0][1],
            what=f"{count} records of {shown(spans[0])} came after the view {version.definition.name} was made of it, and nothing says so",
            repair="the bucket is marked and made anew",
            facts={"version": version.id, "low": spans[0][0], "high": spans[0][1]},
        )


def _rows(table: pa.Table) -> list[tuple[int, int, int, int]]:
    columns = [table.column(0).cast(pa.int64()), *table.columns[1:]]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))
