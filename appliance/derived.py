"""What is made of records and has to know when they change: views and their files, and the spans that anything derived has used.

Plain values shared by both paths and by what runs in batch. No I/O. Times are microseconds, spans half-open (``appliance.spans``).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from appliance.spans import FIRST, LAST, Span, common, union, without


@dataclass(frozen=True, slots=True)
class Stale:
    """A span whose stored answer is no longer true."""

    low: int
    high: int
    stamp: int
    """``State.version`` from which on it is so: a snapshot of that version or a later one has seen why."""


@dataclass(frozen=True, slots=True)
class Used:
    """What something derived has used of a stream: everything below ``closed_us``, but for what is stale."""

    id: int
    kind: str
    """``view``, ``report`` or ``model``."""
    name: str
    stream: str
    """Folded name."""
    bucket_us: int
    """The grain: what changes makes whole buckets stale."""
    closed_us: int = FIRST
    """The end of what has been used; the start of a bucket."""
    sealed_us: int = FIRST
    """Below it nothing is ever made anew, because the records are gone; the start of a bucket."""
    late: int = 0
    """Records that have come for what is sealed."""
    stale: tuple[Stale, ...] = ()
    """Sorted, disjoint, above ``sealed_us``."""

    @property
    def needed_us(self) -> int:
        """The earliest event time whose records are still needed: what is not used yet, and what is stale."""
        return min((self.closed_us, *(s.low for s in self.stale)))

    @property
    def dirty(self) -> tuple[Span, ...]:
        """What is stale below ``closed_us``."""
        return common(union((s.low, s.high) for s in self.stale), ((FIRST, self.closed_us),))


class Key(msgspec.Struct, frozen=True):
    """A column of a view that is no aggregate, besides its bucket."""

    column: str
    source: str | None
    """The column of the source that it is; None: an expression."""


class Aggregate(msgspec.Struct, frozen=True):
    """A column of a view that is one aggregate, or an expression with aggregates in it."""

    column: str
    function: str | None
    """Folded name; None: an expression. ``count_star`` is ``count(*)``."""
    argument: str | None
    """The column of the source that it takes; None: none, or an expression."""
    plain: bool
    """Without DISTINCT, FILTER and ORDER BY, over a bare column or ``*``."""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A view's SQL, understood."""

    name: str
    sql: str
    bucket_us: int
    source: str
    """The stream or view that it reads, as the SQL writes it."""
    bucket: str
    """The column ``bucket`` as the SQL writes it."""
    keys: tuple[Key, ...]
    aggregates: tuple[Aggregate, ...]
    columns_read: tuple[str, ...]
    """Columns of the source that it mentions, in any case; some may be none."""
    condition: str | None = None
    """Its WHERE as a parse tree in JSON; None: it takes all records."""
    having: bool = False
    meaning: str = ""
    """A hash of its parse tree: the same SQL with other spaces and comments has the same."""

    @property
    def identity(self) -> Definition:
        """Two definitions with the same identity give the same rows."""
        return msgspec.structs.replace(self, sql="", condition=None)


@dataclass(frozen=True, slots=True)
class ViewFile:
    """Rows of a view whose bucket lies in a span, in a Parquet file; one file may have entries for several spans."""

    id: int
    path: str
    """Relative to the data folder."""
    low: int
    high: int
    rows: int
    """Of the file."""
    bytes: int
    sha256: str
    whole: bool
    """The file holds no row outside of the spans of its entries."""
    seq: int | None = None
    """The highest sequence of the stream that it knows; None: not known. A later one within its span has made its bucket dirty."""


@dataclass(frozen=True, slots=True)
class ViewVersion:
    """What is stored of a view by one definition."""

    id: int
    number: int
    definition: Definition
    chain: tuple[Definition, ...]
    """The views that it is made of, its own source first; the last one reads ``stream``."""
    columns: tuple[tuple[str, str], ...]
    """Name and Arrow type of each column."""
    reads: tuple[tuple[str, str], ...]
    """Folded name and kind of each column of the stream as it was when the SQL was looked at."""
    folder: str
    """Where its files go, relative to the data folder."""
    used: Used
    files: tuple[ViewFile, ...] = ()
    """Sorted, disjoint in their spans."""
    begin_us: int = FIRST
    """It holds nothing before this: the records were gone when it was defined."""
    refreshed_us: int | None = None
    cost_s: float = 0.0
    """What the last refresh took."""

    @property
    def stream(self) -> str:
        return self.used.stream

    @property
    def bytes(self) -> int:
        return sum({f.path: f.bytes for f in self.files}.values())

    def live(self) -> tuple[Span, ...]:
        """Buckets that are answered from the records: what is open and what is dirty."""
        return without(union([*self.used.dirty, (self.used.closed_us, LAST)]), ((FIRST, self.used.sealed_us),))


@dataclass(frozen=True, slots=True)
class View:
    """A view that the config names."""

    name: str
    active: ViewVersion | None = None
    """What answers; None: its SQL has not been understood yet."""
    building: ViewVersion | None = None
    """What will answer once it has caught up: its SQL has changed."""
    reason: str | None = None
    """Why it can't be used, or can't be refreshed; None: all is well."""

    def version(self, number: int) -> ViewVersion | None:
        return next((v for v in (self.active, self.building) if v is not None and v.number == number), None)
