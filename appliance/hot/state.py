"""The picture that readers pin: immutable, swapped whole by the writer after each commit.

Whoever holds a ``State`` holds a consistent view of every stream: hot rows are those with a sequence above the mark (in the
ring, the rest in SQLite), cold rows are all rows of the live segments. Nothing in it changes afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pyarrow as pa

from appliance.derived import Used, View
from appliance.manifest import Deletion, Dirty, Segment
from appliance.records import EVERYTHING, Schema, TimeRange, fold

ALL_TAGS = ("*",)
"""The identity "all tags and ts", whatever tags the stream has."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Committed rows with the contiguous sequences ``first`` to ``last``, in the columns of some version of the schema."""

    first: int
    last: int
    data: pa.RecordBatch
    """``Schema.arrow`` of ``schema_version``; row i has sequence ``first + i``."""
    ts_min: int
    ts_max: int
    nbytes: int
    schema_version: int

    @property
    def rows(self) -> int:
        return self.last - self.first + 1

    def after(self, seq: int) -> Chunk:
        """The rows above ``seq``; the time span stays that of the whole (it only ever skips). At least one row is above."""
        if seq < self.first:
            return self
        assert seq < self.last
        return Chunk(seq + 1, self.last, self.data.slice(seq + 1 - self.first), self.ts_min, self.ts_max, self.nbytes, self.schema_version)


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream at one instant."""

    id: int
    schema: Schema
    """The newest version."""
    schemas: Mapping[int, Schema]
    """Every version by number."""
    identity: tuple[str, ...] | None
    """Columns (``ts`` among them) that make two records the same one; ``ALL_TAGS`` for all tags and ts; None: never the same."""
    folder: str
    """Encoded name, used for files and tables."""
    mark: int
    """Highest sequence that is in the lake; 0 before the first roll."""
    last_seq: int
    ring: tuple[Chunk, ...] = ()
    """Newest rows, oldest chunk first, contiguous up to ``last_seq``; may reach below the mark."""
    segments: tuple[Segment, ...] = ()
    """Live ones."""
    lost: tuple[Segment, ...] = ()
    """Missing or damaged, set aside."""
    dirty: Mapping[int, Dirty] = field(default_factory=lambda: MappingProxyType({}))
    deletions: tuple[Deletion, ...] = ()
    """Those whose records may still be in a file or hot, by id; whoever shows rows leaves theirs out."""

    @property
    def name(self) -> str:
        return self.schema.stream

    @property
    def ring_first(self) -> int:
        """Lowest sequence that the ring holds; ``last_seq + 1`` when it holds none."""
        return self.ring[0].first if self.ring else self.last_seq + 1

    @property
    def hot_rows(self) -> int:
        return self.last_seq - self.mark

    @property
    def cold_rows(self) -> int:
        return sum(s.rows for s in self.segments)

    def hot_chunks(self, span: TimeRange = EVERYTHING) -> list[Chunk]:
        """Chunks of the ring above the mark that can hold a record of ``span``; what lies below ``ring_first`` is in SQLite."""
        return self.ring_chunks(after=self.mark, span=span)

    def ring_chunks(self, *, after: int, span: TimeRange = EVERYTHING) -> list[Chunk]:
        """Chunks of the ring above the sequence ``after`` that can hold a record of ``span``."""
        return [c.after(after) for c in self.ring if c.last > after and span.overlaps(c.ts_min, c.ts_max)]

    def identity_columns(self) -> tuple[str, ...] | None:
        """The tags of the identity as the schema names them, ``ts`` last; None: records of this stream are never the same.

        ``ALL_TAGS`` is written out; a tag that no record has had yet is not there.
        """
        if self.identity is None:
            return None
        if self.identity == ALL_TAGS:
            return (*self.schema.tags, "ts")
        wanted = {fold(c) for c in self.identity}
        return (*(t for t in self.schema.tags if fold(t) in wanted), "ts")


@dataclass(frozen=True, slots=True)
class State:
    """All streams at one instant."""

    streams: Mapping[str, StreamState]
    """By folded name."""
    version: int = 0
    """Rises with each commit."""
    views: Mapping[str, View] = field(default_factory=lambda: MappingProxyType({}))
    """By folded name."""
    used: Mapping[int, Used] = field(default_factory=lambda: MappingProxyType({}))
    """What derived things have used, by id."""

    def get(self, name: str) -> StreamState | None:
        return self.streams.get(fold(name))
