"""Where records of one stream lie, each searched in its own way: segments, hot rows, and spans in which records may have twins.

A source gives the records that count, in pieces of bounded memory, and the few whole records that are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from appliance.cold.picking import Picker, picking
from appliance.hiding import hidden_rows
from appliance.hot.state import Chunk
from appliance.hybrid.search.language import Query
from appliance.hybrid.search.matching import masks_of
from appliance.hybrid.search.sought import Matched, Sought, counting, scores_of, texts_of, ts_of
from appliance.hybrid.search.words import I64, U8, Mask
from appliance.manifest import Segment
from appliance.records import Kind, TimeRange

PIECE_BYTES: Final = 4 << 20
PIECE_ROWS: Final = 20_000
SLICE_ROWS: Final = 500_000
"""Records with possible twins that are told apart at once."""


class Source(Protocol):
    """A part of a stream."""

    @property
    def span(self) -> tuple[int, int]:
        """Closed event times that its records lie in."""
        ...

    def matches(self, sought: Sought) -> Iterator[Matched]:
        """The records that count, in pieces, in any order."""
        ...

    def count(self, sought: Sought) -> int | None:
        """How many records count, where that is known without looking at each; None: it isn't."""
        ...

    def is_counted(self, sought: Sought) -> bool:
        """Whether ``count`` knows, which it is not asked for."""
        ...

    def rows(self, places: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Whole records by their numbers; columns that are not there are left out."""
        ...


class Indexed(Protocol):
    """What an index says of a segment."""

    def scores(self, query: Query) -> list[tuple[int, U8, Mask | None]]:
        """For runs of rows the number of the first, of each row how many wanted words it has (0: it doesn't fit), and in which rows phrases
        have to be looked up. Raises ``Broken``."""
        ...

    def count(self, query: Query) -> int:
        """How many rows fit, but for phrases that have to be looked up. Raises ``Broken``."""
        ...


@dataclass(frozen=True, slots=True)
class InSegment:
    """The records of one file of the lake."""

    root: Path
    segment: Segment
    index: Indexed | None = None
    """None: its texts are read."""

    @property
    def span(self) -> tuple[int, int]:
        return self.segment.ts_min, self.segment.ts_max

    def matches(self, sought: Sought) -> Iterator[Matched]:
        """See ``Source``."""
        runs = None if self.index is None else self.index.scores(sought.query)
        if runs == []:
            return
        with picking(self.root / self.segment.path) as picker:
            if runs is None:
                yield from _scanned(picker, sought)
                return
            for first, scores, doubtful in runs:
                yield from _picked(picker, sought, first, scores, doubtful)

    def is_counted(self, sought: Sought) -> bool:
        """See ``Source``."""
        return self.index is not None and sought.is_open and all(len(leaf.words) == 1 for leaf in sought.query.leaves)

    def count(self, sought: Sought) -> int | None:
        """See ``Source``."""
        if self.index is None or not self.is_counted(sought):
            return None
        return self.index.count(sought.query)

    def rows(self, places: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """See ``Source``."""
        found: dict[int, dict[str, Any]] = {}
        with picking(self.root / self.segment.path) as picker:
            groups = np.searchsorted(picker.starts, np.asarray(places, np.int64), side="right") - 1
            for group in sorted(set(groups.tolist())):
                mine = [p for p, g in zip(places, groups.tolist(), strict=True) if g == group]
                table = picker.group(group, columns)
                at = pa.array([p - int(picker.starts[group]) for p in mine], pa.int64())
                found.update(zip(mine, table.take(at).to_pylist(), strict=True))
        return [found[p] for p in places]


def _scanned(picker: Picker, sought: Sought) -> Iterator[Matched]:
    wanted = sought.columns | set(sought.fields)
    for first, batch in picker.batches(picker.groups_within(sought.span), wanted, bytes_max=PIECE_BYTES, rows_max=PIECE_ROWS):
        found = looked(batch, sought, first=first)
        if found is not None:
            yield found


def looked(data: Any, sought: Sought, *, first: int, seqs: I64 | None = None) -> Matched | None:
    """Of rows with their texts those that count; ``first`` is the number of the first, ``seqs`` those of a column ``_seq`` unless given."""
    ts = ts_of(data)
    seqs = np.asarray(data.column("_seq").to_numpy(), np.int64) if seqs is None else seqs
    kept = np.flatnonzero(counting(data, sought, ts=ts, seqs=seqs))
    if not len(kept):
        return None
    texts = texts_of(data, sought.fields)
    if len(kept) < len(ts):
        texts = [column.take(pa.array(kept)) for column in texts]
    scores = scores_of(sought.query, masks_of(sought.query.leaves, texts))
    fits = np.flatnonzero(scores)
    at = kept[fits]
    return Matched(at + first, ts[at], seqs[at], scores[fits]) if len(at) else None


def _picked(picker: Picker, sought: Sought, first: int, scores: U8, doubtful: Mask | None) -> Iterator[Matched]:
    """Of the rows that fit by the index those that count."""
    places = np.flatnonzero(scores)
    groups = np.searchsorted(picker.starts, places + first, side="right") - 1
    for group in np.unique(groups).tolist():
        of = picker.spans[group]
        if of is not None and not sought.span.overlaps(*of):
            continue
        mine = places[groups == group]
        is_doubtful = doubtful is not None and bool(doubtful[mine].any())
        wanted = sought.columns | set(sought.fields) if is_doubtful else sought.columns
        table = picker.group(group, wanted).take(pa.array(mine + first - int(picker.starts[group])))
        if is_doubtful:
            found = looked(table, sought, first=0)
            if found is not None:
                yield Matched(mine[found.places] + first, found.ts, found.seqs, found.scores)
            continue
        ts, seqs = ts_of(table), np.asarray(table.column("_seq").to_numpy(), np.int64)
        kept = counting(table, sought, ts=ts, seqs=seqs)
        if kept.any():
            yield Matched(mine[kept] + first, ts[kept], seqs[kept], scores[mine[kept]].astype(np.int64))


@dataclass(frozen=True, slots=True)
class InMemory:
    """Hot records with contiguous sequences; a record's number is its sequence."""

    chunk: Chunk
    only: I64 | None = None
    """The sequences of those that can fit; None: any."""
    is_exact: bool = False
    """Whether these do fit by their words."""

    @property
    def span(self) -> tuple[int, int]:
        return self.chunk.ts_min, self.chunk.ts_max

    def matches(self, sought: Sought) -> Iterator[Matched]:
        """See ``Source``."""
        data, first = self.chunk.data, self.chunk.first
        if self.only is not None:
            taken = looked(data.take(pa.array(self.only - first)), sought, first=0, seqs=self.only)
            if taken is not None:
                yield Matched(taken.seqs, taken.ts, taken.seqs, taken.scores)
            return
        step = _piece_rows(data)
        for at in range(0, data.num_rows, step):
            piece = data.slice(at, step)
            seqs = np.arange(first + at, first + at + piece.num_rows, dtype=np.int64)
            found = looked(piece, sought, first=first + at, seqs=seqs)
            if found is not None:
                yield found

    def is_counted(self, sought: Sought) -> bool:
        """See ``Source``."""
        return self.only is not None and self.is_exact and sought.is_open

    def count(self, sought: Sought) -> int | None:
        """See ``Source``."""
        return len(self.only) if self.only is not None and self.is_counted(sought) else None

    def rows(self, places: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """See ``Source``."""
        names = [n for n in self.chunk.data.schema.names if n in set(columns)]
        taken = self.chunk.data.select(names).take(pa.array([p - self.chunk.first for p in places], pa.int64()))
        return [{**row, "_seq": p} for row, p in zip(taken.to_pylist(), places, strict=True)]


def _piece_rows(data: pa.RecordBatch) -> int:
    return max(1, min(PIECE_ROWS, int(PIECE_BYTES * data.num_rows // max(1, data.nbytes))))


@dataclass(frozen=True, slots=True)
class Apart:
    """The records of a span in which one may lie twice, on whichever side: of each the newest value of each column that is not null."""

    root: Path
    low: int
    high: int
    segments: tuple[Segment, ...]
    chunks: tuple[Chunk, ...]
    identity: tuple[str, ...]
    """Columns, ``ts`` last."""
    _kept: list[pa.Table] = field(default_factory=list, compare=False)

    @property
    def span(self) -> tuple[int, int]:
        return self.low, self.high

    def matches(self, sought: Sought) -> Iterator[Matched]:
        """See ``Source``. A record's number is its place in what this source has kept of those that count."""
        kept = 0
        for since, until in self._slices():
            whole = self._once(sought, since, until)
            found = looked(whole, replace(sought, apart=(), deletions=()), first=0)
            if found is not None:
                self._kept.append(whole.take(pa.array(found.places)))
                places = np.arange(kept, kept + len(found.places), dtype=np.int64)
                kept += len(places)
                yield Matched(places, found.ts, found.seqs, found.scores)

    def is_counted(self, sought: Sought) -> bool:  # noqa: ARG002 - as the protocol has it
        """See ``Source``."""
        return False

    def count(self, sought: Sought) -> int | None:  # noqa: ARG002 - as the protocol has it
        """See ``Source``."""
        return None

    def rows(self, places: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
        """See ``Source``."""
        whole = pa.concat_tables(self._kept)
        return [dict(row) for row in whole.select([n for n in whole.schema.names if n in set(columns)]).take(pa.array(places)).to_pylist()]

    def _slices(self) -> Iterator[tuple[int, int]]:
        """Half-open times that cover the span."""
        rows = sum(s.rows for s in self.segments) + sum(c.rows for c in self.chunks)
        step = max(1, -(-(self.high + 1 - self.low) // max(1, -(-rows // SLICE_ROWS))))
        for since in range(self.low, self.high + 1, step):
            yield since, min(since + step, self.high + 1)

    def _once(self, sought: Sought, since: int, until: int) -> pa.Table:
        """The records of a time, each once: tags and texts of what was sent for it last."""
        names = ["ts", *(c.name for c in sought.schema.columns if c.kind in (Kind.TAG, Kind.TEXT)), "_seq"]
        target = pa.schema([pa.field(n, sought.schema.lake.field(n).type) for n in names])
        parts = [_visible(data, target, sought, since, until) for data in self._read(names, TimeRange(since, until))]
        short = {n: f"c{i}" for i, n in enumerate(names)}
        whole = pa.concat_tables([target.empty_table(), *parts]).sort_by("_seq").rename_columns([short[n] for n in names])
        keys = [short[n] for n in names if n in self.identity]
        others = [short[n] for n in names if n not in self.identity]
        grouped = whole.group_by(keys, use_threads=False).aggregate([(n, "last") for n in others])
        columns = [grouped.column(short[n] if n in self.identity else f"{short[n]}_last") for n in names]
        return pa.Table.from_arrays(columns, schema=target)

    def _read(self, names: Sequence[str], span: TimeRange) -> Iterator[Any]:
        for segment in self.segments:
            if not span.overlaps(segment.ts_min, segment.ts_max):
                continue
            with picking(self.root / segment.path) as picker:
                for _, batch in picker.batches(picker.groups_within(span), names, bytes_max=PIECE_BYTES, rows_max=PIECE_ROWS):
                    yield batch
        for chunk in self.chunks:
            if span.overlaps(chunk.ts_min, chunk.ts_max):
                seqs = pa.array(np.arange(chunk.first, chunk.last + 1, dtype=np.int64))
                data = chunk.data.select([n for n in chunk.data.schema.names if n in names])
                yield pa.RecordBatch.from_arrays([*data.columns, seqs], names=[*data.schema.names, "_seq"])


def _visible(data: Any, target: pa.Schema, sought: Sought, since: int, until: int) -> pa.Table:
    """What is not deleted and from ``since`` to before ``until``, in the columns of ``target``."""
    ts, seqs = ts_of(data), np.asarray(data.column("_seq").to_numpy(), np.int64)
    kept = (ts >= since) & (ts < until)
    hidden = hidden_rows(data, seqs, sought.deletions) if len(ts) else None
    if hidden is not None:
        kept &= ~hidden
    picked = data.filter(pa.array(kept))
    columns = [picked.column(f.name).cast(f.type) if f.name in picked.schema.names else pa.nulls(picked.num_rows, f.type) for f in target]
    return pa.Table.from_arrays(columns, schema=target)
