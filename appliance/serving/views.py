"""A view as SQL: rows of its files, and its own SQL over the records of what is dirty or open. Text and values; nothing is run here.

The view's SQL is never changed: a WITH in front of it gives its source's name to the records that it may see. Those are whole
buckets, so its rows for them are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from appliance.records import TimeRange
from appliance.serving import merged
from appliance.serving.duck import Columns, Planner, literal, quoted
from appliance.serving.explain import ViewExplain
from appliance.serving.merged import HotSource
from appliance.serving.snapshot import Snapshot, TableInfo
from appliance.serving.view_pins import Shown, ViewPin
from appliance.spans import FIRST, LAST, Span

_UNION: Final = "\nUNION ALL\n"
BUCKETS_LISTED_MAX: Final = 2_048
"""Up to so many buckets a condition names them one by one, which costs a look-up a row instead of two comparisons for each span."""
SPANS_COMPARED_MAX: Final = 6


def with_columns(planner: Planner, tables: Sequence[TableInfo]) -> tuple[TableInfo, ...]:
    """The tables, each view with the columns that its SQL gives over its stream as it is now. Raises ``duckdb.Error``."""
    return tuple(t if t.view is None else msgspec.structs.replace(t, columns=_described(planner, t)) for t in tables)


def _described(planner: Planner, table: TableInfo) -> Columns:
    assert table.view is not None
    source, sql = table.view.chain[-1]
    text = sql
    for upper, upper_sql in reversed(table.view.chain[:-1]):
        text = _over(upper, text, upper_sql)
    return planner.described(text, source, table.view.base)


def view_sql(pin: ViewPin, columns: Columns, *, snapshot: Snapshot, hot: Mapping[str, HotSource], root: Path, bounds: TimeRange) -> str:
    """A SELECT with ``columns`` in their order; ``bounds`` restricts the starts of buckets."""

    def records(below: ViewPin) -> str:
        stream = snapshot.streams[below.stream]
        return merged.view_sql(stream, hot=hot.get(below.stream), files=stream.files, root=root, within=below.live)

    parts = _parts(pin, columns, root, records)
    conditions = [
        *(() if bounds.since is None else (f"{quoted(pin.bucket)} >= {merged.moment(bounds.since)}",)),
        *(() if bounds.until is None else (f"{quoted(pin.bucket)} < {merged.moment(bounds.until)}",)),
    ]
    text = _UNION.join(parts) if parts else _nothing(columns)
    return f"SELECT * FROM (\n{text}\n) WHERE {' AND '.join(conditions)}" if conditions else text


def _parts(pin: ViewPin, columns: Columns, root: Path, records: Callable[[ViewPin], str]) -> list[str]:
    names = ", ".join(f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}" for name, kind in columns)
    parts = []
    whole = [s for s in pin.files if not s.spans]
    if whole:
        parts.append(f"SELECT {names} FROM {_read(whole, root)}")
    parts += [f"SELECT {names} FROM {_read([s], root)} WHERE {_in(pin, s.spans)}" for s in pin.files if s.spans]
    if pin.live:
        parts.append(f"SELECT {names} FROM (\n{_computed(pin, root, records)}\n)")
    return parts


def _computed(pin: ViewPin, root: Path, records: Callable[[ViewPin], str]) -> str:
    """The view's SQL over what lies in its live spans."""
    if pin.below is None:
        return _over(pin.source, records(pin), pin.sql)
    below = pin.below
    parts = [f"SELECT * FROM {_read([s], root)}" + (f" WHERE {_in(below, s.spans)}" if s.spans else "") for s in below.files]
    if below.live:
        parts.append(f"SELECT * FROM (\n{_computed(below, root, records)}\n)")
    if not parts:
        parts.append(f"SELECT * FROM (\n{_computed(_empty(below), root, records)}\n) WHERE false")
    return _over(pin.source, _UNION_BY_NAME.join(parts), pin.sql)


_UNION_BY_NAME: Final = "\nUNION ALL BY NAME\n"


def _empty(pin: ViewPin) -> ViewPin:
    return msgspec.structs.replace(pin, live=((0, 0),), files=(), below=None if pin.below is None else _empty(pin.below))


def _over(source: str, records: str, sql: str) -> str:
    return f"WITH {quoted(source)} AS NOT MATERIALIZED (\n{records}\n)\n{sql}\n"


def _read(shown: Sequence[Shown], root: Path) -> str:
    paths = ", ".join(literal(str(root / s.file.path)) for s in shown)
    return f"read_parquet([{paths}], hive_partitioning = false, union_by_name = false)"


def _in(pin: ViewPin, spans: Sequence[Span]) -> str:
    """The bucket lies in one of the spans, or, when that is shorter to say, in none of the gaps between them."""
    bucket = quoted(pin.bucket)
    bounds = [
        *(() if spans[0][0] == FIRST else (f"{bucket} >= {merged.moment(spans[0][0])}",)),
        *(() if spans[-1][1] == LAST else (f"{bucket} < {merged.moment(spans[-1][1])}",)),
    ]
    if len(spans) == 1:
        return " AND ".join(bounds) or "true"
    holes = [(a[1], b[0]) for a, b in zip(spans, spans[1:], strict=False)]
    if len(holes) > SPANS_COMPARED_MAX and sum(b - a for a, b in holes) // pin.width_us <= BUCKETS_LISTED_MAX:
        listed = ", ".join(merged.moment(start) for a, b in holes for start in range(a, b, pin.width_us))
        return " AND ".join([*bounds, f"{bucket} NOT IN ({listed})"])
    return " AND ".join([*bounds, *(f"NOT ({bucket} >= {merged.moment(a)} AND {bucket} < {merged.moment(b)})" for a, b in holes)])


def _nothing(columns: Columns) -> str:
    return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {quoted(name)}' for name, kind in columns)} WHERE false"


def explained_view(pin: ViewPin) -> ViewExplain:
    """What there is to say about a view of a query."""
    return ViewExplain(
        view=pin.name,
        files=len(pin.files),
        rows=sum(s.file.rows for s in pin.files),
        bytes=sum(s.file.bytes for s in pin.files),
        live=tuple((None if a == FIRST else a, None if b == LAST else b) for a, b in pin.live),
        live_buckets=_count(pin),
        below=None if pin.below is None else explained_view(pin.below),
    )


def _count(pin: ViewPin) -> int | None:
    if any(a == FIRST or b == LAST for a, b in pin.live):
        return None
    return sum((b - a) // pin.width_us for a, b in pin.live)
