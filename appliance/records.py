"""The values that flow: schema, batch, time range. Arrow from the source to the file.

Within a batch ``ts`` is ``timestamp[us]`` (UTC, no zone), each tag ``dictionary<int32, string>`` and each field one of
``double``, ``int64``, ``bool``, ``string``; a missing value is null. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

import pyarrow as pa

TS_TYPE = pa.timestamp("us")
TAG_TYPE = pa.dictionary(pa.int32(), pa.string())
SEQ_TYPE = pa.int64()
_SMALL_BYTES = 16 * 1024
RESERVED = frozenset({"ts", "_seq"})
"""Column names that the appliance gives itself; compared without regard to case."""


class Kind(StrEnum):
    """What a column holds."""

    TAG = "tag"
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    TEXT = "text"


ARROW_OF: Mapping[Kind, pa.DataType] = {
    Kind.TAG: TAG_TYPE,
    Kind.FLOAT: pa.float64(),
    Kind.INT: pa.int64(),
    Kind.BOOL: pa.bool_(),
    Kind.TEXT: pa.string(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A named column of a stream, besides ``ts`` and ``_seq``."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Schema:
    """The columns of one stream: tags first, then fields, each in the order of arrival. ``version`` rises with each change."""

    stream: str
    columns: tuple[Column, ...]
    version: int = 1

    @cached_property
    def tags(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns if c.kind is Kind.TAG)

    @cached_property
    def fields(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if c.kind is not Kind.TAG)

    @cached_property
    def by_fold(self) -> Mapping[str, Column]:
        """Columns by their folded name: a name that differs only in case is the known one."""
        return {fold(c.name): c for c in self.columns}

    @cached_property
    def arrow(self) -> pa.Schema:
        """``ts``, tags (dictionary), fields: what batches, ring and hot store hold."""
        return pa.schema([pa.field("ts", TS_TYPE), *(pa.field(c.name, ARROW_OF[c.kind]) for c in self.columns)])

    @cached_property
    def plain(self) -> pa.Schema:
        """As ``arrow``, with the tags as plain text: what few rows are packed as, since a dictionary for each costs more than it saves."""
        return pa.schema([pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in self.arrow])

    @cached_property
    def lake(self) -> pa.Schema:
        """``ts``, tags (plain text), fields, ``_seq``: what segments and answers hold."""
        return pa.schema(
            [
                pa.field("ts", TS_TYPE),
                *(pa.field(c.name, pa.string() if c.kind is Kind.TAG else ARROW_OF[c.kind]) for c in self.columns),
                pa.field("_seq", SEQ_TYPE),
            ]
        )


class Origin(Protocol):
    """Where the rows of a batch came from, for the dead letters."""

    def raw(self, row: int) -> bytes:
        """The original bytes of a row, whole enough to be replayed alone in ``format``."""

    def line(self, row: int) -> int:
        """The 1-based line (or element) number within the payload."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one stream as a source gives them; ``data`` has ``ts``, then any tags, then any fields, in the types above.

    ``tags`` names the columns that are tags. A batch has at least one row and each name once (whatever its case).
    """

    stream: str
    tags: tuple[str, ...]
    data: pa.RecordBatch
    origin: Origin | None = None

    @property
    def rows(self) -> int:
        return int(self.data.num_rows)


@dataclass(frozen=True, slots=True)
class Reject:
    """One record that can't be taken, on its way to the dead letters."""

    reason: str
    """One line: what is wrong, with the value."""
    raw: bytes
    """The original bytes, replayable in ``format``."""
    line: int = 0
    """1-based line within its payload; 0 unknown."""
    stream: str | None = None


class Format(StrEnum):
    """The notations that records arrive in."""

    LP = "lp"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far a file has been taken; committed together with the records it covers, so that each is taken exactly once."""

    digest: str
    """SHA-256 of the whole content, hex (of the bytes as they lie on disk)."""
    name: str
    bytes_total: int
    position_next: int
    """Where to go on: opaque to the door, rising; meaning belongs to the reader (a byte offset, a row group, a row)."""
    done: bool
    stream: str = ""
    """The stream that the file goes to; a content is taken once for each stream."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is committed as one: all of it or nothing."""

    source: str
    """Who brought it, e.g. ``http``, ``drop:readings/a.csv``, ``host``."""
    format: Format
    """The notation of the rejects' raw bytes."""
    batches: tuple[Batch, ...] = ()
    rejects: tuple[Reject, ...] = ()
    progress: FileProgress | None = None
    all_or_nothing: bool = False
    """True: a record that the door refuses makes it refuse the whole submission (raises ``RejectPayload``)."""
    replay_of: tuple[int, ...] = ()
    """Ids of the dead letters that these records mend; they are marked as replayed in the same transaction."""
    also: Callable[[Any], None] | None = None
    """Writes what is true with these records and only then, in the same transaction; given the connection to the hot store. It may be
    called again where a transaction has failed."""

    @property
    def rows(self) -> int:
        return sum(b.rows for b in self.batches)

    @property
    def bytes(self) -> int:
        """About what it holds in memory."""
        return sum(_held(b.data) for b in self.batches) + sum(len(r.raw) + 200 for r in self.rejects)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a submission; it exists only after the commit is durable."""

    records: int
    """Taken."""
    rejected: tuple[Reject, ...] = ()
    """Refused (by the source or by the door) and kept as dead letters."""
    sequences: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Stream -> first and last sequence given."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Event time, half-open, in microseconds: ``since`` in, ``until`` out; None is unbounded."""

    since: int | None = None
    until: int | None = None

    def overlaps(self, ts_min: int, ts_max: int) -> bool:
        """Whether a closed span of event times can hold a record of this range."""
        return (self.since is None or ts_max >= self.since) and (self.until is None or ts_min < self.until)

    def intersect(self, other: TimeRange) -> TimeRange:
        return TimeRange(
            since=max((v for v in (self.since, other.since) if v is not None), default=None),
            until=min((v for v in (self.until, other.until) if v is not None), default=None),
        )

    @property
    def empty(self) -> bool:
        return self.since is not None and self.until is not None and self.since >= self.until


EVERYTHING = TimeRange()


def _held(data: pa.RecordBatch) -> int:
    """Bytes of a batch; of a slice of a large one only its share, which takes longer to find out."""
    whole = int(data.get_total_buffer_size())
    return whole if whole <= _SMALL_BYTES else int(data.nbytes)


def fold(name: str) -> str:
    """The key under which names are the same: DuckDB and SQLite fold case, so the appliance does."""
    return name.lower()


def check_name(name: str, *, what: str, bytes_max: int = 1024) -> str | None:
    """None when ``name`` can be a stream's or a column's, else the reason in one line."""
    if not name:
        return f"{what} has an empty name"
    if len(name.encode("utf-8", "surrogatepass")) > bytes_max:
        return f"{what} name is longer than {bytes_max} bytes"
    if any("\ud800" <= c <= "\udfff" for c in name):
        return f"{what} name {name[:40]!r} is not UTF-8"
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        return f"{what} name {name[:40]!r} holds control characters"
    if what != "stream" and fold(name) in RESERVED:
        return f"{what} name {name!r} is the appliance's own"
    return None


def widest(kinds: Iterable[Kind]) -> Kind | None:
    """The kind that can hold all of ``kinds`` (int widens to float), or None when they clash."""
    seen = set(kinds)
    if len(seen) == 1:
        return seen.pop()
    return Kind.FLOAT if seen == {Kind.INT, Kind.FLOAT} else None
