"""The records of one stream out of lake, hot store and ring, as the stream processor takes them: whole batches with sequences.

For windows that are rebuilt after a start, for late records, for places that the ring has left behind, and for rehearsals. It reads
files and ``hot.sqlite`` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from appliance.cold.segments import read_rows
from appliance.errors import RetryLater, StoreDamaged
from appliance.hiding import hidden_rows
from appliance.hot.reader import HotReader
from appliance.hot.state import Chunk, State, StreamState
from appliance.hot.stream.repeats import joined
from appliance.hot.stream.values import I64, Mask, Rows
from appliance.manifest import Segment
from appliance.records import ARROW_OF, EVERYTHING, Kind, TimeRange
from appliance.roll.hot_rows import Moved, hot_chunks
from appliance.serving.snapshot import matched

ATTEMPTS_MAX: Final = 20
BATCH_ROWS: Final = 131_072
SORTED_ROWS_MAX: Final = 4_000_000
"""Rows that are brought into the order of their sequences at once. Compacted days overlap where records came late; were there more of
them than this, those late records would come out of order, which costs what reads them time and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Reads the past of the streams of one data folder; safe from any thread."""

    root: Path
    """The data folder."""
    state: Callable[[], State]
    """The newest published picture."""
    reader: Callable[[], AbstractContextManager[HotReader]]
    """A look at the hot store, of one instant."""
    damaged: Callable[[Segment, str], None]
    """Told of a segment that can't be read; its records are left out."""

    def rows(
        self,
        stream: str,
        *,
        after_seq: int = 0,
        up_to_seq: int | None = None,
        span: TimeRange = EVERYTHING,
        columns: Collection[str] | None = None,
    ) -> Iterator[Rows]:
        """The records of a stream with ``after_seq < _seq <= up_to_seq`` in ``span``, in the order of their sequences.

        ``ts`` and ``columns`` (None: all), tags as dictionaries. Records that are the same one come as often as they were sent; see
        ``hot.stream.repeats``. Nothing for a stream that is not there. Raises ``RetryLater`` when rolls keep coming in between.
        """
        for _attempt in range(ATTEMPTS_MAX):
            state = self.state().get(stream)
            if state is None:
                return
            last = state.last_seq if up_to_seq is None else min(up_to_seq, state.last_seq)
            try:
                hot = self._hot(state, span) if last > state.mark else []
            except Moved:
                continue
            yield from self._cold(state, after_seq=after_seq, last=last, span=span, columns=columns)
            for chunk in hot:
                seqs = _numbered(chunk)
                rows = _cut(_picked(chunk.data, columns), seqs, _hidden(chunk.data, seqs, state), after_seq=after_seq, last=last, span=span)
                if rows is not None:
                    yield rows
            return
        raise RetryLater(f"the stream {stream!r} is rolled all the time; try again")

    def _hot(self, state: StreamState, span: TimeRange) -> list[Chunk]:
        if state.ring_first <= state.mark + 1:
            return state.hot_chunks(span)
        with self.reader() as reader:
            return hot_chunks(state, reader, span=span)

    def _cold(self, state: StreamState, *, after_seq: int, last: int, span: TimeRange, columns: Collection[str] | None) -> Iterator[Rows]:
        """The rows of the lake. Segments whose sequences overlap are sorted together, so that none is out of order."""
        wanted = [s for s in state.segments if s.last > after_seq and s.first <= last and span.overlaps(s.ts_min, s.ts_max)]
        for group in _overlapping(sorted(wanted, key=lambda s: s.first)):
            parts = [rows for segment in group for rows in self._segment(state, segment, after_seq, last, span, columns)]
            if parts:
                yield from _sorted(parts)

    def _segment(
        self, state: StreamState, segment: Segment, after_seq: int, last: int, span: TimeRange, columns: Collection[str] | None
    ) -> Iterator[Rows]:
        tags = state.schemas[segment.schema_version].tags
        names = None if columns is None else {"ts", "_seq", *columns, *matched(state.schemas[segment.schema_version], state.deletions)}
        try:
            for batch in read_rows(self.root / segment.path, tags=tags, columns=names, rows=BATCH_ROWS, span=span):
                seqs = np.asarray(batch.column("_seq").to_numpy(), dtype=np.int64)
                data = _typed(_picked(batch.drop_columns(["_seq"]), columns), state)
                rows = _cut(data, seqs, _hidden(batch, seqs, state), after_seq=after_seq, last=last, span=span)
                if rows is not None:
                    yield rows
        except StoreDamaged as e:
            self.damaged(segment, str(e))


def _numbered(chunk: Chunk) -> I64:
    return np.arange(chunk.first, chunk.last + 1, dtype=np.int64)


def _picked(data: pa.RecordBatch, columns: Collection[str] | None) -> pa.RecordBatch:
    return data if columns is None else data.select([n for n in data.schema.names if n == "ts" or n in columns])


def _typed(data: pa.RecordBatch, state: StreamState) -> pa.RecordBatch:
    """Rows of a file in the types that rows have in memory."""
    kinds = {c.name: c.kind for c in state.schema.columns}
    arrays: list[Any] = []
    for name, column in zip(data.schema.names, data.columns, strict=True):
        wanted = ARROW_OF[kinds.get(name, Kind.TEXT)] if name != "ts" else data.schema.field("ts").type
        arrays.append(column if column.type == wanted else column.cast(wanted))
    return pa.RecordBatch.from_arrays(arrays, names=data.schema.names)


def _hidden(data: pa.RecordBatch, seqs: I64, state: StreamState) -> Mask | None:
    return hidden_rows(data, seqs, state.deletions)


def _cut(data: pa.RecordBatch, seqs: I64, hidden: Mask | None, *, after_seq: int, last: int, span: TimeRange) -> Rows | None:
    rows = Rows(data, seqs)
    kept: Mask = (seqs > after_seq) & (seqs <= last)
    if span.since is not None or span.until is not None:
        ts = rows.ts
        if span.since is not None:
            kept &= ts >= span.since
        if span.until is not None:
            kept &= ts < span.until
    if hidden is not None:
        kept &= ~hidden
    if kept.all():
        return rows if len(rows) else None
    if not kept.any():
        return None
    return Rows(data.filter(pa.array(kept)), seqs[kept])


def _overlapping(segments: list[Segment]) -> Iterator[list[Segment]]:
    """Runs of segments, by rising first sequence, that overlap in their sequences; cut where more rows would have to be sorted at once."""
    group: list[Segment] = []
    highest, rows = -1, 0
    for segment in segments:
        if group and (segment.first > highest or rows + segment.rows > SORTED_ROWS_MAX):
            yield group
            group, rows = [], 0
        group.append(segment)
        highest, rows = max(highest, segment.last), rows + segment.rows
    if group:
        yield group


def _sorted(parts: list[Rows]) -> Iterator[Rows]:
    """The rows of all parts by rising sequence, in pieces."""
    whole = joined(parts)
    order = np.argsort(whole.seqs, kind="stable")
    if not (order[1:] > order[:-1]).all():
        whole = Rows(whole.data.take(pa.array(order)), whole.seqs[order])
    for first in range(0, len(whole), BATCH_ROWS):
        yield Rows(whole.data.slice(first, BATCH_ROWS), whole.seqs[first : first + BATCH_ROWS])
