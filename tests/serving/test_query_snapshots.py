"""What a query reads of the box: one instant, whole files, and what is missing is said."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from appliance.errors import QueryRefused
from appliance.hot.state import State
from appliance.records import Schema
from appliance.serving.question import Question
from tests.serving.queries_of import ask, opened
from tests.serving.world import World, at


async def test_files_of_a_running_query_are_leased(world: World) -> None:
    async with opened(world) as queries:
        sql = "SELECT r.*, i FROM readings r, range(100000) t(i) WHERE ts < '2026-01-02'"
        result = await queries.run(Question(sql=sql, id="q", format="csv"))
        assert queries.leased() == {s.path for s in world.segments[:2]}
        await result.aclose()
        assert queries.leased() == frozenset()


async def test_a_missing_segment_is_named_and_the_rest_is_right(world: World) -> None:
    gone = world.segments[0]
    (world.root / gone.path).unlink()
    async with opened(world) as queries:
        result = await queries.run(Question(sql="SELECT count(*) AS n FROM readings", id="q"))
        assert json.loads(b"".join([piece async for piece in result])) == [{"n": 180 - gone.rows}]
        (note,) = result.notes
        assert all(
            part in note for part in (gone.path, f"{gone.rows} records", "2026-01-01T00:00:00Z to 2026-01-01T00:58:00Z", "is missing")
        )
        assert world.damaged == [gone.path]
        assert result.explain is not None
        assert result.explain.notes == result.notes


async def test_a_lost_segment_of_another_time_is_not_mentioned(world: World) -> None:
    world.lost.append(world.segments.pop(0))
    async with opened(world) as queries:
        for sql, count in (("SELECT 1 FROM readings WHERE ts >= '2026-01-02'", 0), ("SELECT 1 FROM readings", 1)):
            result = await queries.run(Question(sql=sql, id="q", format="csv"))
            async for _ in result:
                pass
            assert len(result.notes) == count


@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied"])
async def test_a_damaged_segment_is_left_out_and_told(world: World, damage: str) -> None:
    bad = world.segments[1]
    path = world.root / bad.path
    content = bytearray(path.read_bytes())
    if damage == "flipped":  # all data, but not the footer: DuckDB notices in the middle of the scan
        footer = int.from_bytes(content[-8:-4], "little") + 8
        content[4:-footer] = b"\xff" * (len(content) - footer - 4)
    path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"" if damage == "emptied" else content)
    async with opened(world) as queries:
        result = await queries.run(Question(sql="SELECT count(*) AS n, count(device) AS d, sum(value) AS v FROM readings", id="q"))
        (row,) = json.loads(b"".join([piece async for piece in result]))
        assert row["n"] == row["d"] == 180 - bad.rows
        assert world.damaged == [bad.path]
        assert bad.path in result.notes[0]


async def test_a_roll_between_state_and_store_is_pinned_anew(world: World) -> None:
    for n in range(20):
        world.commit([{"ts": at(n, 2), "device": f"new-{n}", "value": 1.0}])
    before = world.state(ring_from=10_000)
    world.roll(170)
    states = [before, before, world.state(ring_from=10_000)]
    async with opened(world, state=lambda: states.pop(0) if len(states) > 1 else states[0]) as queries:
        (row,) = await ask(queries, "SELECT count(*) AS n, count(DISTINCT _seq) AS s, max(_seq) AS m FROM readings")
    assert row == {"n": 200, "s": 200, "m": 200}


async def test_more_hot_rows_than_may_be_handed_over_are_refused_with_a_way_out(world: World) -> None:
    async with opened(world, hot_bytes_max=300) as queries:
        with pytest.raises(QueryRefused, match="fewer columns or a shorter time range"):
            await ask(queries, "SELECT * FROM readings")
        assert await ask(queries, "SELECT count(*) AS n FROM readings WHERE ts < '2026-01-02'") == [{"n": 60}]


async def test_a_thousand_streams_cost_a_query_nothing(world: World) -> None:
    one = world.state().streams["readings"]
    streams = {f"s{n}": replace(one, schema=Schema(f"s{n}", one.schema.columns, 3)) for n in range(1000)}
    state = State(streams)
    async with opened(world, state=lambda: state) as queries:
        assert len(await ask(queries, "SHOW TABLES")) == 1000
        joined = " UNION ALL ".join(f"SELECT count(*) AS n FROM s{n}" for n in range(40))
        assert await ask(queries, f"SELECT sum(n)::BIGINT AS n FROM ({joined})") == [{"n": 40 * 180}]
        with pytest.raises(QueryRefused, match='did you mean "s99'):
            await ask(queries, "SELECT * FROM s99x")
