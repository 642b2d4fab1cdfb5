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


class TableInfo(msgspec.Struct, frozen=True):
    """What a name in SQL stands for."""

    name: str
    """As the appliance writes it; SQL may write it in any case."""
    side: Side
    stream: str
    """Folded name of the stream; for ``STATE`` the name of the table."""
    columns: tuple[tuple[str, str], ...]
    """Name and SQL type of each column, in order."""


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

    @property
    def span(self) -> TimeRange:
        return TimeRange(self.since_us, self.until_us)


@dataclass(frozen=True, slots=True)
class HotRows:
    """Hot rows with contiguous sequences from ``first`` on, in columns of one version of the schema."""

    first: int
    data: pa.RecordBatch


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

    @property
    def hot_rows(self) -> int:
        return sum(h.data.num_rows for h in self.hot)

    @property
    def hot_bytes(self) -> int:
        return sum(h.data.nbytes for h in self.hot)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a query sees."""

    streams: Mapping[str, StreamPin] = field(default_factory=dict)
    """By folded name."""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """The appliance's own tables by name."""


class SnapshotProvider(Protocol):
    """Where names and rows come from. Called by one thread at a time; may block."""

    def lookup(self, names: Sequence[str]) -> Sequence[TableInfo]:
        """What each name stands for, in order. Raises ``QueryRefused`` for an unknown one, naming the nearest."""

    def pin(self, wanted: Sequence[Wanted], tables: Sequence[str]) -> Snapshot:
        """One picture of one instant. Raises ``QueryRefused`` when the hot rows are more than may be handed over."""

    def damaged(self, segment: Segment, reason: str) -> None:
        """Takes note of a live segment that turned out to be missing or unreadable; the query goes on without it."""


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
