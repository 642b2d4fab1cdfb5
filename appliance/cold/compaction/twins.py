"""Records of the same identity made one: field by field, the highest sequence with a value wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.cold.compaction.coded import CODE_TYPE

United = Callable[[pa.Table, pa.Table], None]


def fold_twins(tables: Iterable[pa.Table], identity: Sequence[str], united: United = lambda _before, _after: None) -> Iterator[pa.Table]:
    """The coded tables with each identity once. Twins are neighbours, in the order of their sequences. ``united`` is told of rows that
    have twins, and what has become of them.

    The record that stays has the highest ``_seq`` of its twins. In memory: one table, and one record for the identity that
    may go on in the next (later twins have higher sequences, so folding step by step gives what folding all at once would).
    """
    open_record: pa.Table | None = None
    for table in tables:
        if not table.num_rows:
            continue
        rows = table if open_record is None else pa.concat_tables([open_record, table])
        folded = _fold(rows.combine_chunks(), identity, united)
        open_record = folded.slice(folded.num_rows - 1)
        if folded.num_rows > 1:
            yield folded.slice(0, folded.num_rows - 1)
    if open_record is not None:
        yield open_record


def _fold(rows: pa.Table, identity: Sequence[str], united: United) -> pa.Table:
    starts = np.flatnonzero(np.r_[True, ~_same_as_before(rows, identity)])
    if len(starts) == rows.num_rows:
        return rows
    ends = np.r_[starts[1:], rows.num_rows] - 1
    columns = [_last_values(rows.column(name).chunk(0), starts, ends) for name in rows.column_names]
    folded = pa.table(columns, schema=rows.schema)
    counts = ends - starts + 1
    several = counts > 1
    united(rows.filter(pa.array(np.repeat(several, counts))), folded.filter(pa.array(several)))
    return folded


def _same_as_before(rows: pa.Table, identity: Sequence[str]) -> np.ndarray:
    """For each row but the first, whether it agrees with the one before in all columns of the identity; null agrees with null."""
    same = np.ones(rows.num_rows - 1, bool)
    for name in identity:
        ranks = rows.column(name).chunk(0).dictionary_encode()
        codes = ranks.indices.fill_null(-1).to_numpy()
        same &= codes[1:] == codes[:-1]
    return same


def _last_values(column: Any, starts: np.ndarray, ends: np.ndarray) -> pa.Array:
    """For each run of rows the last value that is there; null when there is none."""
    there = column.to_numpy() != 0 if column.type == CODE_TYPE else column.is_valid().to_numpy(zero_copy_only=False)
    if there.all():
        return column.take(pa.array(ends))
    last = np.maximum.reduceat(np.where(there, np.arange(len(there)), -1), starts)
    return column.take(pa.array(np.where(last < 0, ends, last)))
