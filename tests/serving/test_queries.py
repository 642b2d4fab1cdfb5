"""Queries in worker processes: they answer, they end when they should, and whatever they do the service goes on."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from appliance.clock import SystemClock
from appliance.errors import ApplianceError, QueryCancelled, QueryRefused, RetryLater
from appliance.hot.state import State
from appliance.options import QueryOptions
from appliance.records import Schema
from appliance.serving import pool
from appliance.serving.queries import Queries, Result
from appliance.serving.question import FORMATS, Question
from tests.serving.world import World, at

ENDLESS = "SELECT count(*) FROM range(10000000) a(i), range(10000000) b(j) WHERE hash(i + j) % 7 = 0"
LONG = "SELECT i, i * 2 AS j FROM range(20000000) t(i)"
DEADLINE_S = 30.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "lake").mkdir()
    made = World(tmp_path, "box")
    for day in range(3):
        made.commit([{"ts": at(n * 60, day), "device": "abc"[n % 3], "value": float(n)} for n in range(60)])
    made.roll(150, parts=2)
    return made


@asynccontextmanager
async def opened(
    world: World, *, state: Callable[[], State] | None = None, hot_bytes_max: int = 1 << 28, **options: Any
) -> AsyncIterator[Queries]:
    queries = Queries(
        data_dir=world.root,
        options=QueryOptions(**options),
        clock=SystemClock(),
        store=world.store_of(state or world.state, hot_bytes_max=hot_bytes_max),
        threads=1,
    )
    try:
        yield queries
    finally:
        await queries.close()


async def ask(queries: Queries, sql: str, *, id_: str = "q", **more: Any) -> Any:
    """The decoded JSON answer."""
    result = await queries.run(Question(sql=sql, id=id_, **more))
    return json.loads(b"".join([piece async for piece in result]))


async def until(condition: Callable[[], Any], what: str) -> None:
    """Waits for a condition, with a deadline."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


def processes() -> list[psutil.Process]:
    """The worker processes of this one."""
    found = []
    for child in psutil.Process().children():
        try:
            if "appliance.serving.worker" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


async def alive(queries: Queries) -> None:
    """The service still answers."""
    assert await ask(queries, "SELECT count(*) AS n FROM readings", id_="alive") == [{"n": 180}]


async def test_a_question_is_answered_and_the_next_finds_its_process_warm(world: World) -> None:
    async with opened(world) as queries:
        assert await ask(queries, "SELECT device, count(*) AS n FROM readings GROUP BY ALL ORDER BY ALL") == [
            {"device": "a", "n": 60},
            {"device": "b", "n": 60},
            {"device": "c", "n": 60},
        ]
        (first,) = processes()
        await alive(queries)
        assert processes() == [first]


@pytest.mark.parametrize("format_", FORMATS)
async def test_every_format_comes_through(world: World, format_: str) -> None:
    sql = "SELECT device, count(*) AS n FROM readings GROUP BY ALL ORDER BY ALL"
    wanted = [("a", 60), ("b", 60), ("c", 60)]
    async with opened(world) as queries:
        result = await queries.run(Question(sql=sql, id="q", format=format_))
        body = b"".join([piece async for piece in result])
        wrong = Question(sql="SELECT nope FROM readings", id="q2", format=format_)
        with pytest.raises(QueryRefused):
            await queries.run(wrong)
    match format_:
        case "json":
            found = [tuple(r.values()) for r in json.loads(body)]
        case "jsonl":
            found = [tuple(json.loads(line).values()) for line in body.splitlines()]
        case "csv":
            found = [(d, int(n)) for d, n in list(csv.reader(body.decode().splitlines()))[1:]]
        case "table":
            found = [(d, int(n)) for d, n in (line.split() for line in body.decode().splitlines()[2:])]
        case _:
            table = pq.read_table(pa.BufferReader(body)) if format_ == "parquet" else pa.ipc.open_stream(body).read_all()
            found = [tuple(r.values()) for r in table.to_pylist()]
    assert found == wanted


async def test_a_result_that_a_format_cannot_hold_is_refused_before_it_begins(world: World) -> None:
    async with opened(world) as queries:
        with pytest.raises(QueryRefused, match="can't be written as parquet"):
            await queries.run(Question(sql="SELECT {'a': INTERVAL 1 DAY} AS s", id="q", format="parquet"))
        await alive(queries)


async def test_explain_is_the_answer_when_it_is_asked_for(world: World) -> None:
    async with opened(world) as queries:
        found = await ask(queries, "SELECT * FROM readings WHERE ts >= '2026-01-03'", explain=True)
    (stream,) = found["streams"]
    assert (found["rows"], stream["hot_rows"], stream["cold_files"], stream["cold_files_skipped"]) == (60, 30, 2, 4)
    assert [p["name"] for p in found["parts"]] == ["worker", "parse", "names", "plan", "pin", "views", "first rows", "rest"]


HOSTILE = [
    "COPY (SELECT 1) TO '{segment}'",
    "WITH x AS (COPY (SELECT 1) TO '{segment}') SELECT 1",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{segment}'",
    "SELECT * FROM '{segment}'",
    "SELECT * FROM read_parquet('{segment}')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT len(range(2000000000))",
    "SELECT len(repeat('x', 2000000000))",
    "SELECT length(repeat(repeat('x', 100000), 100000))",
    "SELECT list(i) FROM range(1000000000) t(i)",
    "SELECT string_agg(i::VARCHAR, '') FROM range(1000000000) t(i)",
    "SELECT max(len(regexp_replace(repeat('a', 100000000), 'a', 'bbbbbbbbbb', 'g')))",
    "WITH RECURSIVE r AS (SELECT repeat('x', 1000000) AS t UNION ALL SELECT t || t FROM r) SELECT max(len(t)) FROM r",
    ENDLESS,
    "SELECT sleep_ms(60000)",
    "SET memory_limit = '100GB'",
    "ATTACH '{root}/box/hot.sqlite' AS hot (TYPE sqlite)",
    "PRAGMA database_list",
    "SELECT 1; COPY (SELECT 1) TO '{segment}'",
]


@pytest.mark.timeout(300)
async def test_hostile_sql_is_refused_or_killed_and_touches_nothing(world: World) -> None:
    before = {p: hashlib.sha256(p.read_bytes()).digest() for p in sorted((world.root / "lake").rglob("*")) if p.is_file()}
    async with opened(world, time_max_s=2.0, memory_max=128 << 20) as queries:
        for number, sql in enumerate(HOSTILE):
            text = sql.format(segment=world.root / world.segments[0].path, root=world.root)
            with pytest.raises((QueryRefused, QueryCancelled)):
                await ask(queries, text, id_=f"hostile-{number}")
            await alive(queries)
    assert before == {p: hashlib.sha256(p.read_bytes()).digest() for p in sorted((world.root / "lake").rglob("*")) if p.is_file()}
    assert not any((world.root / pool.TEMP).iterdir())


async def test_a_query_that_takes_too_long_is_ended_by_the_clock(world: World) -> None:
    async with opened(world, time_max_s=0.5) as queries:
        with pytest.raises(QueryCancelled, match="took longer"):
            await ask(queries, ENDLESS)
        await alive(queries)


async def test_a_result_that_nobody_fetches_is_ended_by_the_clock_too(world: World) -> None:
    async with opened(world, time_max_s=1.0) as queries:
        result = await queries.run(Question(sql=LONG, id="q"))
        await until(lambda: not processes(), "the process to be killed")
        with pytest.raises(QueryCancelled, match="took longer"):
            async for _ in result:
                pass
        await alive(queries)


async def test_a_running_query_can_be_cancelled_by_its_id(world: World) -> None:
    async with opened(world) as queries:
        asked = asyncio.ensure_future(ask(queries, ENDLESS, id_="mine"))
        await until(lambda: (s := queries.progress("mine")) is not None and s.state == "running", "the query to run")
        assert queries.cancel("mine")
        with pytest.raises(QueryCancelled):
            await asked
        assert not queries.cancel("mine")
        status = queries.progress("mine")
        assert status is not None
        assert (status.state, status.error) == ("cancelled", "the query was cancelled")
        await alive(queries)


async def test_a_query_that_does_not_listen_loses_its_process(world: World) -> None:
    async with opened(world) as queries:
        asked = asyncio.ensure_future(ask(queries, ENDLESS, id_="deaf"))
        await until(processes, "the process")
        await until(lambda: (s := queries.progress("deaf")) is not None and s.state == "running", "the query to run")
        (process,) = processes()
        process.suspend()
        queries.cancel("deaf")
        with pytest.raises(QueryCancelled):
            await asked
        assert process not in processes()
        await alive(queries)


async def test_who_leaves_in_the_middle_of_a_result_ends_the_query(world: World) -> None:
    async with opened(world) as queries:
        result = await queries.run(Question(sql=LONG, id="q", format="csv"))
        assert await anext(result)
        await result.aclose()
        assert queries.running() == ()
        await alive(queries)


async def test_a_task_that_is_cancelled_takes_its_query_with_it(world: World) -> None:
    async with opened(world) as queries:
        asked = asyncio.ensure_future(ask(queries, ENDLESS))
        await until(lambda: (s := queries.progress("q")) is not None and s.state == "running", "the query to run")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert queries.running() == ()
        await alive(queries)


async def test_a_process_that_dies_takes_only_its_query_with_it(world: World) -> None:
    async with opened(world) as queries:
        asked = asyncio.ensure_future(ask(queries, ENDLESS))
        await until(lambda: (s := queries.progress("q")) is not None and s.state == "running", "the query to run")
        os.kill(processes()[0].pid, signal.SIGKILL)
        with pytest.raises(QueryRefused, match="signal 9"):
            await asked
        await alive(queries)


async def test_an_idle_process_that_has_died_is_replaced(world: World) -> None:
    async with opened(world) as queries:
        await alive(queries)
        os.kill(processes()[0].pid, signal.SIGKILL)
        await until(lambda: not processes(), "the process to die")
        await alive(queries)


async def test_a_query_that_is_cancelled_while_it_waits_takes_no_process(world: World) -> None:
    async with opened(world, workers_max=1) as queries:
        running = asyncio.ensure_future(ask(queries, ENDLESS, id_="running"))
        await until(lambda: (s := queries.progress("running")) is not None and s.state == "running", "the query to run")
        waiting = asyncio.ensure_future(ask(queries, "SELECT 1 AS n", id_="waiting"))
        await until(lambda: queries.progress("waiting") is not None, "the second to wait")
        queries.cancel("waiting")
        queries.cancel("running")
        for asked in (running, waiting):
            with pytest.raises(QueryCancelled):
                await asked
        await alive(queries)


async def test_an_idle_process_goes(world: World) -> None:
    async with opened(world, idle_s=0.2) as queries:
        await alive(queries)
        await until(lambda: not processes(), "the idle process to go")
        await until(lambda: not any((world.root / pool.TEMP).iterdir()), "its temporary folder to go")
        await alive(queries)


async def test_more_queries_than_processes_wait_in_line(world: World) -> None:
    async with opened(world, workers_max=2) as queries:
        answers = await asyncio.gather(*(ask(queries, f"SELECT {n} AS n, count(*) AS c FROM readings", id_=f"q{n}") for n in range(12)))
        assert answers == [[{"n": n, "c": 180}] for n in range(12)]
        assert len(processes()) <= 2


async def test_above_the_line_a_query_is_told_to_come_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "WAITING_MAX", 1)
    async with opened(world, workers_max=1) as queries:
        running = asyncio.ensure_future(ask(queries, ENDLESS, id_="running"))
        await until(lambda: (s := queries.progress("running")) is not None and s.state == "running", "the query to run")
        waiting = asyncio.ensure_future(ask(queries, "SELECT 1 AS n", id_="waiting"))
        await until(lambda: queries.progress("waiting") is not None, "the second to wait")
        with pytest.raises(RetryLater):
            await ask(queries, "SELECT 1", id_="refused")
        queries.cancel("running")
        with pytest.raises(QueryCancelled):
            await running
        assert await waiting == [{"n": 1}]


async def test_an_id_names_one_query_at_a_time(world: World) -> None:
    async with opened(world) as queries:
        result = await queries.run(Question(sql=LONG, id="q"))
        with pytest.raises(QueryRefused, match="q is running"):
            await queries.run(Question(sql="SELECT 1", id="q"))
        await result.aclose()


async def test_progress_tells_rows_and_how_it_ended(world: World) -> None:
    async with opened(world) as queries:
        result = await queries.run(Question(sql=LONG, id="q", format="csv"))
        await anext(result)
        status = queries.progress("q")
        assert status is not None
        assert (status.state, status.sql) == ("running", LONG)
        await result.aclose()
        await ask(queries, "SELECT 1 AS n", id_="done")
        done = queries.progress("done")
        assert done is not None
        assert (done.state, done.rows, done.error) == ("done", 1, None)
        assert queries.progress("never") is None


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


async def test_results_of_any_size_stream_through(world: World) -> None:
    async with opened(world, memory_max=128 << 20) as queries:
        result = await queries.run(Question(sql="SELECT i, repeat('x', 100) AS t FROM range(1000000) t(i)", id="q", format="csv"))
        size = 0
        async for piece in result:
            size += len(piece)
        assert size > 100 << 20


async def test_a_query_larger_than_its_memory_spills_to_its_own_folder(world: World) -> None:
    async with opened(world, memory_max=128 << 20) as queries:
        sql = "SELECT count(*) AS n FROM (SELECT * FROM range(8000000) t(i) ORDER BY hash(i))"
        assert await ask(queries, sql) == [{"n": 8_000_000}]


async def test_what_is_wrong_with_the_sql_is_said_in_its_own_words(world: World) -> None:
    async with opened(world) as queries:
        for sql, words in (
            ("SELECT nope FROM readings", 'column "nope"'),
            ("SELECT * FROM reading", 'did you mean "readings"'),
            ("SELECT FROM", "syntax error"),
            ("SELECT 'a'::INT", "Could not convert"),
            ("SELECT error('mine')", "mine"),
        ):
            with pytest.raises(QueryRefused) as refused:
                await ask(queries, sql)
            assert words in str(refused.value)


async def test_closing_ends_what_runs(world: World) -> None:
    async with opened(world) as queries:
        asked: Awaitable[Any] = asyncio.ensure_future(ask(queries, ENDLESS))
        await until(lambda: (s := queries.progress("q")) is not None and s.state == "running", "the query to run")
        await queries.close()
        with pytest.raises(ApplianceError):
            await asked
        await until(lambda: not processes(), "the processes to go")


def test_a_result_is_an_iterator_of_bytes() -> None:
    assert issubclass(Result, AsyncIterator)
