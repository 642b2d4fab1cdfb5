"""A question that comes again with other times and names is run by the plan of the one before, and answered as if it was the first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.clock import SystemClock
from appliance.errors import QueryRefused
from appliance.serving.engine import Engine
from appliance.serving.question import Question
from tests.serving.asking import NOW_US, flat, rows
from tests.serving.world import World, at

SAME: dict[str, tuple[tuple[Any, ...], ...]] = {
    "SELECT ts, value FROM readings WHERE device = '{}' AND ts >= make_timestamp({}) ORDER BY ts": (
        ("a", at(9)),
        ("b", at(40)),
        ("it's", at(0)),
    ),
    "SELECT device, count(*) AS n, avg(value) AS mean FROM readings WHERE ts >= '{}' AND ts < TIMESTAMP '{}' GROUP BY ALL": (
        ("2026-01-01 00:00:10", "2026-01-01 00:00:40"),
        ("2026-01-01", "2026-01-02"),
        ("2026-01-01 00:00:20.5", "2026-01-01 00:00:21"),
    ),
    "SELECT r.* FROM readings r WHERE r.device IN ('{}', '{}') AND r.ts BETWEEN make_timestamp({}) AND make_timestamp({})": (
        ("a", "b", at(0), at(30)),
        ("b", "none", at(10), at(30)),
        ("", "c", at(0), at(60)),
    ),
    "SELECT time_bucket(INTERVAL '{}', ts) AS t, max(value) AS m FROM readings WHERE '{}' = device GROUP BY t": (
        ("10 seconds", "a"),
        ("10 seconds", "b"),
        ("20 seconds", "c"),
    ),
    "SELECT '{}' AS said, value = {} AS v FROM readings WHERE device = '{}'": (("a", 12_345_678_901, "b"), ("x", 5, "a"), ("x", 7, "c")),
    "SELECT device AS note, value AS room FROM readings WHERE note = '{}' OR device = '{}'": (("a", "a"), ("n1", "c"), ("b", "z")),
    "SELECT 1 AS device, value FROM readings WHERE device = '{}'": (("a",), ("b",), ("c",)),
    "SELECT count(*) AS n FROM readings": ((), (), ()),
}
"""Texts, and what stands in them from question to question."""


def told(engine: Engine, world: World, sql: str, *, now_us: int = NOW_US) -> list[tuple[Any, ...]]:
    with engine.answer(Question(sql=sql, id="test"), world.source(), now_us=now_us) as answer:
        names = answer.schema.names
        return [tuple(names), *sorted((tuple(row.values()) for b in answer.batches() for row in b.to_pylist()), key=repr)]


def outcome(engine: Engine, world: World, sql: str) -> Any:
    """The rows, or what is wrong; but for the number of a table of hot rows."""
    try:
        return told(engine, world, sql)
    except QueryRefused as e:
        return re.sub(r"__few_\d+", "__few", str(e))


@contextmanager
def engine_of(world: World) -> Iterator[Engine]:
    """One that has not been asked anything yet."""
    made = Engine(root=world.root, temp=world.root / "temp", temp_bytes_max=1 << 30, memory_max=1 << 30, threads=2, clock=SystemClock())
    try:
        yield made
    finally:
        made.close()


def plans(engine: Engine) -> int:
    """How many are kept."""
    return sum(bool(name) for name in engine._plans._plans.values())


@pytest.fixture
def hot(root: Any, request: pytest.FixtureRequest) -> World:
    """A minute of three devices, all of it hot."""
    world = World(root, request.node.name.replace("/", "-"))
    for second in range(60):
        world.commit([{"ts": at(second), "device": "abc"[second % 3], "value": float(second), "note": f"n{second % 2}"}])
    return world


@pytest.mark.parametrize("number", range(len(SAME)))
def test_answers_are_those_of_the_text_as_it_is_written(hot: World, engine: Engine, number: int) -> None:
    text, constants = list(SAME.items())[number]
    before = plans(engine)
    for values in (*constants, *constants[::-1], *constants):
        sql = text.format(*(v.replace("'", "''") if isinstance(v, str) else v for v in values))
        expected = flat(hot.flat(), sql)
        names, *found = told(engine, hot, sql)
        assert (list(names), found) == (expected.column_names, rows(expected)), sql
        second = len(hot.rows)
        hot.commit([{"ts": at(second), "device": "abc"[second % 3], "value": float(second), "note": "n1"}])
    assert plans(engine) > before


def test_now_is_the_time_of_each_question(hot: World, engine: Engine) -> None:
    before = plans(engine)
    for seconds in (20, 30, 40, 59, 10, 300):
        for sql in (
            "SELECT count(*) AS n FROM readings WHERE ts >= now() - INTERVAL '15 seconds' AND ts <= now()",
            "SELECT count(*) AS n FROM readings WHERE ts >= (now() - (INTERVAL 15 SECONDS)) AND ts <= current_timestamp",
        ):
            expected = sum(at(seconds - 15) <= r["ts"] <= at(seconds) for r in hot.rows)
            assert told(engine, hot, sql, now_us=at(seconds)) == [("n",), (expected,)]
        assert told(engine, hot, "SELECT max(now()) AS at FROM readings", now_us=at(seconds))[1][0].second == seconds % 60
    assert plans(engine) > before


def test_what_is_wrong_is_said_of_the_text_as_it_is_written(hot: World, engine: Engine) -> None:
    for text in ("SELECT * FROM readings WHERE ts > '{}'", "SELECT * FROM readings WHERE value = '{}'"):
        for value in ("2026-01-01", "1", "2026-01-01", "1", "never", "never"):
            sql = text.format(value)
            with engine_of(hot) as other:
                assert outcome(engine, hot, sql) == outcome(other, hot, sql)


def test_files_are_read_with_the_values_in_place(hot: World, engine: Engine) -> None:
    before = plans(engine)
    hot.roll(30)
    for second in (5, 20, 40, 20, 5):
        sql = f"SELECT count(*) AS n FROM readings WHERE ts >= make_timestamp({at(second)}) AND device = 'a'"
        assert told(engine, hot, sql) == [("n",), (sum(r["ts"] >= at(second) and r["device"] == "a" for r in hot.rows),)]
    assert plans(engine) == before


def test_plans_that_nobody_wants_go(hot: World, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.serving.prepared.PLANS_MAX", 2)
    for limit in (1, 2, 3, 4, 1):
        for _ in range(3):
            assert len(told(engine, hot, f"SELECT value FROM readings WHERE device = 'a' ORDER BY value LIMIT {limit}")) == limit + 1
    assert plans(engine) <= 2
