"""Columns for the tests: as rows, as a batch, as what DuckDB answers over them."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

from appliance.hot.stream.expression import Column, Expression, columns, columns_to_vectors, compile_, terms
from appliance.hot.stream.values import Scalar, Vector
from appliance.records import ARROW_OF, Kind
from tests.hot.stream.expression.expressions import FLOATS, INTS, KINDS, LETTERS, sql_of

Row = dict[str, Any]

VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.FLOAT: st.one_of(st.none(), FLOATS, st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf])),
    Kind.INT: st.one_of(st.none(), INTS),
    Kind.BOOL: st.one_of(st.none(), st.booleans()),
    Kind.TEXT: st.one_of(st.none(), LETTERS),
    Kind.TAG: st.one_of(st.none(), st.sampled_from(["", "a", "A", "b", "é", "a%"])),
}
rows_of = st.fixed_dictionaries({name: VALUES[kind] for name, kind in KINDS.items()})


def batch_of(rows: list[Row]) -> pa.RecordBatch:
    """A batch with a column for each of ``KINDS``."""
    arrays = []
    for name, kind in KINDS.items():
        values = pa.array([row.get(name) for row in rows], pa.string() if kind is Kind.TAG else ARROW_OF[kind])
        arrays.append(values.dictionary_encode().cast(ARROW_OF[kind]) if kind is Kind.TAG else values)
    return pa.RecordBatch.from_arrays(arrays, names=list(KINDS))


def evaluated(expression: Expression, batch: pa.RecordBatch) -> list[Scalar]:
    """What the program says of each row."""
    program = compile_(expression, terms(expression))
    vectors = columns_to_vectors(batch, [column.name for column in columns(expression)])
    return listed(program.evaluate(vectors, rows=batch.num_rows), batch.num_rows)


def listed(vector: Vector, rows: int) -> list[Scalar]:
    """A vector as plain values."""
    assert len(vector.values) == len(vector.valid) == rows
    return [vector.at(row) for row in range(rows)]


def oracle() -> duckdb.DuckDBPyConnection:
    """A database that computes as it is told."""
    database = duckdb.connect()
    database.execute("SET threads = 1; PRAGMA disable_optimizer")
    database.execute("CREATE MACRO finite(x) AS CASE WHEN isfinite(x) THEN x END")
    database.execute("CREATE MACRO root(x) AS CASE WHEN x >= 0 THEN sqrt(x) END")
    return database


def asked(database: duckdb.DuckDBPyConnection, expression: Expression, batch: pa.RecordBatch) -> list[Scalar]:
    """What DuckDB says of each row."""
    database.register("rows", pa.Table.from_batches([batch]))
    found = database.execute(f"SELECT {sql_of(expression)} FROM (SELECT * REPLACE (finite(f) AS f, finite(g) AS g) FROM rows)").fetchall()
    database.unregister("rows")
    return [value for (value,) in found]


def column(name: str, *values: Any, kind: Kind | None = None) -> tuple[Column, Vector]:
    """A term and its vector."""
    array = pa.array(values, None if kind is None else ARROW_OF[kind])
    batch = pa.RecordBatch.from_arrays([array], names=[name])
    return Column(name), columns_to_vectors(batch, [name])[0]
