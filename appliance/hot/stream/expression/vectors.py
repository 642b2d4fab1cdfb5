"""From Arrow's columns to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from appliance.hot.stream.values import Mask, Vector
from appliance.records import fold

_SPARSE = 4
"""Texts of a dictionary for each row, above which only those that occur are looked at."""


def columns_to_vectors(batch: pa.RecordBatch, names: Sequence[str]) -> tuple[Vector, ...]:
    """One vector a name, compared without case; a column that isn't there is null in every row.

    Columns are of the types of ``Schema.arrow`` or ``Schema.plain``: double, int64, bool, string, dictionary<int32, string>. Numbers
    are not copied. NaN and infinities count as null. The codes of null texts are 0, also when there is no text at all. ``TypeError``
    for another type.
    """
    places: dict[str, int] | None = None
    found: list[Vector] = []
    for name in names:
        place = batch.schema.get_field_index(name)
        if place < 0:
            places = {fold(n): i for i, n in enumerate(batch.schema.names)} if places is None else places
            place = places.get(fold(name), -1)
        found.append(_absent(batch.num_rows) if place < 0 else vector_of(batch.column(place)))
    return tuple(found)


def vector_of(column: pa.Array) -> Vector:
    """One column as a vector; as ``columns_to_vectors``."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _of_dictionary(column)
    if pa.types.is_float64(kind):
        floats = _fixed(column, np.float64)
        valid = np.isfinite(floats)
        return Vector(floats, valid if not column.null_count else valid & _valid(column))
    if pa.types.is_int64(kind):
        return Vector(_fixed(column, np.int64), _valid(column))
    if pa.types.is_boolean(kind):
        return Vector(_bits(column.buffers()[1], column.offset, len(column)), _valid(column))
    if pa.types.is_string(kind):
        return _of_dictionary(column.dictionary_encode())
    raise TypeError(f"no column of a stream is {kind}")


def _absent(rows: int) -> Vector:
    return Vector(np.zeros(rows), np.zeros(rows, np.bool_))


def _fixed(column: pa.Array, kind: type[np.generic]) -> npt.NDArray[Any]:
    """The buffer itself, whatever stands in it where a row is null."""
    buffer = column.buffers()[1]
    if buffer is None or not len(column):
        return np.zeros(len(column), kind)
    return np.frombuffer(buffer, kind, len(column), column.offset * np.dtype(kind).itemsize)


def _valid(column: pa.Array) -> Mask:
    if not column.null_count:
        return np.ones(len(column), np.bool_)
    buffer = column.buffers()[0]
    return np.zeros(len(column), np.bool_) if buffer is None else _bits(buffer, column.offset, len(column))


def _bits(buffer: pa.Buffer | None, offset: int, rows: int) -> Mask:
    if buffer is None or not rows:
        return np.zeros(rows, np.bool_)
    first, skipped = divmod(offset, 8)
    packed = np.frombuffer(buffer, np.uint8)[first : first + (skipped + rows + 7) // 8]
    return np.unpackbits(packed, count=skipped + rows, bitorder="little")[skipped:].view(np.bool_)


def _of_dictionary(column: pa.DictionaryArray) -> Vector:
    indices, dictionary = column.indices, column.dictionary
    if indices.type != pa.int32():
        indices = indices.cast(pa.int32())
    valid = _valid(indices)
    codes = _fixed(indices, np.int32)
    if indices.null_count:
        codes = np.where(valid, codes, np.int32(0))
    if len(dictionary) > _SPARSE * (len(codes) + 16):
        used, codes = np.unique(codes, return_inverse=True)
        codes = codes.astype(np.int32)
        dictionary = dictionary.take(pa.array(used))
    texts: list[str | None] = dictionary.to_pylist()
    if dictionary.null_count or len(set(texts)) < len(texts):
        return _of_dictionary(pc.cast(column, dictionary.type).dictionary_encode())
    return Vector(codes, valid, tuple(texts))  # type: ignore[arg-type]
