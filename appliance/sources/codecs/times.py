"""Event times out of columns of any notation: ISO 8601 with or without a zone, or seconds, ms, µs, ns since 1970 by magnitude.

By column; only cells that no parser of Arrow takes are looked at one by one. A zone is converted to UTC; without one it is UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from appliance.records import TS_TYPE

TIME_NAMES = ("ts", "time", "timestamp", "_time", "datetime", "date")
"""Columns that can hold the event time, best first, in any case."""
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_DAY = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
_ZONED = _DAY + _CLOCK + r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_NAIVE = _DAY + f"({_CLOCK})?$"
_BANDS = ((100_000_000_000, 1_000_000), (100_000_000_000_000, 1_000), (100_000_000_000_000_000, 1))
"""|value| below the first: times the second is microseconds. Seconds reach the year 5138, milliseconds begin in March 1973."""
TS_MIN_US = -62_135_596_800_000_000
"""0001-01-01."""
TS_MAX_US = 253_402_300_800_000_000
"""10000-01-01, itself out."""


def pick_time(columns: Mapping[str, Any]) -> str | None:
    """The column of the event time: the first of ``TIME_NAMES`` with a time in it, else the first there is; ``ts`` whatever it holds."""
    by_fold = {name.lower(): name for name in columns}
    there = [by_fold[name] for name in TIME_NAMES if name in by_fold]
    for name in there:
        if name.lower() == "ts" or (len(there) > 1 and to_us(columns[name]).null_count < len(columns[name])):
            return name
    return there[0] if there else None


def to_us(column: Any) -> pa.Array:
    """A column of text, numbers, dates or times as ``timestamp[us]``; null where the cell is null or holds no time."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = values.type
    if pa.types.is_dictionary(kind):
        return to_us(values.dictionary_decode())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        found = _from_timestamps(values)
    elif pa.types.is_integer(kind):
        found = _from_numbers(values.cast(pa.int64(), safe=False))
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        found = _from_fractions(values.cast(pa.float64()))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found = _from_text(values)
    else:
        found = pa.nulls(len(values), pa.int64())
    return _in_range(found).cast(TS_TYPE)


def _in_range(us: pa.Array) -> pa.Array:
    span = pc.min_max(us).as_py()
    if span["min"] is None or (span["min"] >= TS_MIN_US and span["max"] < TS_MAX_US):
        return us
    inside = pc.and_(pc.greater_equal(us, TS_MIN_US), pc.less(us, TS_MAX_US))
    return pc.if_else(inside, us, pa.scalar(None, pa.int64()))


def _from_timestamps(values: pa.Array) -> pa.Array:
    """Seconds to nanoseconds, zoned or not, and dates; what overflows microseconds is null."""
    if pa.types.is_date(values.type):
        return values.cast(pa.timestamp("ms")).cast(TS_TYPE).cast(pa.int64())
    try:
        return values.cast(pa.timestamp("us", values.type.tz), safe=values.type.unit != "ns").cast(pa.int64())
    except pa.ArrowInvalid:
        return cast_or_null(values, pa.timestamp("us", values.type.tz)).cast(pa.int64())


def _from_numbers(values: pa.Array) -> pa.Array:
    """Whole numbers since 1970: the unit is told by the magnitude, each value by its own."""
    size = pc.abs(values)
    span = pc.min_max(size).as_py()
    if span["min"] is None:
        return values
    lower = 0
    for limit, factor in _BANDS:
        if span["min"] >= lower and span["max"] < limit:
            return pc.multiply(values, factor)
        lower = limit
    answer = pc.divide(values, 1_000)
    for limit, factor in reversed(_BANDS):
        answer = pc.if_else(pc.less(size, limit), pc.multiply(values, factor), answer)
    return answer


def _from_fractions(values: pa.Array) -> pa.Array:
    """Numbers with a fraction: as whole ones, rounded to the microsecond; NaN and infinities are null."""
    finite = pc.if_else(pc.and_(pc.is_finite(values), pc.less(pc.abs(values), 9.0e18)), values, pa.scalar(None, pa.float64()))
    size = pc.abs(finite)
    answer = pc.divide(finite, 1_000.0)
    for limit, factor in reversed(_BANDS):
        answer = pc.if_else(pc.less(size, float(limit)), pc.multiply(finite, float(factor)), answer)
    return pc.round(answer).cast(pa.int64())


def _from_text(values: pa.Array) -> pa.Array:
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.int64(), pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
        try:
            parsed = values.cast(kind)
        except pa.ArrowInvalid:
            continue
        return _from_numbers(parsed) if pa.types.is_integer(kind) else _from_timestamps(parsed)
    return _from_mixed_text(values)


def _from_mixed_text(values: pa.Array) -> pa.Array:
    """Cells of different notations in one column, and cells that are none."""
    text = pc.utf8_trim_whitespace(pc.replace_substring_regex(values, r"\s*UTC\s*$", "Z"))
    text = pc.replace_substring_regex(text, r"(\.[0-9]{6})[0-9]+", r"\1")
    zoned = _where(text, _ZONED, pa.timestamp("us", "UTC")).cast(pa.int64())
    naive = _where(text, _NAIVE, TS_TYPE).cast(pa.int64())
    whole = _from_numbers(_where(text, r"^-?[0-9]{1,19}$", pa.int64()))
    fraction = _from_fractions(_where(text, NUMBER, pa.float64()))
    return pc.coalesce(zoned, naive, whole, fraction)


def _where(text: pa.Array, pattern: str, kind: pa.DataType) -> pa.Array:
    fits = pc.match_substring_regex(text, pattern)
    return cast_or_null(pc.if_else(fits, text, pa.scalar(None, pa.string())), kind)


def cast_or_null(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast cell by cell where it must be: null where a cell has no such value. Halves until the cells that fail stand alone."""
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, kind)
        half = len(values) // 2
        return pa.concat_arrays([cast_or_null(values.slice(0, half), kind), cast_or_null(values.slice(half), kind)])
