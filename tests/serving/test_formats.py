"""Every format gives the rows back as they were, in bounded pieces."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.records import Column, Kind, Schema
from appliance.serving.formats import PIECE_BYTES, distinct, encoder, open_database
from appliance.serving.text_table import CELL_WIDTH_MAX, ROWS_MAX, TableEncoder, visible
from tests.examples import examples
from tests.serving.world import lake_table

SCHEMA = Schema(
    "s", (Column("tag", Kind.TAG), Column("f", Kind.FLOAT), Column("i", Kind.INT), Column("b", Kind.BOOL), Column("text", Kind.TEXT))
)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_database() as opened:
        yield opened


def encoded(database: duckdb.DuckDBPyConnection, format_: str, table: pa.Table, *, rows_each: int = 3) -> bytes:
    pieces: list[bytes] = []
    out = encoder(format_, table.schema, pieces.append, database)
    for batch in table.to_batches(max_chunksize=rows_each):
        out.add(batch)
    out.close()
    return b"".join(pieces)


def iso(us: int) -> str:
    moment = datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
    return moment.isoformat().replace("+00:00", "Z")


TEXTS = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "ts": st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
            "tag": TEXTS,
            "f": st.one_of(st.none(), st.floats()),
            "i": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            "b": st.sampled_from([None, True, False]),
            "text": TEXTS,
            "_seq": st.integers(1, 2**40),
        }
    ),
    max_size=7,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_any_rows_come_back_from_json_and_csv(database: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    table = lake_table(rows, SCHEMA)
    shown = [
        {
            **{k: r[k] for k in ("tag", "i", "b", "text", "_seq")},
            "ts": iso(r["ts"]),
            "f": r["f"] if r["f"] is not None and math.isfinite(r["f"]) else None,
        }
        for r in rows
    ]
    assert json.loads(encoded(database, "json", table)) == shown
    assert [json.loads(line) for line in encoded(database, "jsonl", table).split(b"\n") if line] == shown
    read = list(csv.reader(io.StringIO(encoded(database, "csv", table).decode(), newline="")))
    assert read[0] == ["ts", "tag", "f", "i", "b", "text", "_seq"]
    assert len(read) == len(rows) + 1
    for got, row in zip(read[1:], rows, strict=True):
        assert got[0] == iso(row["ts"])
        assert (got[1], got[5]) == (row["tag"] or "", row["text"] or "")
        assert got[3] == ("" if row["i"] is None else str(row["i"]))
        assert got[4] == ("" if row["b"] is None else str(row["b"]).lower())
        assert (got[2] == "") == (row["f"] is None)
        assert row["f"] is None or (math.isnan(row["f"]) and math.isnan(float(got[2]))) or float(got[2]) == row["f"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_any_rows_come_back_from_parquet_and_arrow_with_their_types(
    database: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]
) -> None:
    table = lake_table(rows, SCHEMA)
    parquet = pq.read_table(io.BytesIO(encoded(database, "parquet", table)))
    arrow = pa.ipc.open_stream(encoded(database, "arrow", table)).read_all()
    for found in (parquet, arrow):
        assert found.schema.equals(table.schema)
        assert repr(found.to_pylist()) == repr(table.to_pylist())


def test_nested_and_odd_types_are_written_as_promised(database: duckdb.DuckDBPyConnection) -> None:
    sql = """SELECT [TIMESTAMP '2026-01-01 00:00:00.5', NULL] AS l, {'a': 'nan'::DOUBLE, 'b': [1.5]} AS s, MAP {'k': 1} AS m,
        DATE '2026-01-01' AS d, INTERVAL '1 hour' AS iv, TIME '01:02:03' AS t, 12345678901234567890::HUGEINT AS h,
        1.25::DECIMAL(5, 2) AS de, 'x'::BLOB AS bl,
        TIMESTAMPTZ '2026-01-01 00:00:00+02' AS z, TIMESTAMP 'infinity' AS inf, NULL AS n"""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        table = db.sql(sql).to_arrow_table()
    (row,) = json.loads(encoded(database, "json", table), parse_float=str, parse_int=str)
    assert row == {
        "l": ["2026-01-01T00:00:00.500000Z", None],
        "s": {"a": None, "b": ["1.5"]},
        "m": {"k": "1"},
        "d": "2026-01-01",
        "iv": "01:00:00",
        "t": "01:02:03",
        "h": "12345678901234567890",
        "de": "1.25",
        "bl": "eA==",
        "z": "2025-12-31T22:00:00Z",
        "inf": "infinity",
        "n": None,
    }
    _, cells = csv.reader(io.StringIO(encoded(database, "csv", table).decode()))
    assert cells[:3] == ['["2026-01-01T00:00:00.500000Z",null]', '{"a":null,"b":[1.5]}', '{"k":1}']
    assert pq.read_table(io.BytesIO(encoded(database, "parquet", table))).column("iv").to_pylist() == ["01:00:00"]


def test_an_empty_result_is_whole_in_every_format(database: duckdb.DuckDBPyConnection) -> None:
    table = lake_table([], SCHEMA)
    assert json.loads(encoded(database, "json", table)) == []
    assert encoded(database, "jsonl", table) == b""
    assert encoded(database, "csv", table).count(b"\n") == 1
    assert pq.read_table(io.BytesIO(encoded(database, "parquet", table))).num_rows == 0
    assert pa.ipc.open_stream(encoded(database, "arrow", table)).read_all().num_rows == 0


def test_columns_of_one_name_are_told_apart(database: duckdb.DuckDBPyConnection) -> None:
    assert distinct(["a", "A", "a_1", "b"]) == ["a", "A_1", "a_1_1", "b"]
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert json.loads(encoded(database, "json", table)) == [{"a": 1, "a_1": 2}]
    assert encoded(database, "csv", table).splitlines()[0] == b'"a","a_1"'


def test_a_large_result_goes_out_in_pieces(database: duckdb.DuckDBPyConnection) -> None:
    table = pa.table({"text": ["x" * 100] * 50_000})
    for format_ in ("json", "csv", "arrow"):
        pieces: list[bytes] = []
        out = encoder(format_, table.schema, pieces.append, database)
        for batch in table.to_batches(max_chunksize=10_000):
            out.add(batch)
        out.close()
        assert max(map(len, pieces)) < 8 * PIECE_BYTES
        assert len(pieces) > 3


def test_a_table_for_people_shows_foreign_text_and_cannot_be_moved_by_it(database: duckdb.DuckDBPyConnection) -> None:
    evil = "\x1b]0;title\x07\u202eabc\u200b\n"
    table = pa.table({"name": [evil, None, "ü", "数"], "n\x1b[2J": [1, 22, None, 3]})
    text = encoded(database, "table", table).decode()
    assert all(c.isprintable() or c == "\n" for c in text)
    lines = text.splitlines()
    assert len(lines) == 6
    assert "\\x1b]0;title" in lines[2]
    assert lines[3].strip() == "22"
    assert visible("plain") == "plain"


def test_a_plan_is_drawn_as_duckdb_draws_it(database: duckdb.DuckDBPyConnection) -> None:
    with duckdb.connect() as db:
        table = db.sql("EXPLAIN SELECT 42").to_arrow_table()
    text = encoded(database, "table", table).decode()
    assert text.splitlines() == table.column("explain_value").to_pylist()[0].splitlines()


def test_a_table_is_cut_in_height_and_width_and_says_so(database: duckdb.DuckDBPyConnection) -> None:
    pieces: list[bytes] = []
    table = pa.table({"text": ["y" * 500] * (ROWS_MAX + 5)})
    out = TableEncoder(table.schema, pieces.append, database)
    for batch in table.to_batches(max_chunksize=300):
        out.add(batch)
    out.close()
    lines = b"".join(pieces).decode().splitlines()
    assert out.full
    assert out.note is not None
    assert "1,000" in out.note
    assert len(lines) == 2 + ROWS_MAX + 1
    assert max(map(len, lines)) <= CELL_WIDTH_MAX
