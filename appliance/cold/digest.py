"""A running digest of rows, by column: equal for equal rows in equal order, however they are cut into tables.

Used to prove that a file that was just written reads back as what was meant. Parquet as written here has no checksum of
its own that its readers would look at.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.records import TS_TYPE


class RowDigest:
    """Counts rows and bytes in memory, and folds each column's values and nulls into checksums; also the spans of ``ts`` and ``_seq``.

    Tags are dictionaries: their values count, not their codes.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self.ts_min, self.ts_max = 2**63 - 1, -(2**63)
        self.first, self.last = 2**63 - 1, -(2**63)
        self._sums: dict[tuple[str, str], int] = {}
        self._entries: dict[str, tuple[pa.Array, np.ndarray]] = {}

    def add(self, table: Any) -> None:
        """A ``pa.Table`` or ``pa.RecordBatch`` with ``ts`` and ``_seq``, in which neither has nulls."""
        if not table.num_rows:
            return
        self.ts_min, self.ts_max = _widen((self.ts_min, self.ts_max), pc.min_max(table.column("ts").cast(pa.int64())))
        self.first, self.last = _widen((self.first, self.last), pc.min_max(table.column("_seq")))
        for name in table.column_names:
            column = table.column(name)
            row = self.rows
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else (column,):
                for part, data in self._parts(name, chunk, row):
                    self._sums[name, part] = zlib.crc32(data, self._sums.get((name, part), 0))
                row += len(chunk)
        self.rows += table.num_rows
        self.bytes += table.nbytes

    def differences(self, other: RowDigest) -> list[str]:
        """What is not the same, in words; empty when all is."""
        found = [
            f"{name} is {getattr(other, name)} instead of {getattr(self, name)}"
            for name in ("rows", "ts_min", "ts_max", "first", "last")
            if getattr(self, name) != getattr(other, name)
        ]
        differing = sorted({k[0] for k in self._sums.keys() | other._sums.keys() if self._sums.get(k) != other._sums.get(k)})
        return found + [f"column {name!r} differs" for name in differing]

    def _parts(self, name: str, array: Any, row: int) -> Iterator[tuple[str, memoryview]]:
        """The bytes to sum: where the nulls are, counted from the first row of all, and the values with zero for null.

        What is summed under one name goes on seamlessly in the next chunk, so that the cuts between chunks leave no trace.
        """
        if array.null_count:
            yield "nulls", _bytes(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)) + row)
        kind = array.type
        if pa.types.is_dictionary(kind):
            yield "values", _bytes(self._hashes(name, array.dictionary)[_filled(array.indices, -1).to_numpy() + 1])
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            plain = _filled(array, "").cast(pa.large_string())
            offsets = np.frombuffer(plain.buffers()[1], np.int64)[plain.offset : plain.offset + len(plain) + 1]
            yield "lengths", _bytes(np.diff(offsets))
            if plain.buffers()[2] is not None:
                yield "values", memoryview(plain.buffers()[2])[offsets[0] : offsets[-1]]
        else:
            if kind == TS_TYPE:
                array = array.cast(pa.int64())
            elif pa.types.is_boolean(kind):
                array = array.cast(pa.uint8())
            yield "values", _bytes(_filled(array, 0).to_numpy(zero_copy_only=False))

    def _hashes(self, name: str, dictionary: pa.Array) -> np.ndarray:
        """For null and each entry its checksum and length; kept, since the batches of a row group share their dictionary."""
        held = self._entries.get(name)
        if held is None or not held[0].equals(dictionary):
            found = [(zlib.crc32(text) << 32) | len(text) for text in (str(v).encode() for v in dictionary.to_pylist())]
            held = self._entries[name] = (dictionary, np.array([0, *found], np.uint64))
        return held[1]


def _widen(span: tuple[int, int], found: Any) -> tuple[int, int]:
    return min(span[0], found["min"].as_py()), max(span[1], found["max"].as_py())


def _filled(array: Any, value: object) -> Any:
    return array.fill_null(value) if array.null_count else array


def _bytes(values: np.ndarray) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B")
