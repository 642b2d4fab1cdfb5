"""Which rows are hidden by deletions: by column, the same rule wherever rows are shown or copied. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from appliance.manifest import Deletion
from appliance.records import fold

Mask = npt.NDArray[np.bool_]


def hidden_rows(data: Any, seqs: npt.NDArray[np.int64], deletions: Iterable[Deletion]) -> Mask | None:
    """True for each row that one of ``deletions`` is about; None when there is none.

    ``data`` (table or record batch) has ``ts`` as timestamps or whole microseconds, and the tags that are named by the deletions,
    as text or dictionary; a tag that it lacks is absent in every row.
    """
    result: Mask | None = None
    for deletion in deletions:
        if not data.num_rows or int(seqs.min()) > deletion.up_to_seq:
            continue
        ts = np.asarray(_whole(data.column("ts")).cast(pa.int64()).to_numpy(zero_copy_only=False))
        mask = seqs <= deletion.up_to_seq
        if deletion.since_us is not None:
            mask &= ts >= deletion.since_us
        if deletion.until_us is not None:
            mask &= ts < deletion.until_us
        for name, value in deletion.matching.items():
            if mask.any():
                mask &= _equal(data, name, value)
        if mask.any():
            result = mask if result is None else result | mask
    return result


def without_hidden(data: Any, deletions: Iterable[Deletion]) -> Any:
    """A table with ``_seq`` that lacks the hidden rows."""
    if not deletions:
        return data
    hidden = hidden_rows(data, np.asarray(_whole(data.column("_seq")).to_numpy(zero_copy_only=False), dtype=np.int64), deletions)
    return data if hidden is None else data.filter(pa.array(~hidden))


def _equal(data: Any, name: str, value: str | None) -> Mask:
    key = fold(name)
    at = next((i for i, n in enumerate(data.schema.names) if fold(n) == key), None)
    if at is None:
        return np.full(data.num_rows, value is None)
    column = _whole(data.column(at))
    if value is None:
        return np.asarray(column.is_null().to_numpy(zero_copy_only=False))
    if pa.types.is_dictionary(column.type):
        same = pc.equal(column.dictionary, value).fill_null(False).to_numpy(zero_copy_only=False)
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.asarray(np.append(same, False)[codes], np.bool_)
    return np.asarray(pc.equal(column, value).fill_null(False).to_numpy(zero_copy_only=False))


def _whole(column: Any) -> Any:
    """One array; chunks of a dictionary are given one dictionary."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    whole = column.unify_dictionaries().combine_chunks() if pa.types.is_dictionary(column.type) else column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.nulls(0, column.type)
    return whole
