"""The hot rows of one stream as one table: from the ring, and from SQLite what the ring has let go.

The picture and the file may be of different instants only in one direction: a roll can have moved rows on meanwhile. So the
mark is compared afterwards, and ``Moved`` says that a newer picture is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from appliance.errors import StoreDamaged
from appliance.hot.reader import HotReader
from appliance.hot.series import fit
from appliance.hot.state import Chunk, StreamState
from appliance.records import EVERYTHING, TimeRange

BYTES_MAX = 128 * 1024 * 1024
"""A roll takes no more than this at a time, so that its memory stays bounded when rows are wide."""


class Moved(Exception):
    """A roll has passed; take a newer picture and ask again."""


def hot_chunks(state: StreamState, reader: HotReader, *, span: TimeRange = EVERYTHING) -> list[Chunk]:
    """All chunks above the mark that can hold a record of ``span``, in order of sequence. Raises ``Moved``."""
    stored: list[Chunk] = []
    if state.ring_first > state.mark + 1:
        stored = reader.rows(state, after_seq=state.mark, before_seq=state.ring_first, span=span)
        if reader.mark(state) != state.mark:
            raise Moved
    return [*stored, *state.hot_chunks(span)]


def oldest_run(state: StreamState, reader: HotReader, *, until: int) -> tuple[int, pa.Table]:
    """The oldest run without a gap: its first sequence, and its rows as of ``oldest_rows``. A gap that nothing fills is passed over.

    Raises ``StoreDamaged`` where the ring has what the hot store lacks (so that it is put right before it is rolled), where the store has
    records twice, or has none of those above the mark.
    """
    first, last = _oldest_span(state, reader.batch_spans(state))
    return first, oldest_rows(replace(state, mark=first - 1), reader, until=min(until, last))


def _oldest_span(state: StreamState, spans: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    first, expected = 0, state.mark + 1
    for low, high, _ in spans:
        if high < expected:
            continue
        if low > expected:
            if first:
                break
            if state.ring_first <= expected:
                raise _damaged(state, expected, low - 1, "are in memory and not in the hot store")
            expected = low
        elif low < expected and first:
            raise _damaged(state, low, min(high, expected - 1), "are in the hot store twice")
        first, expected = first or expected, high + 1
    if not first:
        raise _damaged(state, expected, state.last_seq, "are missing in the hot store")
    return first, expected - 1


def _damaged(state: StreamState, first: int, last: int, what: str) -> StoreDamaged:
    said = f"the records {first} to {last} of stream {state.name!r} {what}"
    return StoreDamaged(said, path=Path("hot.sqlite"), hint="run: appliance reconcile --repair")


def oldest_rows(state: StreamState, reader: HotReader, *, until: int) -> pa.Table:
    """Rows from the mark on, up to ``until`` or until there are many bytes, in the newest schema. At least one batch."""
    before = min(state.ring_first, until + 1)
    picked: list[pa.RecordBatch] = []
    size = 0
    if before > state.mark + 1:
        for chunk in reader.iterate(state, after_seq=state.mark, before_seq=before):
            picked.append(fit(chunk.data, state.schema))
            size += chunk.nbytes
            if size >= BYTES_MAX:
                return pa.Table.from_batches(picked)
    for chunk in state.hot_chunks():
        if chunk.first > until:
            break
        picked.append(fit(chunk.data.slice(0, until + 1 - chunk.first), state.schema))
        size += chunk.nbytes
        if size >= BYTES_MAX:
            break
    return pa.Table.from_batches(picked)
