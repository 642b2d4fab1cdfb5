"""Rows of plain columns as JSON objects, by column: texts of whole columns are made and joined, no loop goes over rows.

For whole numbers, floats, booleans, texts and times without a zone; what else there is (nested values, decimals, times beyond
year 9999) ``formats`` leaves to DuckDB. NaN and infinities become null, times are ISO 8601 with ``Z``, microseconds only where
there are any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_pc: Any = pc
_US: Final = 1_000_000
_YEAR_0: Final = -62_167_219_200 * _US
_YEAR_1: Final = -62_135_596_800 * _US
_YEAR_10000: Final = 253_402_300_800 * _US
_SPECIAL: Final = r'["\\\x00-\x1f\x7f]'
"""What JSON wants escaped (and DEL, which is not seen otherwise)."""
_PLAIN: Final = (pa.types.is_integer, pa.types.is_float32, pa.types.is_float64, pa.types.is_boolean)
REPEATED: Final = 2
"""Values that stand so often in a column, on average, are written once."""
FEW_ROWS: Final = 1_024
"""So many and fewer are written row by row."""
_encoder: Final = msgspec.json.Encoder()
Texts = Any
"""An Arrow array of strings; null where the value is."""


def is_plain(type_: pa.DataType) -> bool:
    """Whether values of this type can be written here."""
    if pa.types.is_dictionary(type_):
        return is_text(type_.value_type)
    if pa.types.is_timestamp(type_):
        return bool(type_.unit == "us" and type_.tz is None)
    return is_text(type_) or any(is_one(type_) for is_one in _PLAIN)


def is_text(type_: pa.DataType) -> bool:
    """Whether it is a type of texts."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def few_objects(batch: pa.RecordBatch, names: Sequence[str], *, end: bytes = b"\n") -> bytes | None:
    """One object a row, each followed by ``end``, for so few rows that a kernel for each step would cost more than their values; None as
    ``objects``. Each value becomes bytes by itself, without a loop of this language, and all are joined at once."""
    pieces: list[Iterable[bytes]] = []
    for name, column in zip(names, batch.columns, strict=True):
        found = _few_values(column)
        if found is None:
            return None
        pieces += [repeat(b"%b%b:" % (b"," if pieces else b"{", _encoder.encode(name))), found]
    return b"".join(chain.from_iterable(zip(*pieces, repeat(b"}" + end, batch.num_rows), strict=False)))


def _few_values(column: Any) -> list[bytes] | None:
    """Each value as ``msgspec`` writes it; None where it would not write it as ``objects`` does."""
    if pa.types.is_timestamp(column.type):
        return _few_times(column)
    if pa.types.is_float32(column.type):
        return None
    if pa.types.is_dictionary(column.type):
        known = [*_few_lines(column.dictionary.to_pylist()), b"null"]
        return [known[-1 if at is None else at] for at in column.indices.to_pylist()]
    if column.null_count or is_text(column.type) or pa.types.is_boolean(column.type):
        return _few_lines(column.to_pylist())
    return _few_lines(column.to_numpy().tolist())


def _few_lines(values: list[Any]) -> list[bytes]:
    return _encoder.encode_lines(values).split(b"\n")[:-1]


def _few_times(column: Any) -> list[bytes] | None:
    us = np.asarray((column.fill_null(0) if column.null_count else column).view(pa.int64()).to_numpy())
    if len(us) and not _YEAR_1 <= int(us.min()) <= int(us.max()) < _YEAR_10000:
        return None
    texts = _encoder.encode_lines(us.view("M8[us]").tolist()).replace(b'"\n', b'Z"\n').split(b"\n")[:-1]  # microseconds where there are any
    if column.null_count:
        texts = [text if valid else b"null" for text, valid in zip(texts, column.is_valid().to_pylist(), strict=True)]
    return texts


def objects(batch: pa.RecordBatch, names: Sequence[str], *, end: str) -> bytes | None:
    """One object a row, each followed by ``end``; None where a time has no year of four digits."""
    pieces: list[Any] = []
    for name, column in zip(names, batch.columns, strict=True):
        before = f"{',' if pieces else '{'}{msgspec.json.encode(name).decode()}:"
        found = _named(before, column)
        if found is None:
            return None
        pieces += found
    rows = _pc.binary_join_element_wise(*pieces, "}" + end, "", null_handling="replace", null_replacement="null")
    return _bytes(rows)


def _named(before: str, column: Any) -> list[Any] | None:
    """What stands before each value, and the values: one array where they repeat, which is a third of the work."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if REPEATED * len(encoded.dictionary) > len(column):
        texts = _texts(encoded.cast(encoded.type.value_type) if encoded is column else column)
        return None if texts is None else [before, texts]
    texts = _texts(encoded.dictionary)
    if texts is None:
        return None
    known = _pc.binary_join_element_wise(before, texts, "", null_handling="replace", null_replacement="null").take(encoded.indices)
    return [known if not known.null_count else _pc.fill_null(known, before + "null")]


def _texts(column: Any) -> Texts | None:
    type_ = column.type
    if is_text(type_):
        return _quoted(column if pa.types.is_string(type_) else column.cast(pa.string()))
    if pa.types.is_timestamp(type_):
        return _times(column)
    if pa.types.is_floating(type_):
        return _floats(column)
    return column.cast(pa.string())


def _quoted(texts: Any) -> Texts:
    """Texts as JSON writes them; the few that need escapes one by one."""
    quoted = _pc.binary_join_element_wise('"', texts, '"', "")
    special = _pc.fill_null(_pc.match_substring_regex(texts, _SPECIAL), False)
    if not _pc.any(special).as_py():
        return quoted
    escaped = [msgspec.json.encode(text).decode() for text in texts.filter(special).to_pylist()]
    return _pc.replace_with_mask(quoted, special, pa.array(escaped, pa.string()))


def _floats(column: Any) -> Texts:
    """The shortest text that gives the same number back, always with a point or an exponent."""
    finite = _pc.is_finite(column)
    texts = _pc.if_else(finite, column, None).cast(pa.string())
    whole = _pc.invert(_pc.match_substring_regex(texts, "[.e]"))
    return _pc.if_else(whole, _pc.binary_join_element_wise(texts, ".0", ""), texts)


def _times(column: Any) -> Texts | None:
    us = column.cast(pa.int64())
    span = _pc.min_max(us)
    low, high = span["min"].as_py(), span["max"].as_py()
    if low is None:
        return pa.nulls(len(column), pa.string())
    if low < _YEAR_0 or high >= _YEAR_10000:
        return None
    seconds = _pc.floor_temporal(column, unit="second").cast(pa.timestamp("s")).cast(pa.string())
    texts = _pc.binary_join_element_wise('"', _pc.replace_substring(seconds, " ", "T"), "Z" + '"', "")
    micros = _pc.subtract(us, _pc.floor_temporal(column, unit="second").cast(pa.int64()))
    if not _pc.max(micros).as_py():
        return texts
    digits = _pc.utf8_lpad(micros.cast(pa.string()), 6, "0")
    exact = _pc.binary_join_element_wise(_pc.utf8_slice_codeunits(texts, 0, -2), ".", digits, 'Z"', "")
    return _pc.if_else(_pc.equal(micros, 0), texts, exact)


def _bytes(rows: Any) -> bytes:
    """The texts of an array one after the other."""
    if not len(rows):
        return b""
    offsets = memoryview(rows.buffers()[1]).cast("i")
    return memoryview(rows.buffers()[2])[offsets[rows.offset] : offsets[rows.offset + len(rows)]].tobytes()
