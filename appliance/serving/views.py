"""A view as SQL: rows of its files, and its own SQL over the records of what is dirty or open. Text and values; nothing is run here.

The view's SQL is never changed: a WITH in front of it gives its source's name to the records that it may see. Those are whole
buckets, so its rows for them are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from appliance.records import EVERYTHING, TimeRange
from appliance.serving import merged
from appliance.serving.duck import Columns, Planner, literal, quoted
from appliance.serving.explain import ViewExplain
from appliance.serving.merged import HotSource
from appliance.serving.snapshot import Snapshot, TableInfo, ViewInfo
from appliance.serving.view_pins import Shown, ViewPin
from appliance.spans import FIRST, LAST, Span, touches, union

SPANS_COMPARED_MAX: Final = 6
"""More gaps than this are looked up instead of being compared with, one by one, for each row."""
BITS_MAX: Final = 131_072
"""So many buckets from the first gap to the last one still are a row of bits in the text of a query."""


def with_columns(planner: Planner, tables: Sequence[TableInfo]) -> tuple[TableInfo, ...]:
    """The tables, each view with the columns that its SQL gives over its stream as it is now. Raises ``duckdb.Error``."""
    return tuple(t if t.view is None else msgspec.structs.replace(t, columns=levels(planner, t.view)[0]) for t in tables)


def levels(planner: Planner, view: ViewInfo) -> list[Columns]:
    """The columns of a view, and of each view below it. Raises ``duckdb.Error``."""
    found: list[Columns] = []
    base, text = view.chain[-1]
    for source, sql in reversed(view.chain):
        text = sql if not found else _over(source, text, sql)
        found.insert(0, planner.described(text, base, view.base))
    return found


def view_sql(
    pin: ViewPin,
    columns: Sequence[Columns],
    *,
    snapshot: Snapshot,
    hot: Mapping[str, HotSource],
    root: Path,
    bounds: TimeRange = EVERYTHING,
) -> str:
    """A SELECT with the first of ``columns`` in their order; the others are those of the views below.

    ``bounds`` restricts the starts of buckets. Of the first ``columns`` some may be left out that nobody asks for.
    """

    def kept(part: ViewPin) -> str:
        number = next((at for at, key in enumerate(snapshot.kept) if snapshot.views[key] is part), None)
        return "" if number is None else kept_name(number)

    def records(lowest: ViewPin) -> str:
        stream = snapshot.streams[lowest.stream]
        if lowest.stream not in hot and not any(touches(lowest.live, f.ts_min, f.ts_max) for f in stream.files):
            return ""
        return merged.view_sql(
            stream, hot=hot.get(lowest.stream), files=stream.files, root=root, within=lowest.live, width_us=lowest.width_us
        )

    conditions = [
        *(() if bounds.since is None else (f"{quoted(pin.bucket)} >= {merged.moment(bounds.since)}",)),
        *(() if bounds.until is None else (f"{quoted(pin.bucket)} < {merged.moment(bounds.until)}",)),
    ]
    text = _answer(pin, columns, root, records, kept(pin)) or _nothing(columns[0])
    return f"SELECT * FROM (\n{text}\n) WHERE {' AND '.join(conditions)}" if conditions else text


def kept_name(number: int) -> str:
    """The name under which kept rows are shown; ``number`` is their place in the snapshot."""
    return f"__kept_{number}"


def _answer(pin: ViewPin, columns: Sequence[Columns], root: Path, records: Callable[[ViewPin], str], kept: str = "") -> str:
    """Rows of files, kept and computed ones; empty text where there is neither. ``kept`` names the table of those in memory."""
    names = ", ".join(f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}" for name, kind in columns[0])
    parts = [f"SELECT {names} FROM {quoted(kept)}"] if kept else []
    whole = [s for s in pin.files if not s.spans]
    if whole:
        parts.append(f"SELECT {names} FROM {_read(whole, root)}")
    cut = [s for s in pin.files if s.spans]
    alike = [s for s in cut if s.file.whole]
    spans = union(span for s in alike for span in s.spans)
    if len(spans) > SPANS_COMPARED_MAX and not _are_bits(pin, spans):
        alike = []
    if alike:  # as one: a file without rows but for its own spans has none in those of others
        parts.append(f"SELECT {names} FROM {_read(alike, root)} WHERE {_in(pin, spans)}")
    parts += [f"SELECT {names} FROM {_read([s], root)} WHERE {_in(pin, s.spans)}" for s in cut if s not in alike]
    if pin.live:
        source = records(pin) if pin.below is None else _answer(pin.below, columns[1:], root, records)
        if source:
            parts.append(f"SELECT {names} FROM (\n{_over(pin.source, source, pin.sql)}\n)")
    return "\nUNION ALL\n".join(parts)


def _over(source: str, records: str, sql: str) -> str:
    return f"WITH {quoted(source)} AS NOT MATERIALIZED (\n{records}\n)\n{sql}\n"


def _read(shown: Sequence[Shown], root: Path) -> str:
    paths = ", ".join(literal(str(root / s.file.path)) for s in shown)
    return f"read_parquet([{paths}], hive_partitioning = false, union_by_name = false)"


def _in(pin: ViewPin, spans: Sequence[Span]) -> str:
    """The bucket lies in the spans: within their hull and in none of the gaps.

    Many gaps are a row of bits, one for each bucket. Over 876,000 rows with 88 to 1,752 gaps that costs 2 to 8 ms, an anti-join with
    the list of them 20 to 70 ms, comparisons 300 ms and more.
    """
    bucket = quoted(pin.bucket)
    bounds = [
        *(() if spans[0][0] == FIRST else (f"{bucket} >= {merged.moment(spans[0][0])}",)),
        *(() if spans[-1][1] == LAST else (f"{bucket} < {merged.moment(spans[-1][1])}",)),
    ]
    if len(spans) == 1:
        return " AND ".join(bounds) or "true"
    holes = [(a[1], b[0]) for a, b in pairwise(spans)]
    if _are_bits(pin, spans):
        return " AND ".join([*bounds, _in_no_hole(bucket, holes, pin.width_us)])
    return " AND ".join([*bounds, *(f"NOT ({bucket} >= {merged.moment(a)} AND {bucket} < {merged.moment(b)})" for a, b in holes)])


def _are_bits(pin: ViewPin, spans: Sequence[Span]) -> bool:
    return len(spans) > SPANS_COMPARED_MAX and (spans[-1][0] - spans[0][1]) // pin.width_us <= BITS_MAX


def _in_no_hole(bucket: str, holes: Sequence[Span], width_us: int) -> str:
    """A bit for each bucket from the first hole to the end of the last, and one at each end for all that lies beyond."""
    begin, end = holes[0][0], holes[-1][1]
    count = (end - begin) // width_us
    bits = bytearray(b"0") * (count + 2)
    for low, high in holes:
        for at in range((low - begin) // width_us, (high - begin) // width_us):
            bits[at + 1] = ord("1")
    place = f"least(greatest((epoch_us({bucket}) - {begin}) // {width_us}, -1), {count}) + 1"
    return f"get_bit('{bits.decode()}'::BIT, CAST({place} AS INTEGER)) = 0"


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
        kept=len(pin.kept) > 0,
        below=None if pin.below is None else explained_view(pin.below),
    )


def _count(pin: ViewPin) -> int | None:
    if any(a == FIRST or b == LAST for a, b in pin.live):
        return None
    return sum((b - a) // pin.width_us for a, b in pin.live)
