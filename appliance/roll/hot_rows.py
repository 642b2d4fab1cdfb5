"""The hot rows of one stream as one table: from the ring, and from SQLite what the ring has let go.

The picture and the file may be of different instants only in one direction: a roll can have moved rows on meanwhile. So the
mark is compared afterwards, and ``Moved`` says that a newer picture is needed.
"""

from __future__ import annotations

import pyarrow as pa

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
