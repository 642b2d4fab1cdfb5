"""Queries over a ``World``, as a service holds them, and their processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psutil

from appliance.clock import SystemClock
from appliance.hot.state import State
from appliance.options import QueryOptions
from appliance.serving.queries import Queries
from appliance.serving.question import Question
from tests.running import pause
from tests.serving.world import World

ENDLESS = "SELECT count(*) FROM range(10000000) a(i), range(10000000) b(j) WHERE hash(i + j) % 7 = 0"
LONG = "SELECT i, i * 2 AS j FROM range(20000000) t(i)"
DEADLINE_S = 30.0


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
            while not condition():
                await asyncio.to_thread(pause)
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
