"""What a query sees of the box: the names that it may read, and one pinned picture of the streams that it reads.

``SnapshotProvider`` is the only way from the SQL side to the data: the worker process asks the service through it, the
command line without a service asks the folder. Values here are immutable; pinning is done once a query, for all its streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import msgspec
import pyarrow as pa

from appliance.manifest import Deletion, Segment
from appliance.records import Kind, Schema, TimeRange, fold
from appliance.serving.routing import MERGED, Route
from appliance.serving.view_pins import ViewPin
from appliance.spans import Span as TimeSpan

SQL_TYPE: Final[Mapping[Kind, str]] = {
    Kind.TAG: "VARCHAR",
    Kind.TEXT: "VARCHAR",
    Kind.FLOAT: "DOUBLE",
    Kind.INT: "BIGINT",
    Kind.BOOL: "BOOLEAN",
}


class Side(StrEnum):
    """Which rows of a stream a table shows."""

    MERGED = "merged"
    HOT = "hot"
    COLD = "cold"
    LATEST = "latest"
    STATE = "state"
    """No stream: one of the appliance's own tables."""
    VIEW = "view"
    """No stream: what batch keeps ready, with what it can't know yet."""
    FILE = "file"
    """No stream: a table that a job has made, one Parquet file."""

    @property
    def is_of_stream(self) -> bool:
        """Whether its rows are records."""
        return self not in (Side.STATE, Side.FILE, Side.VIEW)


class ViewInfo(msgspec.Struct, frozen=True):
    """What a view's columns follow from."""

    version: int
    bucket: str
    """Its column of times."""
    width_us: int
    chain: tuple[tuple[str, str], ...]
    """The source as the SQL writes it, and the SQL: of the view, then of each view below it."""
    base: tuple[tuple[str, str], ...]
    """The columns of the stream below them all."""


class Offer(msgspec.Struct, frozen=True):
    """A view straight over a stream, that may stand in for its records."""

    name: str
    key: str
    """Folded."""
    view: ViewInfo
    rows: int
    """Of its files."""


class Behind(msgspec.Struct, frozen=True):
    """What there is of a stream, and the views that may stand in for it."""

    rows: int
    low_us: int
    """Event times of the records, about."""
    high_us: int
    views: tuple[Offer, ...]


class TableInfo(msgspec.Struct, frozen=True):
    """What a name in SQL stands for."""

    name: str
    """As the appliance writes it; SQL may write it in any case."""
    side: Side
    stream: str
    """Folded name of the stream; for ``STATE`` and ``FILE`` that of the table."""
    columns: tuple[tuple[str, str], ...]
    """Name and SQL type of each column, in order; of a view empty until DuckDB has been asked."""
    view: ViewInfo | None = None
    """Of a view."""
    behind: Behind | None = None
    """Of a stream with views."""

    @property
    def time_index(self) -> int:
        """The place of the column of times."""
        name = "ts" if self.view is None else self.view.bucket
        return next((i for i, (column, _) in enumerate(self.columns) if column == name), 0)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a query needs of one stream."""

    stream: str
    """Folded name."""
    since_us: int | None = None
    until_us: int | None = None
    columns: tuple[str, ...] | None = None
    """Columns that the query uses, besides ``_seq``; None: all. Only hot rows are cut down to them."""
    hot: bool = True
    cold: bool = True
    latest: bool = False
    together: bool = False
    """Only both sides together are shown: rows of segments may come from the ring."""
    spans: tuple[TimeSpan, ...] = ()
    """Half-open spans within since and until outside of which nothing is needed; none: all of it is."""

    @property
    def span(self) -> TimeRange:
        return TimeRange(self.since_us, self.until_us)


class WantedView(msgspec.Struct, frozen=True, kw_only=True):
    """What a query needs of one view."""

    view: str
    """Folded name."""
    version: int
    since_us: int | None = None
    """Of its buckets' starts, included."""
    until_us: int | None = None
    of_records: bool = False
    """The bounds are event times of records: of buckets that they cut only these count, and of sealed ones what records there are."""


@dataclass(frozen=True, slots=True)
class HotRows:
    """Hot rows with contiguous sequences from ``first`` on, in columns of one version of the schema."""

    first: int
    data: pa.RecordBatch
    bytes: int
    """Of ``data``; known, because counting them takes longer than handing them on."""


@dataclass(frozen=True, slots=True)
class Span:
    """Event times that can hold twins; closed, microseconds."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was left out because it can't matter."""

    hot_rows: int = 0
    cold_files: int = 0
    cold_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPin:
    """One stream at the instant of the snapshot, cut down to what was wanted."""

    schema: Schema
    """The newest version."""
    versions: Mapping[int, Schema]
    """The versions that ``files`` were written with."""
    identity: tuple[str, ...] | None
    """Columns that make records the same one, ``ts`` last; None: never the same."""
    hot: tuple[HotRows, ...] = ()
    files: tuple[Segment, ...] = ()
    spans: tuple[Span, ...] = ()
    """Dirty spans that touch the range wanted, in order, not overlapping."""
    lost: tuple[Segment, ...] = ()
    """Segments of the range that can't be read."""
    deletions: tuple[Deletion, ...] = ()
    """Whose records are not to be seen, as far as they touch the range."""
    skipped: Skipped = Skipped()
    latest: pa.Table | None = None
    """One row a series (``Schema.lake``) when it was wanted."""
    route: Route = MERGED

    @property
    def hot_rows(self) -> int:
        return sum(h.data.num_rows for h in self.hot)

    @property
    def hot_bytes(self) -> int:
        return sum(h.bytes for h in self.hot)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a query sees."""

    streams: Mapping[str, StreamPin] = field(default_factory=dict)
    """By folded name."""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """The appliance's own tables by name."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Tables that jobs have made: folded name -> Parquet file, relative to the data folder."""
    views: Mapping[tuple[str, int], ViewPin] = field(default_factory=dict)
    """By folded name and version."""
    kept: Mapping[tuple[str, int], pa.Table] = field(default_factory=dict)
    """Rows of those ``views`` that are parts of earlier answers."""

    @property
    def paths(self) -> frozenset[str]:
        """Every file that it reads, relative to the data folder."""
        segments = (f.path for pin in self.streams.values() for f in pin.files)
        return frozenset((*segments, *self.files.values(), *(path for pin in self.views.values() for path in pin.paths)))


class SnapshotProvider(Protocol):
    """Where names and rows come from. Called by one thread at a time; may block."""

    def lookup(self, names: Sequence[str]) -> Sequence[TableInfo]:
        """What each name stands for, in order. Raises ``QueryRefused`` for an unknown one, naming the nearest."""

    def pin(self, wanted: Sequence[Wanted], tables: Sequence[str], views: Sequence[WantedView] = ()) -> Snapshot:
        """One picture of one instant. Raises ``QueryRefused`` when the hot rows are more than may be handed over."""

    def damaged(self, segment: Segment, reason: str) -> None:
        """Takes note of a live segment that turned out to be missing or unreadable; the query goes on without it."""

    def damaged_view(self, path: str) -> None:
        """Takes note of a view's file that turned out to be missing or unreadable: the next pin computes what it held."""


def columns_of(schema: Schema) -> tuple[tuple[str, str], ...]:
    """A stream's columns in SQL."""
    return (("ts", "TIMESTAMP"), *((c.name, SQL_TYPE[c.kind]) for c in schema.columns), ("_seq", "BIGINT"))


def matched(schema: Schema, deletions: Iterable[Deletion]) -> set[str]:
    """The columns that deletions look at, as the schema names them."""
    return {schema.by_fold[fold(name)].name for d in deletions for name in d.matching if fold(name) in schema.by_fold}


def hull(a: TimeRange, b: TimeRange) -> TimeRange:
    """The smallest range that holds both; an empty one adds nothing."""
    if a.empty or b.empty:
        return b if a.empty else a
    return TimeRange(
        None if a.since is None or b.since is None else min(a.since, b.since),
        None if a.until is None or b.until is None else max(a.until, b.until),
    )


NOTHING: Final = TimeRange(0, 0)
"""The empty range: neutral to ``hull``."""
assert NOTHING.empty
