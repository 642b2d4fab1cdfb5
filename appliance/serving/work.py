"""One query under way, and what follows from it: what is wanted of each stream, and how it was answered. Pure but for ``Work`` itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from appliance.errors import QueryHeavy
from appliance.manifest import Segment
from appliance.records import TimeRange
from appliance.serving import merged
from appliance.serving.explain import Explain, Part, StreamExplain, time_text
from appliance.serving.plain_select import PlainSelect
from appliance.serving.pruning import Need
from appliance.serving.question import Question
from appliance.serving.routing import is_heavy
from appliance.serving.snapshot import NOTHING, Side, Snapshot, StreamPin, TableInfo, Wanted, WantedView, hull, matched
from appliance.serving.stand_in import StandIn
from appliance.serving.statement import Statement
from appliance.serving.tray import Tray
from appliance.serving.views import explained_view
from appliance.spans import FIRST, LAST
from appliance.spans import hull as hull_of


@dataclass(slots=True)
class Work:
    """What is known of a query so far; owned by the engine, filled step by step."""

    question: Question
    now_us: int = 0
    """What ``now()`` gives."""
    statement: Statement = field(default_factory=lambda: Statement("", "", ()))
    text: str = ""
    """What its SQL has in common with others that differ in their constants alone; empty: nothing."""
    tables: Sequence[TableInfo] = ()
    needs: Mapping[str, Need] | None = None
    """By table; None: could not be found out, so all of everything."""
    wanted: Sequence[Wanted] = ()
    """Of each stream, as it was pinned."""
    snapshot: Snapshot = field(default_factory=Snapshot)
    columns: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """What ``columns_of`` has said of the snapshot."""
    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    made: list[tuple[str, str]] = field(default_factory=list)
    """What was made for it: ``VIEW``, ``TABLE`` or "" (registered), and its name."""
    trays: list[Tray] = field(default_factory=list)
    """What its small tables of hot rows lie in."""
    plain: PlainSelect | None = None
    """There where DuckDB need not be asked for a plan."""
    since_us: int | None = None
    """Where reading begins because what was asked for is newer; None: where the question says."""
    source: str = ""
    """Of a plain question: its table as a WITH has it, which costs less than a view."""

    stand_in: StandIn | None = None
    """A view in place of the records."""
    not_stood_in: str = ""
    """Why there is none, where one would have paid."""

    @property
    def bounds(self) -> TimeRange:
        """The event times that are read."""
        return self.question.span.intersect(TimeRange(self.since_us))

    @property
    def sql(self) -> str:
        """What is run."""
        if not self.source:
            return self.statement.whole
        sql = self.statement.sql if self.stand_in is None else self.stand_in.sql
        return f"{self.statement.explain} WITH {self.source} {sql}"


def on_side(info: TableInfo, path: str) -> TableInfo:
    """A table that names no side is read on that of the question."""
    if info.side is not Side.MERGED or path == "merged":
        return info
    return TableInfo(info.name, Side(path), info.stream, info.columns)


def views_of(work: Work) -> list[WantedView]:
    """What is needed of each view, over all tables that show it."""
    found: dict[tuple[str, int], WantedView] = {}
    for table in work.tables:
        if table.view is not None:
            key = (table.stream, table.view.version)
            have = found.get(key)
            span = hull(NOTHING if have is None else TimeRange(have.since_us, have.until_us), need_of(work, table).span)
            cut = work.stand_in is not None
            found[key] = WantedView(view=key[0], version=key[1], since_us=span.since, until_us=span.until, of_records=cut)
    return list(found.values())


def need_of(work: Work, table: TableInfo) -> Need:
    """What the query can touch of a table, inside the bounds of the question."""
    if work.needs is None:
        return Need(work.question.span, frozenset(name for name, _ in table.columns))
    need = work.needs.get(table.name, Need(NOTHING, frozenset()))
    return Need(need.span if need.span.empty else need.span.intersect(work.question.span), need.columns)


def wanted_of(work: Work) -> list[Wanted]:
    """What is needed of each stream, over all tables that show it."""
    found: dict[str, Wanted] = {}
    for table in work.tables:
        if not table.side.is_of_stream:
            continue
        have = found.get(table.stream) or Wanted(stream=table.stream, since_us=NOTHING.since, until_us=NOTHING.until, hot=False, cold=False)
        need = need_of(work, table)
        reads = table.side is not Side.LATEST and not need.span.empty
        span = hull(have.span, need.span if reads else NOTHING)
        columns = columns_of(work, table.stream)
        found[table.stream] = Wanted(
            stream=table.stream,
            since_us=span.since,
            until_us=span.until,
            columns=None if columns is None else tuple(sorted(columns)),
            hot=have.hot or (reads and table.side is not Side.COLD),
            cold=have.cold or (reads and table.side is not Side.HOT),
            latest=have.latest or table.side is Side.LATEST,
            together=all(t.side in (Side.MERGED, Side.LATEST) for t in work.tables if t.stream == table.stream),
        )
    return list(found.values())


def columns_of(work: Work, stream: str) -> frozenset[str] | None:
    """The columns that are used of a stream, with those that its twins are told by; None: all."""
    if stream not in work.columns:
        work.columns[stream] = _columns_of(work, stream)
    return work.columns[stream]


def _columns_of(work: Work, stream: str) -> frozenset[str] | None:
    tables = [t for t in work.tables if t.stream == stream and t.side.is_of_stream]
    if tables and work.needs is None:
        return None
    used = frozenset[str]().union(*(need_of(work, t).columns for t in tables))
    used = used.union(*(v.columns for v in work.snapshot.views.values() if v.stream == stream and v.stream_spans))
    pin = work.snapshot.streams.get(stream)
    if pin is not None and pin.identity is not None and pin.spans:
        used |= frozenset(pin.identity)
    if pin is not None:
        used |= matched(pin.schema, pin.deletions)
    return used


def known_columns(snapshot: Snapshot, tables: Sequence[TableInfo]) -> Snapshot:
    """Without columns that came between the look-up of the names and the pin: the question was planned without them."""
    known = {t.stream: {name.lower() for name, _ in t.columns} for t in tables if t.side.is_of_stream}
    streams: dict[str, StreamPin] = {}
    for key, pin in snapshot.streams.items():
        kept = tuple(c for c in pin.schema.columns if key not in known or c.name.lower() in known[key])
        streams[key] = replace(pin, schema=replace(pin.schema, columns=kept)) if len(kept) < len(pin.schema.columns) else pin
    return replace(snapshot, streams=streams)


def reach_of_pin(pin: StreamPin, span: TimeRange) -> tuple[int, int, int]:
    """The event times [low, high) in which a pin has records within ``span``, and about how many; (0, 0, 0) for none."""
    lows = [f.ts_min for f in pin.files]
    highs = [f.ts_max for f in pin.files]
    for rows in pin.hot:
        times = pc.min_max(rows.data.column("ts").cast(pa.int64()))
        if rows.data.num_rows:
            lows.append(times["min"].as_py())
            highs.append(times["max"].as_py())
    if not lows:
        return 0, 0, 0
    low = max(min(lows), span.since if span.since is not None else min(lows))
    high = min(max(highs) + 1, span.until if span.until is not None else max(highs) + 1)
    return low, max(low, high), pin.hot_rows + sum(f.rows for f in pin.files)


def lost_note(segment: Segment, reason: str) -> str:
    """What an answer lacks when a segment can't be read, with its exact range."""
    span = f"{time_text(segment.ts_min)} to {time_text(segment.ts_max)}"
    where = f"{segment.path} (sequences {segment.first} to {segment.last})"
    return f"stream {segment.stream}: {segment.rows} records from {span} are not in this answer: {where} {reason}"


def explained(work: Work, rows: int) -> Explain:
    """What there is to say about a query; ``rows`` are those of its result so far."""
    records, cold_bytes = to_read(work)
    wanted = {want.stream: want for want in work.wanted}
    return Explain(
        id=work.question.id,
        path=work.question.path,
        streams=tuple(_explained_stream(work, key, pin, wanted) for key, pin in work.snapshot.streams.items()),
        tables=tuple(t.name for t in work.tables if t.side is Side.STATE),
        rows=rows,
        parts=tuple(work.parts),
        notes=tuple(work.notes),
        pruned=work.needs is not None,
        views=tuple(explained_view(pin) for pin in work.snapshot.views.values()),
        stood_in="" if work.stand_in is None else work.stand_in.view,
        not_stood_in=work.not_stood_in,
        records=records,
        heavy=is_heavy(records=records, cold_bytes=cold_bytes),
    )


def check_light(work: Work) -> None:
    """Raises ``QueryHeavy`` for a query that nobody waits for and that belongs into the queue of batch work."""
    if work.question.waiting:
        return
    records, cold_bytes = to_read(work)
    if is_heavy(records=records, cold_bytes=cold_bytes):
        raise QueryHeavy(f"{records:,} records ({cold_bytes:,} bytes of files) are to be read, and nobody waits")


def to_read(work: Work) -> tuple[int, int]:
    """The records that a query has to look at, by its snapshot, and the bytes of files; before filters, and before what ``LIMIT`` saves."""
    pins, views = work.snapshot.streams.values(), [explained_view(pin) for pin in work.snapshot.views.values()]
    records = sum(pin.hot_rows + sum(f.rows for f in pin.files) for pin in pins)
    return records + sum(v.rows for v in views), sum(f.bytes for pin in pins for f in pin.files) + sum(v.bytes for v in views)


def _explained_stream(work: Work, key: str, pin: StreamPin, wanted: Mapping[str, Wanted]) -> StreamExplain:
    """What there is to say about one stream of a query."""
    nowhere = Wanted(stream=key, since_us=NOTHING.since, until_us=NOTHING.until)
    want = wanted.get(key, nowhere)
    span = want.span
    for view in work.snapshot.views.values():
        if view.stream == key and view.stream_spans:
            low, high = hull_of(view.stream_spans)
            span = hull(span, TimeRange(None if low == FIRST else low, None if high == LAST else high))
    columns = columns_of(work, key)
    return StreamExplain(
        stream=pin.schema.stream,
        since_us=span.since,
        until_us=span.until,
        columns=None if columns is None else tuple(sorted(columns)),
        hot_rows=pin.hot_rows,
        hot_bytes=pin.hot_bytes,
        hot_rows_skipped=pin.skipped.hot_rows,
        cold_files=len(pin.files),
        cold_rows=sum(f.rows for f in pin.files),
        cold_bytes=sum(f.bytes for f in pin.files),
        cold_files_skipped=pin.skipped.cold_files,
        cold_rows_skipped=pin.skipped.cold_rows,
        deduplicated_files=merged.deduplicated(pin, work.question.span),
        dirty_spans=len(pin.spans),
        lost_files=len(pin.lost),
        read=pin.route.side,
        rule=pin.route.rule,
    )
