"""The keys of rules as dense numbers: one for each set of values of some columns, in the order in which they came.

By column: each distinct value is hashed once, as in ``hot.series``; two keys of a million share a hash once in about 10^7 boxes,
and would then share their alerts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.hot.series import U64, series_hashes
from appliance.hot.stream.values import I64, Key, Rows
from appliance.records import TAG_TYPE, fold


class KeySpace:
    """Owned by the plan of a stream."""

    def __init__(self, by: tuple[str, ...], keys_max: int) -> None:
        """``by`` are columns as the stream names them; of more than ``keys_max`` keys the others have no number."""
        self.by = by
        self.keys_max = keys_max
        self.rows_over = 0
        """Records of keys above the limit."""
        self._sorted: U64 = np.empty(0, np.uint64)
        self._ids: I64 = np.empty(0, np.int64)
        self._keys: list[Key] = []
        self._known: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, number: int) -> Key:
        """The values of one key."""
        return self._keys[number]

    def find(self, key: Key) -> int | None:
        """The number of a key; None when it has not come yet."""
        return self._known.get(key)

    @property
    def values(self) -> Sequence[Key]:
        """The keys by their numbers; not to be changed."""
        return self._keys

    def add(self, key: Key) -> int:
        """The number of a key that is known from elsewhere, such as from before a restart; the limit does not hold for it."""
        found = self._known.get(key)
        if found is None:
            arrays = [pa.array([v], pa.string()).dictionary_encode().cast(TAG_TYPE) for v in key]
            hashes = series_hashes(pa.RecordBatch.from_arrays(arrays, names=list(self.by)), self.by) if arrays else _alone(1)
            found = len(self._keys)
            self._keys.append(key)
            self._known[key] = found
            self._insert(hashes, np.array([found], dtype=np.int64))
        return found

    def ids(self, data: pa.RecordBatch) -> I64:
        """The number of each row's key; -1 above the limit."""
        columns = [_column(data, name) for name in self.by]
        hashes = series_hashes(pa.RecordBatch.from_arrays(columns, names=list(self.by)), self.by) if columns else _alone(data.num_rows)
        return self._found(hashes, data)

    def ids_of(self, rows: Rows) -> I64:
        """As ``ids``; what is hashed of the rows is hashed once for all who ask."""
        schema = rows.data.schema
        if not self.by or any(not pa.types.is_dictionary(schema.field(n).type) if n in schema.names else True for n in self.by):
            return self.ids(rows.data)
        return self._found(hashes_of(rows, self.by), rows.data)

    def _found(self, hashes: U64, data: pa.RecordBatch) -> I64:
        found = self._look(hashes)
        if (found < 0).any():
            self._add(hashes, found, [_column(data, name) for name in self.by])
            found = self._look(hashes)
            self.rows_over += int((found < 0).sum())
        return found

    def _look(self, hashes: U64) -> I64:
        if not len(self._sorted):
            return np.full(len(hashes), -1, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        return np.where(self._sorted[at] == hashes, self._ids[at], -1)

    def _add(self, hashes: U64, found: I64, columns: list[Any]) -> None:
        """Numbers for the keys that are new, in the order of their first rows, as far as the limit goes."""
        rows = np.flatnonzero(found < 0)
        fresh, first = np.unique(hashes[rows], return_index=True)
        order = np.argsort(first)[: max(0, self.keys_max - len(self._keys))]
        if not len(order):
            return
        start = len(self._keys)
        at = rows[first[order]]
        values = [c.take(pa.array(at)).to_pylist() for c in columns]
        self._keys += [tuple(v[i] for v in values) for i in range(len(at))]
        for number in range(start, len(self._keys)):
            self._known.setdefault(self._keys[number], number)
        self._insert(fresh[order], np.arange(start, len(self._keys), dtype=np.int64))

    def _insert(self, hashes: U64, ids: I64) -> None:
        merged = np.concatenate((self._sorted, hashes))
        order = np.argsort(merged, kind="stable")
        self._sorted, self._ids = merged[order], np.concatenate((self._ids, ids))[order]


def hashes_of(rows: Rows, tags: Sequence[str]) -> U64:
    """``series_hashes`` of the rows by some of their tags, computed once."""
    names = tuple(sorted(tags))
    found = rows.hashes.get(names)
    if found is None:
        found = rows.hashes[names] = series_hashes(rows.data, names)
    return found


def _alone(rows: int) -> U64:
    return np.zeros(rows, np.uint64)


def _column(data: pa.RecordBatch, name: str) -> Any:
    """A column of the key as texts by dictionary; of one that is not there every value is null."""
    at = data.schema.get_field_index(name)
    if at < 0:
        at = next((i for i, n in enumerate(data.schema.names) if fold(n) == fold(name)), -1)
    if at < 0:
        return pa.nulls(data.num_rows, TAG_TYPE)
    column = data.column(at)
    if pa.types.is_dictionary(column.type):
        return column
    text = column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
    return text.dictionary_encode().cast(TAG_TYPE)
