"""Queries end when they should: by the clock, by a word, by leaving; and their processes with them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable
from typing import Any

import pytest

from appliance.errors import ApplianceError, QueryCancelled, QueryRefused, RetryLater
from appliance.serving import pool
from appliance.serving.question import Question
from tests.serving.queries_of import ENDLESS, LONG, alive, ask, opened, processes, until
from tests.serving.world import World


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


async def test_closing_ends_what_runs(world: World) -> None:
    async with opened(world) as queries:
        asked: Awaitable[Any] = asyncio.ensure_future(ask(queries, ENDLESS))
        await until(lambda: (s := queries.progress("q")) is not None and s.state == "running", "the query to run")
        await queries.close()
        with pytest.raises(ApplianceError):
            await asked
        await until(lambda: not processes(), "the processes to go")
