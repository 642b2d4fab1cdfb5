"""Which SQL can be a view, in a table: what is understood of it, and in which words the rest is refused."""

from __future__ import annotations

from typing import Any

import duckdb
import msgspec
import pytest

from appliance.cold.batch.views.definition import ViewRefused, define
from appliance.cold.batch.views.tree import AGGREGATES, interval_us, unit_us
from appliance.derived import Aggregate, Definition, Key

HOUR_US = 3_600_000_000
BUCKET = "time_bucket(INTERVAL '1 hour', ts) AS bucket"


@pytest.fixture(scope="module")
def parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def tree_of(parser: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = parser.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert row is not None
    return msgspec.json.decode(row[0])


def understood(parser: duckdb.DuckDBPyConnection, sql: str, *, width_us: int = HOUR_US, on_view: bool | None = False) -> Definition:
    return define("v", sql, tree_of(parser, sql), bucket_us=width_us, source_is_view=on_view)


ACCEPTED = [
    f"SELECT {BUCKET}, count(*) AS n FROM s GROUP BY ALL",
    f"SELECT {BUCKET}, count(*) AS n FROM s GROUP BY bucket",
    f"SELECT {BUCKET}, count(*) AS n FROM s GROUP BY 1",
    f"SELECT {BUCKET}, d, count(*) AS n FROM s GROUP BY d, time_bucket(INTERVAL '1 hour', TS)",
    f"SELECT d, {BUCKET}, count(*) AS n FROM s WHERE x > 3 GROUP BY ALL HAVING count(*) > 1",
    "SELECT time_bucket(INTERVAL 1 HOUR, s.ts) AS bucket, count(*) AS n FROM s GROUP BY ALL",
    "SELECT time_bucket(INTERVAL '60 minutes', r.ts) AS bucket, count(*) AS n FROM s AS r GROUP BY ALL",
    "SELECT date_trunc('hour', ts) AS bucket, sum(x) FILTER (WHERE y) AS n FROM s GROUP BY ALL -- a comment",
    f"SELECT {BUCKET}, lower(d) AS e, max(x) - min(x) AS spread FROM s GROUP BY ALL ORDER BY 1",
    f"SELECT {BUCKET}, list(x ORDER BY ts) AS xs, any_value(d) AS d FROM s GROUP BY ALL",
    f'SELECT {BUCKET}, count(*) AS n FROM "a.b" GROUP BY ALL',
    f"FROM s SELECT {BUCKET}, count(*) AS n GROUP BY ALL",
]


@pytest.mark.parametrize("sql", ACCEPTED)
def test_is_taken(parser: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert understood(parser, sql).bucket == "bucket"


REFUSED = [
    ("SELEC 1", "can't be read: syntax error"),
    (f"SELECT {BUCKET} FROM s GROUP BY ALL; SELECT 1", "2 statements"),
    ("SELECT count(*) AS n FROM s", "no column bucket"),
    ("SELECT ts AS bucket, count(*) AS n FROM s GROUP BY ALL", "must be time_bucket"),
    (f"SELECT {BUCKET}, d, count(*) AS n FROM s GROUP BY d", "does not group by its column bucket"),
    (f"SELECT {BUCKET}, x FROM s", "does not group by its column bucket"),
    ("SELECT time_bucket(INTERVAL '2 hours', ts) AS bucket, count(*) AS n FROM s GROUP BY ALL", "2h, its option bucket says 1h"),
    ("SELECT time_bucket(INTERVAL '1 month', ts) AS bucket, count(*) AS n FROM s GROUP BY ALL", "months and years have no fixed width"),
    ("SELECT date_trunc('month', ts) AS bucket, count(*) AS n FROM s GROUP BY ALL", "months and years have no fixed width"),
    ("SELECT time_bucket(INTERVAL '1 hour', ts, INTERVAL '5 minutes') AS bucket, count(*) AS n FROM s GROUP BY ALL", "an offset"),
    ("SELECT time_bucket(INTERVAL '1 hour', ts + INTERVAL '1 day') AS bucket, count(*) AS n FROM s GROUP BY ALL", "column ts itself"),
    ("SELECT time_bucket(INTERVAL '1 hour', other) AS bucket, count(*) AS n FROM s GROUP BY ALL", "column ts itself"),
    (f"SELECT {BUCKET}, count(*) AS n FROM s GROUP BY ALL LIMIT 5", "LIMIT looks beyond one bucket"),
    (f"SELECT DISTINCT {BUCKET}, count(*) AS n FROM s GROUP BY ALL", "DISTINCT looks beyond"),
    (f"SELECT {BUCKET}, count(*) AS n FROM s GROUP BY ALL QUALIFY row_number() OVER () = 1", "QUALIFY"),
    (f"SELECT {BUCKET}, sum(count(*)) OVER () AS n FROM s GROUP BY ALL", "window function"),
    (f"SELECT {BUCKET}, (SELECT max(x) FROM s) AS n FROM s GROUP BY ALL", "a SELECT within"),
    (f"SELECT {BUCKET}, count(*) AS n FROM s WHERE ts > now() - INTERVAL 1 DAY GROUP BY ALL", r"now\(\) is different each time"),
    (f"SELECT {BUCKET}, count(*) AS n FROM s WHERE ts > current_date GROUP BY ALL", "current_date.* is different each time"),
    (f"SELECT {BUCKET}, sum(random()) AS n FROM s GROUP BY ALL", r"random\(\) is different"),
    (f"SELECT {BUCKET}, first(x) AS n FROM s GROUP BY ALL", r"first\(\) depends on the order"),
    (f"SELECT {BUCKET}, approx_quantile(x, 0.5) AS n FROM s GROUP BY ALL", "use quantile_cont"),
    (f"SELECT {BUCKET}, count(*) FROM s GROUP BY ALL", "needs a name: write AS … after count_star"),
    (f"SELECT {BUCKET}, min(x) AS n, max(x) AS N FROM s GROUP BY ALL", "two of its columns are called N"),
    (f"SELECT {BUCKET}, * FROM s GROUP BY ALL", "name its columns one by one"),
    (f"SELECT {BUCKET}, count(*) AS n FROM s JOIN t USING (ts) GROUP BY ALL", "it joins"),
    (f"SELECT {BUCKET}, count(*) AS n FROM s, t GROUP BY ALL", "it joins"),
    (f"SELECT {BUCKET}, count(*) AS n FROM (SELECT * FROM s) GROUP BY ALL", "a SELECT within"),
    (f"WITH x AS (SELECT * FROM s) SELECT {BUCKET}, count(*) AS n FROM x GROUP BY ALL", "without WITH"),
    (f"SELECT {BUCKET} FROM s GROUP BY ALL UNION ALL SELECT {BUCKET} FROM t GROUP BY ALL", "without UNION"),
    (f"SELECT {BUCKET}, count(*) AS n FROM s TABLESAMPLE 10% GROUP BY ALL", "another one each time"),
    (f"SELECT {BUCKET}, d, count(*) AS n FROM s GROUP BY ROLLUP (1, 2)", "rows without a bucket"),
    (f"SELECT {BUCKET}, count(*) AS n FROM main.s GROUP BY ALL", "no schemas"),
    (f"SELECT {BUCKET}, count(*) AS n FROM read_csv('/etc/passwd') GROUP BY ALL", "from one stream or view"),
    ("SELECT time_bucket(INTERVAL '1 hour', TIMESTAMP '2020-01-01') AS bucket", "reads from no stream"),
]


@pytest.mark.parametrize(("sql", "words"), REFUSED)
def test_is_refused_with_the_reason(parser: duckdb.DuckDBPyConnection, sql: str, words: str) -> None:
    with pytest.raises(ViewRefused, match=words):
        understood(parser, sql)


def test_what_is_understood_of_it(parser: duckdb.DuckDBPyConnection) -> None:
    sql = (
        f"SELECT {BUCKET}, Device, lower(room) AS room, count(*) AS n, avg(Value) AS mean, sum(DISTINCT value) AS d, max(value) - 1 AS top"
        " FROM Readings WHERE value > 0 GROUP BY ALL"
    )
    found = understood(parser, sql)
    assert (found.source, found.bucket_us, found.having) == ("Readings", HOUR_US, False)
    assert found.keys == (Key("Device", "device"), Key("room", None))
    assert found.aggregates == (
        Aggregate("n", "count_star", None, plain=True),
        Aggregate("mean", "avg", "value", plain=True),
        Aggregate("d", "sum", "value", plain=False),
        Aggregate("top", None, None, plain=False),
    )
    assert set(found.columns_read) == {"ts", "device", "room", "value"}
    assert found.condition is not None


def test_spaces_comments_and_the_case_of_names_change_nothing(parser: duckdb.DuckDBPyConnection) -> None:
    first = understood(parser, f"SELECT {BUCKET}, d, max(x) AS top FROM s GROUP BY ALL")
    again = understood(parser, f"select {BUCKET},\n  D as d, /* the top */ max(X) AS top\nFROM s GROUP BY ALL")
    other = understood(parser, f"SELECT {BUCKET}, d, max(y) AS top FROM s GROUP BY ALL")
    assert first.identity.meaning == again.identity.meaning != other.identity.meaning


def test_a_view_on_a_view_is_made_of_its_bucket(parser: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT time_bucket(INTERVAL '1 hour', bucket) AS bucket, sum(n) AS n FROM minutes GROUP BY ALL"
    assert understood(parser, sql, on_view=True).source == "minutes"
    with pytest.raises(ViewRefused, match="column ts itself"):
        understood(parser, sql, on_view=False)
    with pytest.raises(ViewRefused, match="may mean the source's own column"):
        understood(parser, sql.replace("GROUP BY ALL", "GROUP BY bucket"), on_view=True)


@pytest.mark.parametrize(
    "written",
    [
        "'1 hour'",
        "'90 minutes'",
        "'1h30m'",
        "'2 days 3 hours'",
        "'1 week'",
        "'15 min'",
        "'30s'",
        "'250ms'",
        "90 MINUTES",
        "(2) DAYS",
        "'1' HOUR",
    ],
)
def test_widths_are_what_duckdb_takes_them_for(parser: duckdb.DuckDBPyConnection, written: str) -> None:
    tree = tree_of(parser, f"SELECT INTERVAL {written}")
    (months, us) = parser.execute(f"SELECT datepart('month', i), epoch_us(i) FROM (SELECT INTERVAL {written} AS i)").fetchone() or (0, 0)
    assert (months, interval_us(tree["statements"][0]["node"]["select_list"][0])) == (0, us)


@pytest.mark.parametrize("unit", ["second", "minute", "m", "hour", "h", "day", "d", "week", "w"])
def test_date_trunc_and_time_bucket_of_a_unit_are_one(parser: duckdb.DuckDBPyConnection, unit: str) -> None:
    width = unit_us(unit)
    times = "SELECT make_timestamp(i * 7919777777) AS t FROM range(-500, 500000, 997) r(i)"
    sql = f"SELECT bool_and(date_trunc('{unit}', t) = time_bucket(to_microseconds({width}), t)) FROM ({times})"
    assert parser.execute(sql).fetchone() == (True,)


def test_every_aggregate_of_duckdb_is_known(parser: duckdb.DuckDBPyConnection) -> None:
    found = parser.execute("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'").fetchall()
    assert {row[0] for row in found} == AGGREGATES
