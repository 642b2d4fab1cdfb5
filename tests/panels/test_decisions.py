"""What is decided about panels: what SQL means, when it is asked, when two answers are one, how they are kept. Nothing is done."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from appliance.batching.panels.answer import is_same, settled
from appliance.batching.panels.definition import PanelRefused, understand
from appliance.batching.panels.history import records_of
from appliance.batching.panels.pace import NS, Asked, due_ns
from appliance.batching.panels.parts import NoParts, parts_of
from appliance.errors import QueryRefused
from appliance.records import TS_TYPE

COLUMNS = {"device": "device", "value": "value", "room": "Room"}


def tree(sql: str) -> Any:
    row = duckdb.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    assert row is not None
    return json.loads(row[0])


def moment(us: int) -> Any:
    return pa.scalar(us, TS_TYPE).as_py()


@pytest.mark.parametrize(
    ("sql", "tables", "is_timed", "is_ordered"),
    [
        ("SELECT count(*) FROM Readings", {"readings"}, False, False),
        ("FROM readings ORDER BY ts LIMIT 3", {"readings"}, False, True),
        ("SELECT 1 FROM a JOIN b USING (x) WHERE a.ts > now() - INTERVAL 1 HOUR", {"a", "b"}, True, False),
        ("WITH a AS (FROM c) SELECT * FROM a, d WHERE a.ts > current_date ORDER BY ALL", {"c", "d"}, True, True),
        ("SELECT first(v ORDER BY ts), row_number() OVER (ORDER BY ts) FROM a", {"a"}, False, False),
        ("SELECT x FROM a UNION ALL SELECT x FROM b ORDER BY x", {"a", "b"}, False, True),
    ],
)
def test_what_a_panel_reads_and_whether_time_changes_it(sql: str, tables: set[str], is_timed: bool, is_ordered: bool) -> None:
    meaning = understand("p", sql, tree(sql))
    assert (set(meaning.tables), meaning.is_timed, meaning.is_ordered) == (tables, is_timed, is_ordered)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT a,\n  from FROM x", "the SQL can't be read in its line 2, column 8: syntax error at or near"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("SELECT random() FROM a", "random() is different each time"),
        ("FROM a LIMIT 3", "LIMIT without ORDER BY"),
        ("SELECT * FROM (FROM a LIMIT 3) ORDER BY ts", "LIMIT without ORDER BY"),
        ("SELECT DISTINCT ON (device) * FROM a", "DISTINCT ON without ORDER BY"),
        ("FROM a TABLESAMPLE 10%", "a sample is another one each time"),
        ("SELECT first(v) FROM a", "first() depends on the order"),
        ("SELECT row_number() OVER () FROM a", "row_number() OVER a window without ORDER BY"),
        ("SELECT approx_quantile(v, 0.5) FROM a", "use quantile_cont"),
        ("SELECT * FROM p", "it reads itself"),
        ("SELECT * FROM P_History", "it reads itself"),
        ("SELECT * FROM a_hot", "its path decides that"),
        ("SELECT * FROM lake.a", "there are no schemas here"),
    ],
)
def test_sql_that_could_have_two_answers_over_the_same_records_is_refused(sql: str, reason: str) -> None:
    with pytest.raises(PanelRefused) as e:
        understand("p", sql, tree(sql))
    assert reason in str(e.value)


@pytest.mark.parametrize(
    ("asked", "is_behind", "is_timed", "due_s"),
    [
        (None, False, False, 100.0),  # never asked: now
        (Asked(90 * NS, 90 * NS), False, False, None),  # nothing has come
        (Asked(90 * NS, 90 * NS), True, False, 92.0),  # half of its freshness after the last question
        (Asked(99 * NS, 99 * NS), True, True, 101.0),
        (Asked(99 * NS, 99 * NS), False, True, 103.0),  # time alone: each freshness
        (Asked(90 * NS, 96 * NS), True, False, 102.0),  # it takes no more than half of the time
        (Asked(99 * NS, 99 * NS, failures=1), False, False, 100.0),
        (Asked(99 * NS, 99 * NS, failures=3), True, False, 103.0),
        (Asked(99 * NS, 99 * NS, failures=90), True, False, 159.0),
    ],
)
def test_when_a_panel_of_four_seconds_is_asked(asked: Asked | None, is_behind: bool, is_timed: bool, due_s: float | None) -> None:
    due = due_ns(asked, freshness_s=4.0, is_behind=is_behind, is_timed=is_timed, now_ns=100 * NS)
    assert due == (None if due_s is None else round(due_s * NS))


def test_a_panel_is_never_asked_all_the_time() -> None:
    assert due_ns(Asked(0, 0), freshness_s=0.001, is_behind=True, is_timed=False, now_ns=0) == round(0.2 * NS)


def test_rows_without_an_order_get_one_and_those_with_one_keep_it() -> None:
    rows = pa.table({"a": pa.chunked_array([["y"], ["x", None]]).dictionary_encode(), "b": [[2], [1], [3]]})
    assert settled(rows, is_ordered=False, rows_max=9).column("a").to_pylist() == ["x", "y", None]
    assert settled(rows, is_ordered=True, rows_max=9).column("a").to_pylist() == ["y", "x", None]


def test_an_answer_that_is_too_large_is_refused() -> None:
    with pytest.raises(QueryRefused, match=r"has 3 rows, more than its rows_max \(2\)"):
        settled(pa.table({"a": [1, 2, 3]}), is_ordered=True, rows_max=2)
    with pytest.raises(QueryRefused, match="larger than 4 MiB"):
        settled(pa.table({"a": ["x" * (5 << 20)]}), is_ordered=True, rows_max=2)
    with pytest.raises(QueryRefused, match="a column _as_of of its own"):
        settled(pa.table({"_AS_OF": [1]}), is_ordered=True, rows_max=2)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ([1.0, None], [1.0 + 1e-14, None], True),
        ([1.0, None], [1.0, 2.0], False),
        ([float("nan")], [float("nan")], True),
        ([1.0], [1.0001], False),
        ([1], [1], True),
        ([1], [2], False),
        (["a"], ["a", "b"], False),
        ([1], [1.0], False),
    ],
)
def test_when_two_answers_say_the_same(a: list[Any], b: list[Any], same: bool) -> None:
    assert is_same(pa.table({"x": a}), pa.table({"x": b})) is same


def test_an_answer_becomes_records_of_its_history() -> None:
    table = pa.table(
        {
            "ts": pa.array([1_795_305_600_000_000, None], TS_TYPE),
            "n": pa.array([Decimal(7), Decimal(8)], pa.decimal128(38, 0)),
            "share": pa.array([Decimal("0.5"), None], pa.decimal128(10, 2)),
            "Row": ["a", "b"],
            "list": [[1], [2, 3]],
            "ok": [True, False],
            "nothing": pa.nulls(2),
        }
    )
    batch = records_of("p", table, number=4, as_of_us=5)
    assert (batch.stream, batch.tags) == ("p_history", ("row",))
    first, second = batch.data.to_pylist()
    assert first == {
        "ts": moment(5),
        "row": "0",
        "answer": 4,
        "rows": 2,
        "ts_": "2026-11-22T00:00:00",
        "n": 7,
        "share": 0.5,
        "Row_": "a",
        "list": "[1]",
        "ok": True,
    }
    assert second["row"] == "1"
    assert records_of("p", table.slice(0, 0), number=5, as_of_us=6).data.to_pylist() == [
        {"ts": moment(6), "row": "0", "answer": 5, "rows": 0}
    ]


@pytest.mark.parametrize(
    ("sql", "bucket_s", "view"),
    [
        (
            "SELECT device, avg(value) AS mean FROM r WHERE ts > now() - INTERVAL 1 DAY AND room = 'x' GROUP BY ALL ORDER BY mean",
            3600.0,
            'SELECT time_bucket(to_seconds(3600), ts) AS bucket, device AS device, sum("value") AS p0, count("value") AS p1'
            " FROM r WHERE (room = 'x') GROUP BY ALL",
        ),
        (
            "SELECT time_bucket(INTERVAL '5 minutes', ts) AS t, count(*) FROM r GROUP BY t HAVING max(value) > 3",
            300.0,
            'SELECT time_bucket(to_seconds(300), ts) AS bucket, count_star() AS p0, max("value") AS p1 FROM r GROUP BY ALL',
        ),
    ],
)
def test_the_view_of_a_closed_part(sql: str, bucket_s: float, view: str) -> None:
    parts = parts_of(tree(sql), COLUMNS)
    whole = json.dumps({"error": False, "statements": [{"node": parts.node, "named_param_map": []}]})
    row = duckdb.execute("SELECT json_deserialize_sql(?::JSON)", [whole]).fetchone()
    assert row == (view,)
    assert parts.bucket_s == bucket_s


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT ts, value FROM r", "asks for the time of each record"),
        ("SELECT device, value FROM r", "shows records one by one"),
        ("SELECT median(value) FROM r", "median of all"),
        ("SELECT count(DISTINCT value) FROM r", "count of all"),
        ("SELECT count(*) FROM r WHERE second(ts) = 3", "its WHERE asks for the time of each record"),
        ("SELECT time_bucket(INTERVAL '10 seconds', ts), count(*) FROM r GROUP BY ALL", "finer than a minute"),
        ("SELECT count(*) FROM r JOIN s USING (device)", "no plain SELECT"),
        ("SELECT device, rank() OVER (ORDER BY device) FROM r GROUP BY ALL", "it holds a window"),
    ],
)
def test_what_has_no_closed_part(sql: str, reason: str) -> None:
    with pytest.raises(NoParts) as e:
        parts_of(tree(sql), COLUMNS)
    assert reason in str(e.value)
