"""What SQL from outside may do: one statement, and only read what the catalog knows."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from appliance.errors import QueryRefused
from appliance.serving.gate import admit


@pytest.fixture(scope="module")
def parser() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


HOSTILE = [
    "COPY readings TO 'lake/readings/x.parquet'",
    "COPY (SELECT 1) TO '/tmp/x.csv'",
    "COPY readings FROM 'x.csv'",
    "WITH x AS (COPY (SELECT 1) TO 'lake/x.parquet') SELECT 1",
    "SELECT * FROM (WITH x AS (COPY (SELECT 1) TO 'lake/x.parquet') SELECT 1)",
    "WITH x AS (INSERT INTO readings VALUES (1) RETURNING 1) SELECT * FROM x",
    "WITH x AS (DELETE FROM readings RETURNING 1) SELECT * FROM x",
    "WITH x AS (UPDATE readings SET ts = now() RETURNING 1) SELECT * FROM x",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'lake/x.parquet'",
    "EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO 'lake/x.parquet') SELECT 1",
    "EXPLAIN (ANALYZE) DELETE FROM readings",
    "EXPLAIN ANALYZE SELECT 1; DROP TABLE readings",
    "SET memory_limit = '100GB'",
    "RESET ALL",
    "SET VARIABLE x = 1",
    "PRAGMA database_size",
    "ATTACH 'hot.sqlite' AS hot (TYPE sqlite)",
    "DETACH memory",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL duckdb_settings()",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "CREATE TABLE x AS SELECT 1",
    "CREATE OR REPLACE MACRO now() AS 1",
    "CREATE SECRET (TYPE s3)",
    "DROP VIEW readings",
    "ALTER TABLE readings ADD COLUMN x INT",
    "INSERT INTO readings VALUES (1)",
    "UPDATE readings SET ts = now()",
    "DELETE FROM readings",
    "MERGE INTO readings USING readings o ON true WHEN MATCHED THEN DELETE",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "COMMENT ON TABLE readings IS 'x'",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE readings",
    "",
    "   -- nothing but a comment",
    "SELECT ?",
    "SELECT $name",
    "SELECT * FROM read_parquet('lake/readings/*.parquet')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('x.csv')",
    "SELECT * FROM read_blob('hot.sqlite')",
    "SELECT * FROM read_json('x.json')",
    "SELECT * FROM parquet_metadata('lake/x.parquet')",
    "SELECT * FROM glob('**')",
    "SELECT * FROM sniff_csv('x')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM query('DROP TABLE readings')",
    "SELECT * FROM query_table('readings')",
    "SELECT * FROM json_execute_serialized_sql('x')",
    "SELECT * FROM enable_logging()",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM system.main.range(3)",
    "SELECT (SELECT count(*) FROM read_text('/etc/passwd'))",
    "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
    "SELECT * FROM readings WHERE device IN (SELECT content FROM read_text('/etc/passwd'))",
    "SUMMARIZE SELECT * FROM read_text('/etc/passwd')",
    "PIVOT readings ON device USING sum(value)",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM lake.readings",
    "SHOW DATABASES",
    "SHOW ALL TABLES",
    "SELECT",
    "SELEC 1",
    "SELECT 1\0; DROP TABLE readings",
    "SELECT '\ud800'",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT " + "1 + " * 300_000 + "1",
]


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda sql: sql[:60].encode("ascii", "replace").decode().replace("\0", "0"))
def test_what_does_not_only_read_is_refused(parser: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(QueryRefused):
        admit(parser, sql)


READING = {
    "SELECT 1": (),
    "SELECT * FROM readings;": ("readings",),
    "FROM readings": ("readings",),
    "TABLE readings": ("readings",),
    "VALUES (1)": (),
    'SELECT * FROM "My Stream", main.other': ("My Stream", "other"),
    "SELECT * FROM READINGS a, readings b": ("readings",),
    "WITH x AS (SELECT * FROM readings) SELECT * FROM x": ("readings",),
    "WITH readings AS (SELECT * FROM readings) SELECT * FROM readings": ("readings",),
    "WITH x AS (SELECT 1), y AS (SELECT * FROM x) SELECT * FROM y": (),
    "WITH y AS (SELECT * FROM x), x AS (SELECT 1) SELECT * FROM y": ("x",),
    "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 3) SELECT * FROM x": (),
    "SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x), x": ("x",),
    "WITH x AS (SELECT 1) SELECT * FROM main.x": ("x",),
    "SELECT (SELECT max(ts) FROM a) FROM b WHERE EXISTS (FROM c) AND ts IN (SELECT ts FROM d)": ("a", "b", "c", "d"),
    "SELECT * FROM a UNION ALL SELECT * FROM b EXCEPT SELECT * FROM c": ("a", "b", "c"),
    "SELECT * FROM a ASOF JOIN b USING (device, ts) POSITIONAL JOIN c": ("a", "b", "c"),
    "SELECT * FROM range(3), generate_series(1, 2), unnest([1]), json_each('[1]')": (),
    "PIVOT readings ON device IN ('a') USING sum(value)": ("readings",),
    "UNPIVOT readings ON value": ("readings",),
    "DESCRIBE readings": ("readings",),
    "SHOW readings": ("readings",),
    "SUMMARIZE readings": ("readings",),
    "EXPLAIN SELECT * FROM readings": ("readings",),
    "EXPLAIN ANALYZE SELECT * FROM readings": ("readings",),
    "EXPLAIN (FORMAT json) SELECT * FROM readings": ("readings",),
    "/* a */ EXPLAIN -- b\n SELECT * FROM readings": ("readings",),
    "SELECT 'COPY x TO y; DROP TABLE z' FROM readings": ("readings",),
    "SELECT * FROM 'lake/x.parquet'": ("lake/x.parquet",),
}
"""What may run -> the names that it reads; a file's name is a name like any other, that no catalog knows."""


@pytest.mark.parametrize("sql", READING)
def test_what_reads_is_admitted_with_the_names_of_its_tables(parser: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert {name.lower() for name in admit(parser, sql).tables} == {name.lower() for name in READING[sql]}


def test_explain_is_put_together_anew_so_that_only_what_was_admitted_runs(parser: duckdb.DuckDBPyConnection) -> None:
    found = admit(parser, "  explain  analyze /* x */ SELECT 1")
    assert found.explain == "EXPLAIN ANALYZE"
    assert "SELECT 1" in found.whole
    assert admit(parser, found.whole).sql.strip().endswith("SELECT 1")


def test_show_tables_is_known_as_such(parser: duckdb.DuckDBPyConnection) -> None:
    assert admit(parser, "SHOW TABLES").shows_tables
    assert not admit(parser, "SHOW readings").shows_tables


def test_a_refusal_says_what_to_do(parser: duckdb.DuckDBPyConnection) -> None:
    for sql, hint in (
        ("PIVOT readings ON device USING sum(value)", "IN ('a', 'b')"),
        ("SELECT * FROM db.cpu", '"db.cpu"'),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("DROP TABLE x", "DROP"),
    ):
        with pytest.raises(QueryRefused) as refused:
            admit(parser, sql)
        assert hint in str(refused.value)
