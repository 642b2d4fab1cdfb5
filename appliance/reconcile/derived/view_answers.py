"""What a view has stored is what its SQL gives over the records: some buckets at each look, all of them where all is computed anew.

Both sides are one question to one snapshot, so records that come meanwhile are on both or on neither. Sums of floats depend in their
last digits on the order of the records; they may differ by that much. Columns that depend on it altogether are not compared.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from appliance.cold.segments import check_segment
from appliance.derived import Aggregate, ViewVersion
from appliance.errors import QueryRefused
from appliance.hot.state import State, StreamState
from appliance.reconcile.derived.sql import quoted, within
from appliance.reconcile.derived.twice import asked_spans, looked_again, seen_twice, turn_of
from appliance.reconcile.derived.views import FINDINGS_MAX, name_of, shown, versions_of
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.records import fold
from appliance.spans import FIRST, Span, ceil_to, common, floor_to, union, widened, without

DIFFERS: Final = "view differs"
SAMPLE: Final = 4
"""Buckets of a view that a look computes anew where it does not look at all."""
RECORDS_MAX: Final = 3_000_000
"""Records that one question reads."""
ROWS_MAX: Final = 50_000
"""Differing rows that a question gives; with more, the span is halved."""
RELATIVE: Final = 1e-9
"""By how much two sums of the same floats may differ: some millions of roundings to 53 bits, all to one side."""
_ORDERED: Final = re.compile(
    r"\b(arg_?max\w*|arg_?min\w*|max_by|min_by|first|last|any_value|arbitrary|mode|list|array_agg|string_agg|group_concat|listagg|lttb"
    r"|approx_quantile|approx_top_k|reservoir_quantile)\s*\(",
    re.IGNORECASE,
)
"""Aggregates that may choose between records that are equal in what they are asked by."""
Row = tuple[Any, ...]


def check_answers(look: Look) -> Iterator[Finding]:
    """See the module."""
    yield from seen_twice(look, _answers)


def _answers(look: Look) -> Iterator[Finding]:
    for version in versions_of(look.state.views.values()):
        columns = compared(version)
        if columns is None:
            continue
        found: list[Span] = []
        for span in _spans(look, version):
            found += differing(look, version, columns, span)
            if len(found) >= FINDINGS_MAX:
                break
        readable = without(union(found), unreadable_of(look.folder, look.state, version, found))
        yield from (_finding(version, span) for span in readable[:FINDINGS_MAX])


def compared(version: ViewVersion) -> tuple[str, ...] | None:
    """The columns that follow from the records alone; None where those of a view below do not."""
    if any(_ORDERED.search(d.sql) for d in version.chain):
        return None
    ordered = _ORDERED.search(version.definition.sql) is not None
    left = {a.column for a in version.definition.aggregates if ordered and _may_be_ordered(a)}
    return tuple(name for name, _ in version.columns if name not in left)


def _may_be_ordered(aggregate: Aggregate) -> bool:
    return aggregate.function is None or _ORDERED.match(f"{aggregate.function}(") is not None


def checked_spans(state: State, version: ViewVersion) -> tuple[Span, ...]:
    """What can be computed anew: above what is sealed in the view and those below it, where segments can be read."""
    stream = state.streams.get(version.stream)
    if stream is None:
        return ()
    width = version.definition.bucket_us
    low = max(version.used.sealed_us, version.begin_us)
    for below in version.chain:
        view = state.views.get(fold(below.name))
        lower = view.active if view is not None else None
        if lower is not None:
            low = max(low, lower.used.sealed_us, lower.begin_us)
    lost = widened([(s.ts_min, s.ts_max + 1) for s in stream.lost], width)
    return without(((ceil_to(low, width), version.used.closed_us),), lost)


def _spans(look: Look, version: ViewVersion) -> Iterator[Span]:
    """What this look computes anew, a question each."""
    spans = checked_spans(look.state, version)
    if look.scope == "full":
        asked = widened(asked_spans(look, look.state.streams[version.stream]) if spans else (), version.definition.bucket_us)
        yield from (piece for span in common(spans, asked) for piece in _pieces(look.state, version, span))
        return
    if not spans:
        return
    width = version.definition.bucket_us
    stored = without(common(spans, widened(_inhabited(look, look.state.streams[version.stream]), width)), version.used.dirty)
    count = sum((high - low) // width for low, high in stored)
    choice = random.Random(f"{name_of(version)} {turn_of(look)}")  # noqa: S311 - a sample, the same for the same turn
    for number in sorted({choice.randrange(count) for _ in range(SAMPLE)} if count else ()):
        left = number
        for low, high in stored:
            if left < (high - low) // width:
                yield low + left * width, low + (left + 1) * width
                break
            left -= (high - low) // width


def _inhabited(look: Look, stream: StreamState) -> tuple[Span, ...]:
    """Event times in which records lie, about."""
    hot = look.reader.execute("SELECT min(ts_min), max(ts_max) + 1 FROM batch WHERE stream_id = ?", (stream.id,))[0]
    spans = [] if hot[0] is None else [(int(str(hot[0])), int(str(hot[1])))]
    return union([*spans, *((s.ts_min, s.ts_max + 1) for s in stream.segments)])


def _pieces(state: State, version: ViewVersion, span: Span) -> Iterator[Span]:
    low, rows = span[0], 0
    width = version.definition.bucket_us
    for segment in sorted(state.streams[version.stream].segments, key=lambda s: s.ts_max):
        if segment.ts_max < span[0] or segment.ts_min >= span[1]:
            continue
        rows += segment.rows
        edge = ceil_to(segment.ts_max + 1, width)
        if rows >= RECORDS_MAX and low < edge < span[1]:
            yield low, edge
            low, rows = edge, 0
    if low < span[1]:
        yield low, span[1]


def differing(look: Look, version: ViewVersion, columns: Sequence[str], span: Span) -> list[Span]:
    """The buckets of a span whose rows are not what the records give; nothing for a view that has just got another definition."""
    assert look.query is not None
    try:
        found = look.query(difference_sql(version, columns, span))
    except QueryRefused:
        if look.state.views and _is_gone(look, version):
            return []
        raise
    width = version.definition.bucket_us
    if found.num_rows >= ROWS_MAX and span[0] != FIRST and span[1] - span[0] > width:
        middle = floor_to((span[0] + span[1]) // 2, width)
        middle = middle if middle > span[0] else span[0] + width
        return differing(look, version, columns, (span[0], middle)) + differing(look, version, columns, (middle, span[1]))
    return [(bucket, bucket + width) for bucket in _buckets(found, version, columns)]


def _is_gone(look: Look, version: ViewVersion) -> bool:
    with looked_again(look) as again:
        return version.id not in {v.id for v in versions_of(again.state.views.values())}


def difference_sql(version: ViewVersion, columns: Sequence[str], span: Span) -> str:
    """Rows that one side has and the other has not, as often as that is so; ``__side`` 0: stored, 1: computed from the records."""
    definition = version.definition
    lowest = version.chain[-1] if version.chain else definition
    text = f"SELECT * FROM {quoted(lowest.source)} WHERE {within('ts', *span)}"
    for each in reversed((definition, *version.chain)):
        text = f"WITH {quoted(each.source)} AS NOT MATERIALIZED (\n{text}\n)\n{each.sql}\n"
    names = ", ".join(quoted(c) for c in columns)
    kept = f"SELECT {names} FROM {quoted(name_of(version))} WHERE {within(definition.bucket, *span)}"
    made = f"SELECT {names} FROM (\n{text}\n) WHERE {within(definition.bucket, *span)}"
    return (
        f"WITH __kept AS MATERIALIZED ({kept}), __made AS MATERIALIZED ({made})"
        " SELECT 0 AS __side, * FROM (SELECT * FROM __kept EXCEPT ALL SELECT * FROM __made)"
        " UNION ALL SELECT 1 AS __side, * FROM (SELECT * FROM __made EXCEPT ALL SELECT * FROM __kept)"
        f" LIMIT {ROWS_MAX}"
    )


def _buckets(found: pa.Table, version: ViewVersion, columns: Sequence[str]) -> list[int]:
    """The starts of the buckets in which rows differ by more than the order of sums explains."""
    if not found.num_rows:
        return []
    names = [n.lower() for n in columns]
    at = names.index(version.definition.bucket.lower())
    times = found.column(at + 1).cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()
    floats = [i for i in range(len(names)) if pa.types.is_floating(found.column(i + 1).type)]
    sides: dict[tuple[int, str], tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    listed = [column.to_pylist() for column in found.columns]
    for row, time_us in enumerate(times):
        exact = repr([listed[i + 1][row] for i in range(len(names)) if i not in floats])
        sides[time_us, exact][listed[0][row]].append(tuple(listed[i + 1][row] for i in floats))
    scale = [max((abs(v) for v in listed[i + 1] if v is not None and abs(v) < float("inf")), default=0.0) for i in floats]
    return sorted({time_us for (time_us, _), (kept, made) in sides.items() if not _alike(kept, made, scale)})


def _alike(kept: list[Row], made: list[Row], scale: Sequence[float]) -> bool:
    """Whether each row of one side has one of the other that is equal but for rounding."""
    if len(kept) != len(made):
        return False
    left = list(made)
    for row in kept:
        match = next((other for other in left if all(map(_close, row, other, scale))), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _close(a: float | None, b: float | None, scale: float) -> bool:
    if a is None or b is None:
        return a is b
    return a == b or abs(a - b) <= RELATIVE * max(abs(a), abs(b), scale) or (a != a and b != b)


def unreadable_of(folder: Path, state: State, version: ViewVersion, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Parts of ``spans`` whose records can't be read as they were written: there the stored answer is the better one."""
    stream = state.streams[version.stream]
    wanted = union(spans)
    near = [s for s in stream.segments if common(wanted, ((s.ts_min, s.ts_max + 1),))]
    bad = [s for s in near if check_segment(folder, s, deep=True) is not None]
    return widened([(s.ts_min, s.ts_max + 1) for s in (*bad, *stream.lost)], version.definition.bucket_us)


def _finding(version: ViewVersion, span: Span) -> Finding:
    return Finding(
        kind=DIFFERS,
        where=f"view {version.definition.name}",
        key=f"{name_of(version)} {span[0]}",
        stream=version.stream,
        since_us=None if span[0] == FIRST else span[0],
        until_us=span[1],
        what=f"what is stored of {shown(span)} is not what its SQL gives over the records",
        repair="the buckets are marked and made anew",
        facts={"version": version.id, "low": span[0], "high": span[1]},
    )
