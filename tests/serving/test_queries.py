"""Questions answered in worker processes: every format, any size, and hostile ones refused."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import AsyncIterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from appliance.errors import QueryCancelled, QueryRefused
from appliance.serving import pool
from appliance.serving.question import FORMATS, Question
from appliance.serving.result import Result
from tests.serving.queries_of import ENDLESS, LONG, alive, ask, opened, processes
from tests.serving.world import World


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


def test_a_result_is_an_iterator_of_bytes() -> None:
    assert issubclass(Result, AsyncIterator)
