"""What is left of rows when those are taken out that deletions hide; for the forms that rows have in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from appliance.hiding import hidden_rows
from appliance.hot.latest_table import GONE
from appliance.hot.series import Rows
from appliance.hot.state import Chunk
from appliance.manifest import Deletion


def shown(rows: Rows, deletions: Iterable[Deletion]) -> Rows:
    """Series, sequences and records without those that are hidden or ``GONE``."""
    hashes, seqs, data = rows
    kept = seqs != GONE
    hidden = hidden_rows(data, seqs, deletions)
    if hidden is not None:
        kept &= ~hidden
    return rows if kept.all() else (hashes[kept], seqs[kept], data.filter(pa.array(kept)))


def runs(chunk: Chunk, deletions: Iterable[Deletion]) -> Iterator[Chunk]:
    """What is to be seen of a chunk, in pieces with contiguous sequences; for few rows, since each gap makes a piece."""
    hidden = hidden_rows(chunk.data, np.arange(chunk.first, chunk.last + 1, dtype=np.int64), deletions)
    if hidden is None:
        yield chunk
        return
    edges = np.flatnonzero(np.diff(np.concatenate(([True], hidden, [True])).astype(np.int8)))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        data = chunk.data.slice(start, stop - start)
        yield Chunk(chunk.first + start, chunk.first + stop - 1, data, chunk.ts_min, chunk.ts_max, data.nbytes, chunk.schema_version)


def visible_data(chunk: Chunk, deletions: Iterable[Deletion]) -> pa.RecordBatch:
    """The rows of a chunk that are to be seen, whose sequences nobody asks for."""
    hidden = hidden_rows(chunk.data, np.arange(chunk.first, chunk.last + 1, dtype=np.int64), deletions)
    return chunk.data if hidden is None else chunk.data.filter(pa.array(~hidden))
