"""The hot rows of a query as one table, in memory that DuckDB scans without a copy. Pure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa

from appliance.hot.series import fit
from appliance.records import SEQ_TYPE, Schema
from appliance.serving.snapshot import StreamPin


def hot_table(pin: StreamPin, columns: frozenset[str] | None) -> pa.Table:
    """The hot rows as one table of the newest schema, cut down to ``columns`` (None: all) and ``ts``, with ``_seq``."""
    kept = tuple(c for c in pin.schema.columns if columns is None or c.name in columns)
    schema = Schema(pin.schema.stream, kept, pin.schema.version)
    if all(rows.data.schema == schema.arrow for rows in pin.hot) and _is_contiguous(pin):
        table = pa.Table.from_batches([rows.data for rows in pin.hot])
        first = pin.hot[0].first
        return table.append_column("_seq", int64_array(np.arange(first, first + table.num_rows, dtype=np.int64)))
    batches = []
    for rows in pin.hot:
        data = fit(rows.data, schema)
        seq = int64_array(np.arange(rows.first, rows.first + data.num_rows, dtype=np.int64))
        batches.append(pa.RecordBatch.from_arrays([*data.columns, seq], schema=schema.arrow.append(pa.field("_seq", SEQ_TYPE))))
    return pa.Table.from_batches(batches)


def _is_contiguous(pin: StreamPin) -> bool:
    return all(a.first + a.data.num_rows == b.first for a, b in pairwise(pin.hot))


def reach_of(table: pa.Table) -> tuple[int, int]:
    """The earliest and the latest event time of a table with rows, microseconds."""
    times = [np.asarray(chunk.view(pa.int64()).to_numpy()) for chunk in table.column("ts").chunks if len(chunk)]
    return min(int(t.min()) for t in times), max(int(t.max()) for t in times)


def int64_array(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
    """Without a copy, and without ``pa.array``, which looks for pandas."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])
