"""The merged view is the flat list of the records, wherever they lie and however often they came."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.hot.state import ALL_TAGS, State
from appliance.records import Column, Kind, Schema
from appliance.serving.engine import Engine
from appliance.serving.merged import joined
from appliance.serving.snapshot import Span, TableInfo
from appliance.serving.source import StateSource
from tests.examples import examples
from tests.serving.asking import ask, flat, rows
from tests.serving.world import VERSIONS, World, at, once, rows_of

NUMBERS = itertools.count()
ALL = "SELECT * FROM readings"


def world(root: Path, identity: tuple[str, ...] | None = ALL_TAGS) -> World:
    return World(root, f"w{next(NUMBERS)}", identity)


def reading(seconds: float, device: str | None, value: float | None, day: int = 0, **more: Any) -> dict[str, Any]:
    return {"ts": at(seconds, day), "device": device, "value": value, **more}


def check(engine: Engine, w: World, sql: str = ALL, *, ring_from: int | None = None) -> None:
    """The three views answer like the flat list of what they show."""
    for name, hot, cold in (("readings", True, True), ("readings_hot", True, False), ("readings_cold", False, True)):
        found, _ = ask(engine, w.source(ring_from=ring_from), sql.replace("readings", name))
        assert rows(found) == rows(flat(w.flat(hot=hot, cold=cold), sql)), name


def test_hot_rows_and_segments_are_one_table_in_the_order_of_the_columns(root: Path, engine: Engine) -> None:
    w = world(root)
    w.commit([reading(0, "a", 1.0), reading(1, "b", 2.0)])
    w.roll(2)
    w.commit([reading(2, "a", 3.0, note="x", ok=True)])
    found, explain = ask(engine, w.source(), ALL)
    assert found.column_names == ["ts", "device", "room", "value", "note", "ok", "_seq"]
    assert found.num_rows == 3
    assert (explain.streams[0].hot_rows, explain.streams[0].cold_rows) == (1, 2)
    check(engine, w)


@pytest.mark.parametrize("rolled", [0, 1, 2])
def test_a_repeat_counts_once_on_whichever_side_the_two_lie(root: Path, engine: Engine, rolled: int) -> None:
    w = world(root)
    w.commit([reading(0, "a", 1.0, note="first")])
    w.commit([reading(0, "a", 2.0)])
    w.roll(rolled, parts=2)
    found, _ = ask(engine, w.source(), "SELECT count(*) AS n, max(value) AS v, max(note) AS note FROM readings")
    assert found.to_pylist() == [{"n": 1, "v": 2.0, "note": "first"}]
    check(engine, w)


def test_without_identity_equal_records_are_different_events(root: Path, engine: Engine) -> None:
    w = world(root, None)
    w.commit([reading(0, "a", 1.0)] * 3)
    w.roll(2)
    assert ask(engine, w.source(), "SELECT count(*) FROM readings")[0].column(0).to_pylist() == [3]


def test_a_record_of_another_room_is_another_one_unless_the_identity_says_otherwise(root: Path, engine: Engine) -> None:
    for identity, count in ((ALL_TAGS, 2), (("device", "ts"), 1)):
        w = world(root, identity)
        w.commit([reading(0, "a", 1.0, room="x"), reading(0, "a", 2.0, room="y")])
        w.roll(1)
        found, _ = ask(engine, w.source(), "SELECT count(*) AS n, max(room) AS room FROM readings")
        assert found.to_pylist() == [{"n": count, "room": "y"}]
        check(engine, w)


def test_segments_of_older_schemas_answer_in_the_newest(root: Path, engine: Engine) -> None:
    w = world(root)
    w.commit([{"ts": at(0), "device": "a", "value": 1}], version=1)
    w.roll(1)
    w.commit([{"ts": at(1), "device": "a", "value": 2.5, "note": "n"}], version=2)
    w.roll(2)
    w.commit([{"ts": at(2), "device": "b", "value": 3}], version=1)
    w.commit([reading(3, "c", 4.0, room="r", ok=False)])
    found, _ = ask(engine, w.source(), "SELECT value, note, room FROM readings ORDER BY ts")
    assert found.to_pylist() == [
        {"value": 1.0, "note": None, "room": None},
        {"value": 2.5, "note": "n", "room": None},
        {"value": 3.0, "note": None, "room": None},
        {"value": 4.0, "note": None, "room": "r"},
    ]
    check(engine, w)


def test_chunks_with_different_dictionaries_keep_their_values(root: Path, engine: Engine) -> None:
    w = world(root)
    for n in range(20):
        w.commit([reading(n, f"device-{n % 7}", float(n)), reading(n, None, 0.5)])
    check(engine, w, "SELECT device, count(*) AS n, sum(value) AS v FROM readings GROUP BY device")
    check(engine, w, "SELECT device, count(*) AS n, sum(value) AS v FROM readings GROUP BY device", ring_from=21)


def test_rows_that_the_ring_has_dropped_come_from_the_hot_store(root: Path, engine: Engine) -> None:
    w = world(root)
    for n in range(10):
        w.commit([reading(n, "a", float(n))])
    w.roll(3)
    for ring_from in (4, 5, 8, 11):
        found, explain = ask(engine, w.source(ring_from=ring_from), "SELECT count(*), sum(_seq) FROM readings")
        assert [c.to_pylist() for c in found.columns] == [[10], [55]]
        assert explain.streams[0].hot_rows == 7


def test_a_side_can_be_chosen_for_the_whole_question(root: Path, engine: Engine) -> None:
    w = world(root)
    w.commit([reading(n, "a", float(n)) for n in range(5)])
    w.roll(2)
    sql = "SELECT count(*) AS n FROM readings"
    assert [ask(engine, w.source(), sql, path=p)[0].to_pylist() for p in ("merged", "hot", "cold")] == [[{"n": 5}], [{"n": 3}], [{"n": 2}]]
    both = "SELECT (SELECT count(*) FROM readings_cold) AS c, (SELECT count(*) FROM readings) AS r"
    assert ask(engine, w.source(), both, path="hot")[0].to_pylist() == [{"c": 2, "r": 3}]


def test_since_and_until_restrict_every_stream_exactly(root: Path, engine: Engine) -> None:
    w = world(root)
    w.commit([reading(n, "a", float(n)) for n in range(10)])
    w.commit([reading(4, "a", 40.0)])
    w.roll(5)
    found, _ = ask(
        engine, w.source(), "SELECT min(value) AS low, max(value) AS high, count(*) AS n FROM readings", since_us=at(3), until_us=at(8)
    )
    assert found.to_pylist() == [{"low": 3.0, "high": 40.0, "n": 5}]
    assert ask(engine, w.source(), ALL, since_us=at(8), until_us=at(3))[0].num_rows == 0


def test_latest_and_the_appliances_own_tables_can_be_joined(root: Path, engine: Engine) -> None:
    w = world(root)
    w.commit([reading(0, "a", 1.0), reading(1, "a", 2.0), reading(0, "b", 3.0)])
    w.roll(1)
    found, _ = ask(engine, w.source(), 'SELECT device, value FROM "Readings_Latest" ORDER BY device')
    assert found.to_pylist() == [{"device": "a", "value": 2.0}, {"device": "b", "value": 3.0}]
    found, explain = ask(engine, w.source(), "SELECT s.name, s.hot_rows, count(*) AS files FROM _streams s, _segments GROUP BY ALL")
    assert found.to_pylist() == [{"name": "readings", "hot_rows": 2, "files": 1}]
    assert set(explain.tables) == {"_streams", "_segments"}
    assert ask(engine, w.source(), "SHOW TABLES")[0].to_pylist() == [{"name": "readings"}]
    assert ask(engine, w.source(), "DESCRIBE readings")[0].num_rows == 7


def test_nothing_of_a_query_stays_behind_for_the_next(root: Path, engine: Engine) -> None:
    w, other = world(root), world(root)
    w.commit([reading(0, "a", 1.0)])
    other.commit([reading(0, "b", 2.0), reading(1, "b", 2.0)])
    assert ask(engine, w.source(), "SELECT count(*) FROM readings")[0].column(0).to_pylist() == [1]
    assert ask(engine, other.source(), "SELECT count(*) FROM readings")[0].column(0).to_pylist() == [2]


def test_any_name_works_when_it_is_quoted(root: Path, engine: Engine) -> None:
    """The view's SQL is built from names that came from outside."""
    w = world(root)
    nasty = 'x"; DROP VIEW a; --'
    schema = Schema('My "stream"; --', (Column(nasty, Kind.TAG), Column("select", Kind.FLOAT), Column("it's", Kind.TEXT)), 1)
    data = rows_of(schema, [{"ts": at(0), nasty: "a", "select": 1.5, "it's": "b"}])
    chunk = replace(_chunk(w), data=data, schema_version=1)
    state = State(
        {schema.stream.lower(): replace(w.state().streams["readings"], schema=schema, schemas={1: schema}, last_seq=1, ring=(chunk,))}
    )
    source = StateSource(w.store_of(lambda: state))
    found, _ = ask(engine, source, """SELECT "x""; DROP VIEW a; --" AS t, "select", "it's" FROM "my ""STREAM""; --" """)
    assert found.to_pylist() == [{"t": "a", "select": 1.5, "it's": "b"}]


def _chunk(w: World) -> Any:
    w.commit([reading(0, "a", 1.0)])
    return w.chunks[0]


def test_columns_that_come_while_a_question_is_asked_belong_to_the_next(root: Path, engine: Engine) -> None:
    w = World(root, f"w{next(NUMBERS)}", versions={n: VERSIONS[n] for n in (1, 2)})
    w.commit([{"ts": at(0), "device": "a", "value": 1.0, "note": "n"}])
    before = w.source()
    w.versions = VERSIONS
    with w.store.transaction():
        w.store.add_schema(1, VERSIONS[3])
    w.commit([reading(1, "b", 2.0, room="r")])

    class Between(StateSource):
        """The names of before, the rows of after."""

        def lookup(self, names: Sequence[str]) -> list[TableInfo]:
            return before.lookup(names)

    state = w.state()
    found, _ = ask(engine, Between(w.store_of(lambda: state)), ALL)
    assert found.column_names == ["ts", "device", "value", "note", "_seq"]
    assert found.column("device").to_pylist() == ["a", "b"]
    check(engine, w)


def test_spans_join_over_the_smallest_gaps() -> None:
    spans = [Span(10 * n, 10 * n + 1) for n in range(8)] + [Span(500, 501), Span(0, 3)]
    assert joined(spans, most=2) == (Span(0, 71), Span(500, 501))
    assert joined(spans, most=100) == (Span(0, 3), *(Span(10 * n, 10 * n + 1) for n in range(1, 8)), Span(500, 501))


DEVICES = st.sampled_from([None, "a", "b", "c d"])
RECORDS = st.fixed_dictionaries(
    {
        "ts": st.builds(at, st.integers(0, 5).map(lambda n: n * 20_000), st.integers(-1, 1)),
        "device": DEVICES,
        "room": st.sampled_from([None, "x"]),
        "value": st.one_of(st.none(), st.integers(-3, 3).map(float)),
        "note": st.sampled_from([None, "", "n"]),
        "ok": st.sampled_from([None, True, False]),
    }
)
BATCHES = st.tuples(st.sampled_from(sorted(VERSIONS)), st.lists(RECORDS, min_size=1, max_size=6))
STEPS = st.lists(st.one_of(BATCHES, st.integers(0, 100)), min_size=1, max_size=8)
"""A batch in some version of the schema, or a roll of so many percent of what is hot."""


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, identity=st.sampled_from([ALL_TAGS, ("device", "ts"), None]), ring=st.integers(0, 40), parts=st.integers(1, 3))
def test_any_history_answers_like_the_flat_list(
    root: Path, engine: Engine, steps: list[Any], identity: tuple[str, ...] | None, ring: int, parts: int
) -> None:
    w = world(root, identity)
    for step in steps:
        if isinstance(step, int):
            w.roll(w.mark + (len(w.rows) - w.mark) * step // 100, parts=parts)
        else:
            version, records = step
            names = {c.name for c in VERSIONS[version].columns} | {"ts"}
            known = [
                {k: int(v) if version == 1 and k == "value" and v is not None else v for k, v in r.items() if k in names} for r in records
            ]
            w.commit(known, version=version)
    if w.rows:
        check(engine, w, ring_from=ring)
        check(
            engine,
            w,
            "SELECT device, count(*) AS n, sum(value) AS v, max(_seq) AS s FROM readings WHERE value > -2 GROUP BY ALL",
            ring_from=ring,
        )


def test_the_oracle_itself_keeps_the_last_value_that_is_there() -> None:
    told = [
        {"ts": 1, "device": "a", "value": 1.0, "note": "kept", "_seq": 1},
        {"ts": 1, "device": "a", "value": 2.0, "note": None, "_seq": 2},
        {"ts": 1, "device": "b", "value": 3.0, "note": None, "_seq": 3},
    ]
    schema = VERSIONS[2]
    assert once(told, ALL_TAGS, schema) == [
        {"ts": 1, "device": "a", "value": 2.0, "note": "kept", "_seq": 2},
        {"ts": 1, "device": "b", "value": 3.0, "note": None, "_seq": 3},
    ]
    assert isinstance(flat(pa.table({"x": [1]}), "SELECT 1 AS x"), pa.Table)
