"""No two records of one identity lie anywhere but in a span that says so: elsewhere they would be counted twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from appliance.clock import US_PER_DAY, day_name
from appliance.hot.state import StreamState
from appliance.manifest import Dirty
from appliance.reconcile.derived.latest import NEWEST_US
from appliance.reconcile.derived.sql import quoted, within
from appliance.reconcile.derived.twice import asked_spans, seen_twice
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.spans import LAST, Span, common, union, without

ROWS_MAX: Final = 1_000_000
"""Rows of the lake that one question goes through, about: its memory follows that and not the size of a day."""
EXACT_ROWS_MAX: Final = 100_000
"""As ``ROWS_MAX`` where all columns of the identity are compared."""
UNMARKED: Final = "twins unmarked"
FORGOTTEN: Final = "twin mark forgotten"


def check_twins(look: Look) -> Iterator[Finding]:
    """By the records: all days where all is computed anew, else the newest hour."""
    yield from seen_twice(look, _twins)


def _twins(look: Look) -> Iterator[Finding]:
    for stream in look.state.streams.values():
        if stream.identity is not None:
            for span in _spans(look, stream):
                yield from _unmarked(look, stream, span)


def _spans(look: Look, stream: StreamState) -> Iterator[Span]:
    """What this look goes through, a question each: day by day where the lake has records, and what lies besides as one."""
    newest = look.reader.execute("SELECT max(ts_max) FROM batch WHERE stream_id = ?", (stream.id,))[0][0]
    times = [*([] if newest is None else [int(str(newest))]), *(s.ts_max for s in stream.segments)]
    if not times:
        return
    if look.scope != "full":
        yield min(max(times), look.now_us) - NEWEST_US, LAST
        return
    asked = asked_spans(look, stream)
    days = {day for s in stream.segments for day in range(s.day, s.day_last + 1)}
    spans = [(day * US_PER_DAY, (day + 1) * US_PER_DAY) for day in sorted(days)]
    yield from (span for span in spans if common(asked, (span,)))
    if newest is not None and look.only is None:
        has_batch = "SELECT 1 FROM batch WHERE stream_id = ? AND ts_max >= ? AND ts_min < ? LIMIT 1"
        yield from (span for span in without(asked, union(spans)) if look.reader.execute(has_batch, (stream.id, *span)))


def _unmarked(look: Look, stream: StreamState, span: Span) -> Iterator[Finding]:
    """Where two records have the same time and the same hash of their identity all of its columns are compared, else nowhere."""
    if _is_clear(look, stream, span):
        return
    for part in _parts(look, stream, span, ROWS_MAX):
        if _may_hold(look, stream, part):
            for piece in _parts(look, stream, part, EXACT_ROWS_MAX):
                yield from _compared(look, stream, piece)


def _is_clear(look: Look, stream: StreamState, span: Span) -> bool:
    """Whether this pass has read all records of a day, none of them hot, and no identity came twice."""
    identities = look.seen.identities.get(stream.name)
    if identities is None or span[1] - span[0] != US_PER_DAY or not identities.is_clear(span[0] // US_PER_DAY):
        return False
    if {s.id for s in stream.segments} != {s.id for s in identities.stream.segments}:
        return False  # the second look, after a roll or a compaction
    has_batch = "SELECT 1 FROM batch WHERE stream_id = ? AND ts_max >= ? AND ts_min < ? LIMIT 1"
    return not look.reader.execute(has_batch, (stream.id, *span))


def _parts(look: Look, stream: StreamState, span: Span, rows_max: int) -> Iterator[Span]:
    """The span in parts of about ``rows_max`` rows, lake and hot together."""
    hot = look.reader.execute("SELECT ts_min, ts_max, last - first + 1 FROM batch WHERE stream_id = ?", (stream.id,))
    held = [(s.ts_min, s.ts_max + 1, s.rows) for s in stream.segments]
    held += [(int(str(low)), int(str(high)) + 1, int(str(rows))) for low, high, rows in hot]
    yield from parts_of(span, held, rows_max)


def parts_of(span: Span, held: Sequence[tuple[int, int, int]], rows_max: int) -> Iterator[Span]:
    """A span cut where so many rows come together, as far as is known from (since, until, rows) of what holds them, each spread evenly.

    The first part begins and the last one ends with the span, however far that reaches beyond what is held.
    """
    low, high = span
    inside = [h for h in held if h[0] < high and h[1] > low]
    grid = np.unique([t for h in inside for t in (max(low, h[0]), min(high, h[1]))] or [low])
    sums = np.zeros(len(grid))
    for since, until, rows in inside:
        sums += rows * np.clip((grid - since) / (until - since), 0.0, 1.0)
    sums -= sums[0]
    count = max(1, -(-int(sums[-1]) // rows_max))
    cuts = np.unique(np.interp(sums[-1] * np.arange(1, count) / count, sums, grid).astype(np.int64))
    edges = [low, *(int(t) for t in cuts if low < t < high), high]
    yield from pairwise(edges)


def _may_hold(look: Look, stream: StreamState, span: Span) -> bool:
    assert look.query is not None
    columns = ", ".join(quoted(c) for c in stream.identity_columns() or ("ts",))
    found = look.query(
        f"SELECT 1 AS one FROM (SELECT CAST(ts AS TIMESTAMP) AS __at, hash({columns}) AS __identity FROM {quoted(stream.name)}"
        f" WHERE {within('ts', *span)}) GROUP BY __at, __identity HAVING count(*) > 1 LIMIT 1"
    )
    return bool(found.num_rows)


def _compared(look: Look, stream: StreamState, span: Span) -> Iterator[Finding]:
    """The merged view tells twins apart where a span says that they may be; so whatever stands in it twice lies elsewhere."""
    assert look.query is not None
    columns = ", ".join(quoted(c) for c in stream.identity_columns() or ("ts",))
    found = look.query(
        "SELECT min(ts) AS low, max(ts) AS high, max(__seq) AS seq, min(__first) AS first, count(*) AS n FROM ("
        f"SELECT ts, max(_seq) AS __seq, min(_seq) AS __first FROM {quoted(stream.name)} WHERE {within('ts', *span)}"
        f" GROUP BY {columns} HAVING count(*) > 1) GROUP BY CAST(ts AS DATE) ORDER BY 1"
    )
    columns_of = [found.column(0).cast(pa.int64()), found.column(1).cast(pa.int64()), *found.columns[2:]]
    for low, high, seq, first, count in zip(*(c.to_pylist() for c in columns_of), strict=True):
        day = low // US_PER_DAY
        yield Finding(
            kind=UNMARKED,
            where="hot.sqlite dirty",
            key=f"{stream.name} {day}",
            stream=stream.name,
            first=first,
            last=seq,
            since_us=low,
            until_us=high + 1,
            what=f"{count} records of {day_name(day)} lie there more than once, and each counts as often",
            repair="the span is marked, so that each counts once",
            facts={"day": day, "low": low, "high": high, "seq": seq},
        )


def check_memory(look: Look) -> Iterator[Finding]:
    """The spans that memory has are stored: else a restart would count twins twice."""
    assert look.memory is not None
    stored: dict[int, dict[int, Dirty]] = {}
    for stream_id, *row in look.reader.execute("SELECT stream_id, day, ts_min, ts_max, seq FROM dirty"):
        span = Dirty(*(int(str(value)) for value in row))
        stored.setdefault(int(str(stream_id)), {})[span.day] = span
    for stream in look.memory.streams.values():
        have = stored.get(stream.id, {})
        lacking = [span for day, span in stream.dirty.items() if day not in have or have[day].merge(span) != have[day]]
        if not lacking or not _has_segments(look, stream):
            continue
        for span in lacking:
            yield Finding(
                kind=FORGOTTEN,
                where="hot.sqlite dirty",
                key=f"{stream.name} {span.day}",
                stream=stream.name,
                last=span.seq,
                since_us=span.ts_min,
                until_us=span.ts_max + 1,
                what=f"records of {day_name(span.day)} may lie there more than once, and the store does not say so",
                repair="the span is stored again",
                facts={"day": span.day, "low": span.ts_min, "high": span.ts_max, "seq": span.seq},
            )


def _has_segments(look: Look, stream: StreamState) -> bool:
    """Whether the lake is what memory has: no compaction has cleaned a day since."""
    live = look.reader.execute("SELECT id FROM segment WHERE stream_id = ? AND state = 'live'", (stream.id,))
    return {int(str(row[0])) for row in live} == {s.id for s in stream.segments}
