"""The last values of a stream as its store alone gives them: what a start begins with, and what is answered where no service runs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from appliance.hot import latest_table
from appliance.hot.reader import HotReader
from appliance.hot.series import LastValues, fit, series_hashes
from appliance.hot.state import StreamState
from appliance.hot.visible import shown
from appliance.records import SEQ_TYPE


def latest_values(reader: HotReader, stream: StreamState) -> pa.Table:
    """The last record of each series (``Schema.lake``): as saved by the last roll, and what is newer out of the hot batches."""
    schema = stream.schema
    last = LastValues(schema, merge_fields=stream.identity is not None)
    saved = latest_table.load(reader.cursor, schema, stream.folder)
    if saved is not None:
        last.restore(schema, *shown(saved, stream.deletions))
    for chunk in reader.iterate(stream, after_seq=stream.mark):
        data = fit(chunk.data, schema)
        seqs = np.arange(chunk.first, chunk.first + data.num_rows, dtype=np.int64)
        last.put(schema, *shown((series_hashes(data, schema.tags), seqs, data), stream.deletions))
    _, seqs, data = last.rows()
    return pa.table([*data.columns, pa.array(seqs, SEQ_TYPE)], names=schema.lake.names).cast(schema.lake)
