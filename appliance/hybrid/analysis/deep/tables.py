"""Tables of cells as queries gave them, taken apart into series. Reads the Parquet files it is told of; by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.hybrid.analysis.deep.values import F64, I64, Source

SERIES_MAX: Final = 2_000
"""Of one source; those with the most cells are looked at."""


@dataclass(frozen=True, slots=True)
class Series:
    """One field of one key: an element for each cell in which there is a record."""

    stream: str
    column: str
    key: Mapping[str, str | None]
    """Without tags that are null."""
    cells: I64
    """Rising."""
    count: I64
    mean: F64
    low: F64
    """NaN where the source has no extremes; so has ``high``."""
    high: F64


def series_of(source: Source) -> Iterator[Series]:
    """The series of a source, with a value in at least one cell."""
    table = read(source.path)
    if not table.num_rows:
        return
    group, keys = _keys(table, len(source.tags))
    cells = _numbers(table, "b").astype(np.int64)
    order = np.lexsort((cells, group))
    ends = np.cumsum(np.bincount(group))
    parts = sorted(range(len(ends)), key=lambda g: -int(ends[g] - (ends[g - 1] if g else 0)))
    columns = [_columns(table, i, source.has_extremes) for i in range(len(source.columns))]
    count = _numbers(table, "n").astype(np.int64)
    given = 0
    for g in parts:
        rows = order[(ends[g - 1] if g else 0) : ends[g]]
        key = {tag: value for tag, value in zip(source.tags, keys[g], strict=True) if value is not None}
        for name, (mean, low, high) in zip(source.columns, columns, strict=True):
            some = rows[~np.isnan(mean[rows])]
            if not len(some):
                continue
            if given == SERIES_MAX:
                return
            given += 1
            yield Series(source.stream, name, key, cells[some], count[some], mean[some], low[some], high[some])


def read(path: str) -> pa.Table:
    """A whole file, without threads: each would reserve more memory than the limit of the process leaves."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        return file.read(use_threads=False)


def _keys(table: pa.Table, tags: int) -> tuple[I64, list[tuple[str | None, ...]]]:
    """The number of the key of each row, and the keys."""
    if not tags:
        return np.zeros(table.num_rows, np.int64), [()]
    codes, values = [], []
    for i in range(tags):
        column = table.column(f"k{i}").combine_chunks().dictionary_encode()
        codes.append(np.asarray(column.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64))
        values.append([*column.dictionary.to_pylist(), None])
    rows, which = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    keys = [tuple(values[i][int(code)] for i, code in enumerate(row)) for row in rows]
    return which.reshape(-1).astype(np.int64), keys


def _columns(table: pa.Table, i: int, has_extremes: bool) -> tuple[F64, F64, F64]:
    mean = _numbers(table, f"m{i}")
    if not has_extremes:
        none = np.full(len(mean), np.nan)
        return mean, none, none
    return mean, _numbers(table, f"l{i}"), _numbers(table, f"h{i}")


def _numbers(table: pa.Table, name: str) -> F64:
    """NaN for null."""
    return np.asarray(table.column(name).combine_chunks().cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
