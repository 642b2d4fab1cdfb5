"""What the writer knows of each stream: the one thing that changes, with one owner, the writer thread.

Everybody else sees ``StreamState``, made from it after each commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from appliance.door.twins import FutureSpan
from appliance.hot.series import I64, U64, LastValues, SeriesTable, series_hashes
from appliance.hot.state import ALL_TAGS, Chunk, StreamState
from appliance.manifest import Deletion, Dirty, Segment
from appliance.records import Schema, fold


@dataclass(slots=True)
class StreamBook:
    """One stream, as of the last commit."""

    id: int
    schema: Schema
    schemas: dict[int, Schema]
    identity: tuple[str, ...] | None
    folder: str
    last: LastValues
    mark: int = 0
    last_seq: int = 0
    last_commit_us: int | None = None
    last_ts_us: int | None = None
    """Newest event time that has come."""
    series: SeriesTable = field(default_factory=SeriesTable.empty)
    """By all tags: for the limit and the last values."""
    places: SeriesTable | None = None
    """By the identity's columns, where that is not all tags: for telling possible twins."""
    saved: SeriesTable = field(default_factory=SeriesTable.empty)
    """Up to which sequence of the stream each series' last record is in the table of last values, since the start."""
    future: FutureSpan | None = None
    segments: tuple[Segment, ...] = ()
    lost: tuple[Segment, ...] = ()
    dirty: dict[int, Dirty] = field(default_factory=dict)
    deletions: tuple[Deletion, ...] = ()
    empty: U64 = field(default_factory=lambda: np.empty(0, np.uint64))
    """Series of which deletions have left no record: they have no last value, and nobody needs to look for one. One that has got a record
    since may still be in it."""

    def settle_empty(self, more: U64 | None = None) -> None:
        """Takes those out of ``empty`` that have a last value again; ``more`` have turned out to hold nothing."""
        both = self.empty if more is None else np.union1d(self.empty, more)
        self.empty = np.setdiff1d(both, self.last.rows()[0])

    def state(self, ring: tuple[Chunk, ...]) -> StreamState:
        """The picture of now."""
        return StreamState(
            id=self.id,
            schema=self.schema,
            schemas=MappingProxyType(dict(self.schemas)),
            identity=self.identity,
            folder=self.folder,
            mark=self.mark,
            last_seq=self.last_seq,
            ring=ring,
            segments=self.segments,
            lost=self.lost,
            dirty=MappingProxyType(dict(self.dirty)),
            deletions=self.deletions,
        )

    def identity_table(self) -> SeriesTable:
        """The table that says how far each identity has come."""
        return self.series if self.places is None else self.places

    def advance(self, hashes: U64, places: U64, reach: I64) -> None:
        """Moves series on, as far as ``reach`` says for each row; ``places`` are the identities of the rows."""
        self.series.advance(hashes, reach)
        if self.places is not None:
            self.places.advance(places, reach)


def identity_tags(identity: tuple[str, ...] | None, schema: Schema) -> tuple[str, ...]:
    """The tags by which records of a stream are told apart; all tags also where there is no identity."""
    if identity is None or identity == ALL_TAGS:
        return schema.tags
    wanted = {fold(c) for c in identity}
    return tuple(t for t in schema.tags if fold(t) in wanted)


def place_hashes(data: pa.RecordBatch, identity: tuple[str, ...] | None, schema: Schema, hashes: U64) -> U64:
    """The identity of each row but for its time; ``hashes`` are those of all tags."""
    if identity is None or identity == ALL_TAGS:
        return hashes
    return series_hashes(data, identity_tags(identity, schema))


def times(data: pa.RecordBatch) -> I64:
    """Event times in microseconds."""
    return np.asarray(data.column(0).view(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
