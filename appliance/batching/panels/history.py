"""An answer as records of its panel's history: ``ts`` is its as-of, the tag ``row`` the place of a row, so a repetition adds nothing. Pure.

``answer`` is its number and ``rows`` how many rows it has; one without any is a record that says so. What kinds of columns can't hold
is put into words: times and days as ISO 8601, everything nested as text.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from appliance.records import TAG_TYPE, TS_TYPE, Batch, fold

SUFFIX: Final = "_history"
OWN: Final = frozenset(["ts", "_seq", "row", "rows", "answer"])
"""Columns that every history has; one of the answer of such a name gets an underscore behind it."""
_INT_MAX: Final = 2**63 - 1


def records_of(name: str, table: pa.Table, *, number: int, as_of_us: int) -> Batch:
    """The records of the answer with this number; at least one."""
    count = max(1, table.num_rows)
    rows = pa.array([str(place) for place in range(count)], pa.string()).dictionary_encode().cast(TAG_TYPE)
    found: dict[str, Any] = {
        "ts": pa.repeat(pa.scalar(as_of_us, TS_TYPE), count),
        "row": rows,
        "answer": pa.repeat(pa.scalar(number, pa.int64()), count),
        "rows": pa.repeat(pa.scalar(table.num_rows, pa.int64()), count),
    }
    if table.num_rows:
        taken = set(OWN)
        for field, values in zip(table.schema, table.columns, strict=True):
            column = field.name or "value"
            while fold(column) in taken:
                column += "_"
            taken.add(fold(column))
            kept = _kept(values.combine_chunks())
            if kept is not None:
                found[column] = kept
    return Batch(name + SUFFIX, ("row",), pa.RecordBatch.from_arrays(list(found.values()), names=list(found)))


def _kept(values: Any) -> Any:
    """A column of an answer as one that records can have; None where it holds nothing."""
    kind = values.type
    if values.null_count == len(values):
        return None
    if pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return values
    if pa.types.is_large_string(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        return values.cast(pa.float64())
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        bounds = pc.min_max(values)
        fits = int(bounds["min"].as_py()) >= -_INT_MAX and int(bounds["max"].as_py()) <= _INT_MAX
        return values.cast(pa.int64()) if fits else values.cast(pa.float64())
    if pa.types.is_decimal(kind):
        return values.cast(pa.float64())
    return pa.array([None if v is None else _words(v) for v in values.to_pylist()], pa.string())


def _words(value: Any) -> str:
    """Times and days in ISO 8601, else as Python writes it."""
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
