"""The merged view of a stream as SQL: hot rows and segments as one table, in which each record stands once.

Pure: parts in, text out. What was deleted is left out of each part first. Membership was decided by sequence when the parts
were pinned, so this is a plain union. Only where twins are possible, in the dirty spans, rows are grouped by their identity, and
in each column the value with the highest sequence that is not null wins. Grouping more than the dirty spans changes nothing, only
costs time, because elsewhere no two records share an identity; so spans may be joined, but every row of a span has to pass through
the one grouping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from appliance.manifest import Deletion, Segment
from appliance.records import EVERYTHING, Schema, TimeRange
from appliance.serving.duck import literal, quoted
from appliance.serving.snapshot import SQL_TYPE, Span, StreamPin
from appliance.spans import FIRST, LAST, floor_to, hull, touches
from appliance.spans import Span as TimeSpan

LISTED_MAX: Final = 2_048
"""Buckets that a condition names one by one."""
SPANS_MAX: Final = 32
"""More spans than this are joined over the smallest gaps: the condition stays short."""
_UNION = "\nUNION ALL\n"
_INT64_MIN = -(2**63)


@dataclass(frozen=True, slots=True)
class HotSource:
    """A registered table of hot rows: ``ts``, some columns of the newest schema, ``_seq``."""

    name: str
    columns: frozenset[str]
    """Those that it has. The others are not used by the query and stand as NULL."""
    ts_min: int
    """Event times of its rows; looked at only where there are dirty spans."""
    ts_max: int


def view_sql(
    pin: StreamPin,
    *,
    hot: HotSource | None,
    files: Sequence[Segment],
    root: Path,
    bounds: TimeRange = EVERYTHING,
    within: Sequence[TimeSpan] = (),
    width_us: int = 0,
) -> str:
    """A SELECT with the columns of ``Schema.lake`` in their order.

    ``hot`` and ``files`` are the sides to show (None and empty: without that side); ``bounds`` restricts the event time, and
    ``within``, where there is any, to one of these half-open spans, which are buckets of ``width_us``.
    """
    if within:
        low, high = hull(within)
        bounds = TimeRange(None if low == FIRST else low, None if high == LAST else high)
        files = [f for f in files if touches(within, f.ts_min, f.ts_max)]
    bounding = (*_bounds(bounds), *([_any_of(within, width_us)] if len(within) > 1 else ()))
    inside = [s for s in pin.spans if not within or touches(within, s.low, s.high)]
    spans = tuple(s for s in joined(inside) if _inside(s, bounds)) if pin.identity is not None else ()
    dirty = [f for f in files if _touches(f, spans)]
    clean = [f for f in files if not _touches(f, spans)]
    hot_dirty = hot is not None and any(s.low <= hot.ts_max and hot.ts_min <= s.high for s in spans)
    parts = _cold(pin, clean, root, conditions=bounding)
    if hot is not None:
        parts.append(_hot(pin, hot, conditions=(*bounding, *([_outside(spans)] if hot_dirty else []))))
    if dirty or hot_dirty:
        mixed = [f for f in dirty if not any(s.low <= f.ts_min and f.ts_max <= s.high for s in spans)]
        parts += _cold(pin, mixed, root, conditions=(*bounding, _outside(spans)))
        parts.append(_once(pin, hot if hot_dirty else None, dirty, root, spans, bounding))
    return _UNION.join(parts) if parts else _nothing(pin.schema)


def deduplicated(pin: StreamPin, bounds: TimeRange = EVERYTHING) -> int:
    """The number of files in which ``view_sql`` tells twins apart."""
    spans = tuple(s for s in joined(pin.spans) if _inside(s, bounds)) if pin.identity is not None else ()
    return sum(_touches(f, spans) for f in pin.files)


def joined(spans: Iterable[Span], *, most: int = SPANS_MAX) -> tuple[Span, ...]:
    """Spans in order, overlapping ones made one, and no more than ``most``: the closest neighbours are joined."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda s: s.low):
        if result and span.low <= result[-1].high:
            result[-1] = Span(result[-1].low, max(result[-1].high, span.high))
        else:
            result.append(span)
    if len(result) > most:
        gaps = sorted(range(1, len(result)), key=lambda i: result[i].low - result[i - 1].high, reverse=True)
        cuts = [0, *sorted(gaps[: most - 1]), len(result)]
        result = [Span(result[a].low, result[b - 1].high) for a, b in pairwise(cuts)]
    return tuple(result)


def _once(
    pin: StreamPin, hot: HotSource | None, files: Sequence[Segment], root: Path, spans: Sequence[Span], bounding: Sequence[str]
) -> str:
    """The rows of the dirty spans, grouped by identity."""
    assert pin.identity is not None
    keys = {column.lower() for column in pin.identity} | {"ts"}
    inside = (*bounding, _within(spans))
    parts = _cold(pin, files, root, conditions=inside)
    if hot is not None:
        parts.append(_hot(pin, hot, conditions=inside))
    columns = ["ts", *(c.name for c in pin.schema.columns)]
    values = [quoted(c) if c.lower() in keys else f"arg_max({quoted(c)}, _seq) AS {quoted(c)}" for c in columns]
    group = ", ".join(quoted(c) for c in columns if c.lower() in keys)
    return f"SELECT {', '.join(values)}, max(_seq) AS _seq FROM ({_UNION.join(parts)}) GROUP BY {group}"


def _hot(pin: StreamPin, hot: HotSource, *, conditions: Sequence[str]) -> str:
    def column(name: str, kind: str) -> str:
        return quoted(name) if name in hot.columns else f"CAST(NULL AS {kind}) AS {quoted(name)}"

    have = {name.lower(): name for name in hot.columns}
    return _select(pin.schema, column, quoted(hot.name), (*conditions, *_visible(pin.deletions, have)))


def _cold(pin: StreamPin, files: Sequence[Segment], root: Path, *, conditions: Sequence[str]) -> list[str]:
    """One SELECT for each version of the schema among the files, and for each set of deletions that they may hold records of.

    All files of one read have the same columns, and those that hold nothing of what was deleted pay nothing for it.
    """
    alike: dict[tuple[int, tuple[int, ...]], list[Segment]] = {}
    for file in files:
        alike.setdefault((file.schema_version, tuple(d.id for d in pin.deletions if d.concerns(file))), []).append(file)
    parts = []
    for (version, ids), some in sorted(alike.items()):
        schema = pin.versions[version]
        have = {c.name.lower(): c.name for c in schema.columns}
        hidden = _visible([d for d in pin.deletions if d.id in ids], have)
        parts.append(_read(pin, schema, some, root, (*conditions, *hidden)))
    return parts


def _visible(deletions: Iterable[Deletion], have: Mapping[str, str]) -> list[str]:
    """Conditions that only rows fulfil which no deletion is about; ``have`` are the columns that there are, by folded name."""
    found = []
    for d in deletions:
        about = [f"_seq <= {d.up_to_seq}", *_bounds(TimeRange(d.since_us, d.until_us))]
        for name, value in d.matching.items():
            column = have.get(name.lower())
            if column is None:
                about += [] if value is None else ["false"]
            else:
                about.append(f"{quoted(column)} IS NULL" if value is None else f"coalesce({quoted(column)} = {literal(value)}, false)")
        found.append(f"NOT ({' AND '.join(about)})")
    return found


def _read(pin: StreamPin, version: Schema, files: Sequence[Segment], root: Path, conditions: Sequence[str]) -> str:
    def column(name: str, kind: str) -> str:
        have = version.by_fold.get(name.lower())
        if have is None:
            return f"CAST(NULL AS {kind}) AS {quoted(name)}"
        return quoted(name) if SQL_TYPE[have.kind] == kind else f"CAST({quoted(have.name)} AS {kind}) AS {quoted(name)}"

    paths = ", ".join(literal(str(root / file.path)) for file in files)
    source = f"read_parquet([{paths}], hive_partitioning = false, union_by_name = false)"
    return _select(pin.schema, column, source, conditions)


def _select(schema: Schema, column: Callable[[str, str], str], source: str, conditions: Sequence[str]) -> str:
    columns = ["ts", *(column(c.name, SQL_TYPE[c.kind]) for c in schema.columns), "_seq"]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {', '.join(columns)} FROM {source}{where}"


def _nothing(schema: Schema) -> str:
    columns = [("ts", "TIMESTAMP"), *((c.name, SQL_TYPE[c.kind]) for c in schema.columns), ("_seq", "BIGINT")]
    return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {quoted(name)}' for name, kind in columns)} WHERE false"


def moment(ts_us: int) -> str:
    """A TIMESTAMP constant; the lowest integer, which DuckDB keeps for itself, becomes the one above."""
    return f"make_timestamp({max(ts_us, _INT64_MIN + 2)}::BIGINT)"


def _bounds(bounds: TimeRange) -> tuple[str, ...]:
    return (
        *(() if bounds.since is None else (f"ts >= {moment(bounds.since)}",)),
        *(() if bounds.until is None else (f"ts < {moment(bounds.until)}",)),
    )


def _any_of(spans: Sequence[TimeSpan], width_us: int) -> str:
    """That a time lies in one of the spans; where they are few buckets, by the bucket's name, which is a look-up a row."""
    closed = [(low, high) for low, high in spans if FIRST < low == floor_to(low, width_us) and floor_to(high, width_us) == high < LAST]
    if len(closed) < 3 or sum(high - low for low, high in closed) // width_us > LISTED_MAX:
        closed = []
    parts = [
        " AND ".join(_bounds(TimeRange(None if low == FIRST else low, None if high == LAST else high)))
        for low, high in spans
        if (low, high) not in closed
    ]
    if closed:
        starts = ", ".join(moment(start) for low, high in closed for start in range(low, high, width_us))
        parts.append(f"time_bucket(to_microseconds({width_us}), ts) IN ({starts})")
    return f"({' OR '.join(f'({part})' for part in parts)})"


def _within(spans: Sequence[Span]) -> str:
    return "(" + " OR ".join(f"(ts >= {moment(s.low)} AND ts <= {moment(s.high)})" for s in spans) + ")"


def _outside(spans: Sequence[Span]) -> str:
    return "(" + " AND ".join(f"(ts < {moment(s.low)} OR ts > {moment(s.high)})" for s in spans) + ")"


def _touches(file: Segment, spans: Sequence[Span]) -> bool:
    return any(s.low <= file.ts_max and file.ts_min <= s.high for s in spans)


def _inside(span: Span, bounds: TimeRange) -> bool:
    return bounds.overlaps(span.low, span.high)
