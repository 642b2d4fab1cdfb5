"""Schemas and rows of every kind for the tests of the hot path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from appliance.records import Column, Kind, Schema

EVERY_KIND = Schema(
    "every",
    (
        Column("t", Kind.TAG),
        Column("u", Kind.TAG),
        Column("f", Kind.FLOAT),
        Column("i", Kind.INT),
        Column("b", Kind.BOOL),
        Column("s", Kind.TEXT),
    ),
)
TEXTS = st.one_of(
    st.sampled_from(["", "a", "b", "é", "日本", 'quo"te', "new\nline", "\x00", "x" * 300]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TAG: st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d é"])),
    Kind.FLOAT: st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.5, 2.0, 1e17, 2.0**60])),
    Kind.INT: st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    Kind.BOOL: st.one_of(st.none(), st.booleans()),
    Kind.TEXT: st.one_of(st.none(), TEXTS),
}


def row_of(schema: Schema, ts: st.SearchStrategy[int]) -> st.SearchStrategy[dict[str, Any]]:
    """A row as a dictionary; ``ts`` in microseconds."""
    return st.fixed_dictionaries({"ts": ts, **{c.name: VALUES[c.kind] for c in schema.columns}})


def record_batch(schema: Schema, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Rows in the columns of ``schema.arrow``."""
    arrays = [pa.array([row["ts"] for row in rows], pa.int64()).cast(pa.timestamp("us"))]
    for column, field in zip(schema.columns, list(schema.arrow)[1:], strict=True):
        values = pa.array([row.get(column.name) for row in rows], pa.string() if column.kind is Kind.TAG else field.type)
        arrays.append(values.dictionary_encode().cast(field.type) if column.kind is Kind.TAG else values)
    return pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)


def as_rows(data: pa.RecordBatch) -> list[dict[str, Any]]:
    """The opposite of ``record_batch``."""
    plain = data.set_column(0, "ts", data.column(0).cast(pa.int64()))
    found: list[dict[str, Any]] = plain.to_pylist()
    return found
