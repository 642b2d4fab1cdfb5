"""Rows in memory of their own: what is kept for hours must not hold on to what it came with.

A few rows of a large parsed block are views of it: they would keep the whole block (a request's body, a dictionary of all its
values) alive for as long as they are in the ring, and write that dictionary to disk with each of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def owned(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of ``parts`` (same columns, at least one), copied; each dictionary holds no more values than there are rows, and no null."""
    copied = pa.concat_batches(parts)
    columns = copied.columns
    tags = [i for i, column in enumerate(columns) if pa.types.is_dictionary(column.type)]
    for i in tags:
        columns[i] = _own_dictionary(columns[i])
    return pa.RecordBatch.from_arrays(columns, schema=copied.schema) if tags else copied


def _own_dictionary(column: pa.DictionaryArray) -> pa.DictionaryArray:
    values = column.dictionary
    if len(values) > len(column) or values.null_count:
        return column.dictionary_decode().dictionary_encode()
    return pa.DictionaryArray.from_arrays(column.indices, pa.concat_arrays([values]), safe=False)
