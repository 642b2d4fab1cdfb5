"""Plain questions are understood from their tree alone, and just as a plan of DuckDB's would have it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.serving.duck import Planner
from appliance.serving.engine import Engine
from appliance.serving.gate import admit
from appliance.serving.newest import newest_of, stretches
from appliance.serving.plain_select import plain_need, plain_select
from appliance.serving.pruning import Need
from appliance.serving.snapshot import Side, TableInfo, columns_of
from tests.examples import examples
from tests.serving.asking import NOW_US, ask, flat, rows
from tests.serving.test_pruning import BOUNDED, EXACT, ROUGH, UNBOUNDED
from tests.serving.world import VERSIONS, World, at

TABLE = TableInfo("readings", Side.MERGED, "readings", columns_of(VERSIONS[3]))
NAMES = frozenset(name for name, _ in TABLE.columns)


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    made = Planner()
    yield made
    made.close()


def read_off(planner: Planner, sql: str) -> Need | None:
    """What the tree alone says; None when DuckDB is asked."""
    plain = plain_select(admit(planner.connection, sql).tree)
    return None if plain is None else plain_need(plain, TABLE, now_us=NOW_US)


CONDITIONS = [f"SELECT device, value FROM readings WHERE {c}" for c in (*EXACT, *ROUGH)]


@pytest.mark.parametrize("sql", [*CONDITIONS, *UNBOUNDED, *BOUNDED])
def test_what_is_read_off_the_tree_is_what_the_plan_says(planner: Planner, sql: str) -> None:
    found = read_off(planner, sql)
    if found is None:
        return
    planned = planner.needs(sql, [TABLE], now_us=NOW_US)["readings"]
    assert found.span == planned.span
    assert found.columns >= planned.columns


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT device, value FROM readings WHERE ts >= '2026-01-02' AND ts < TIMESTAMP '2026-01-03 04:05:06.5'",
        "SELECT avg(r.value) FROM readings AS r WHERE r.ts > make_timestamp(1767312000000000) GROUP BY r.device",
        "SELECT count(*) FROM readings",
        "SELECT * FROM readings ORDER BY ts DESC LIMIT 5",
        "SELECT time_bucket(INTERVAL '1 hour', ts) AS t, max(value) FROM readings WHERE ts BETWEEN '2026-01-01' AND '2026-01-02'"
        " GROUP BY 1",
        "FROM readings WHERE device IN ('a', 'b')",
    ],
)
def test_plain_questions_need_no_plan(planner: Planner, sql: str) -> None:
    assert read_off(planner, sql) is not None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ts + INTERVAL 1 DAY AS ts FROM readings WHERE ts > '2026-01-02'",
        "SELECT * FROM readings a, readings b",
        "SELECT * FROM (SELECT * FROM readings) WHERE ts > '2026-01-02'",
        "SELECT * FROM readings WHERE value > (SELECT avg(value) FROM readings)",
        "WITH r AS (SELECT * FROM readings) SELECT * FROM r",
        "SELECT * FROM readings AS device(x) WHERE x > '2026-01-02'",
        "SELECT * FROM readings WHERE ts > '2 January 2026'",
        "SELECT * FROM readings UNION ALL SELECT * FROM readings",
        "SELECT device FROM readings AS device WHERE ts > '2026-01-02'",
        "SELECT time_bucket(INTERVAL '1 hour', ts) AS b, avg(value) FROM readings GROUP BY ALL HAVING b >= '2026-01-02'",
    ],
)
def test_what_is_not_plain_is_left_to_the_plan(planner: Planner, sql: str) -> None:
    assert read_off(planner, sql) is None


def test_columns_are_those_that_are_named(planner: Planner) -> None:
    found = read_off(planner, "SELECT avg(VALUE) FROM readings WHERE Device = 'a' ORDER BY max(ok), max(note)")
    assert found is not None
    assert found.columns == {"value", "device", "note", "ok"}
    for sql in (
        "SELECT * FROM readings",
        "SELECT readings FROM readings",
        "SELECT COLUMNS('d.*') FROM readings",
        "SELECT #1 FROM readings",
    ):
        whole = read_off(planner, sql)
        assert whole is None or whole.columns == NAMES, sql


def test_a_mistake_is_worded_for_the_sql_as_it_was_written(engine: Engine, world: World) -> None:
    with pytest.raises(Exception, match="valeu") as caught:
        ask(engine, world.source(), "SELECT valeu FROM readings")
    assert "read_parquet" not in str(caught.value)
    assert "SELECT valeu FROM readings" in str(caught.value)


NEWEST = {
    "SELECT * FROM readings ORDER BY ts DESC LIMIT 5": (5, 0),
    "SELECT device, ts FROM readings r WHERE value > 3 ORDER BY r.ts DESC, device LIMIT 7": (7, 0),
    "SELECT time_bucket(INTERVAL '1 minute', ts) AS t, max(value) FROM readings GROUP BY t ORDER BY t DESC LIMIT 5": (5, 60_000_000),
    "SELECT time_bucket(INTERVAL '2 hours', ts) AS t, device, sum(value) FROM readings GROUP BY ALL ORDER BY t DESC, 2 LIMIT 3": (
        3,
        7_200_000_000,
    ),
    "SELECT * FROM readings ORDER BY ts LIMIT 5": None,
    "SELECT * FROM readings ORDER BY ts DESC LIMIT 5 OFFSET 2": None,
    "SELECT * FROM readings ORDER BY value DESC LIMIT 5": None,
    "SELECT DISTINCT device FROM readings ORDER BY ts DESC LIMIT 5": None,
    "SELECT *, row_number() OVER (ORDER BY ts) FROM readings ORDER BY ts DESC LIMIT 5": None,
    "SELECT max(value) FROM readings ORDER BY ts DESC LIMIT 5": None,
    "SELECT time_bucket(INTERVAL '1 month', ts) AS t, max(value) FROM readings GROUP BY t ORDER BY t DESC LIMIT 5": None,
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS t, max(value) FROM readings GROUP BY t ORDER BY 2 DESC LIMIT 5": None,
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS value, max(value) FROM readings GROUP BY 1 ORDER BY value DESC LIMIT 5": None,
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS t, max(value) FROM readings GROUP BY ROLLUP (t, device) ORDER BY t DESC LIMIT 5": None,
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS t, sum(count(*)) OVER () FROM readings GROUP BY t ORDER BY t DESC LIMIT 5": None,
}


@pytest.mark.parametrize("sql", NEWEST)
def test_questions_for_the_newest_are_known(planner: Planner, sql: str) -> None:
    plain = plain_select(admit(planner.connection, sql).tree)
    found = None if plain is None else newest_of(plain, NAMES)
    assert (None if found is None else (found.rows, found.width_us)) == NEWEST[sql]


def test_stretches_become_longer_and_begin_with_a_bucket(planner: Planner) -> None:
    sql = "SELECT time_bucket(INTERVAL '1 minute', ts) AS t, max(value) FROM readings GROUP BY t ORDER BY t DESC LIMIT 5"
    plain = plain_select(admit(planner.connection, sql).tree)
    assert plain is not None
    newest = newest_of(plain, NAMES)
    assert newest is not None
    found = list(stretches(newest, low_us=at(0), high_us=at(17, day=2), records=1_000))
    assert found == sorted(found, reverse=True)
    assert [us % 60_000_000 for us in found] == [0] * len(found)
    assert found[0] <= at(17, day=2) - 5 * 60_000_000
    assert all(us > at(0) for us in found)
    assert list(stretches(newest, low_us=0, high_us=0, records=0)) == []


NUMBERS = itertools.count()
ASKED = [sql for sql, found in NEWEST.items() if found is not None and "ts FROM" not in sql] + [
    "SELECT ts FROM readings ORDER BY ts DESC LIMIT 9",
    "SELECT ts FROM readings WHERE device = 'b' ORDER BY ts DESC LIMIT 2",
    "SELECT time_bucket(INTERVAL '10 minutes', ts) AS t, count(*) AS n FROM readings WHERE value > 4 GROUP BY t ORDER BY t DESC LIMIT 4",
    "SELECT time_bucket(INTERVAL '10 minutes', ts) AS t, count(*) AS n FROM readings GROUP BY t HAVING n > 1 ORDER BY t DESC LIMIT 3",
]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 2_880), st.sampled_from("ab"), st.integers(0, 9)), min_size=1, max_size=12), max_size=6
    ),
    rolled=st.integers(0, 6),
    sql=st.sampled_from([s for s in ASKED if not s.startswith("SELECT *")]),
)
def test_the_newest_are_the_newest_wherever_they_lie(
    root: Path, engine: Engine, batches: list[list[tuple[int, str, int]]], rolled: int, sql: str
) -> None:
    world = World(root, f"newest{next(NUMBERS)}")
    for number, batch in enumerate(batches):
        world.commit([{"ts": at(60 * minute), "device": device, "value": float(value)} for minute, device, value in batch])
        if number + 1 == rolled:
            world.roll(len(world.rows), parts=2)
    found, _ = ask(engine, world.source(), sql)
    assert rows(found) == rows(flat(world.flat(), sql))
