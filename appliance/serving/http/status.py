"""What the terminal UI and the command line ask about the running box. Computed elsewhere, encoded here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.context import HttpContext
from appliance.serving.http.desk import Desk
from appliance.serving.http.params import moment, needed, whole
from appliance.serving.http.tail import LAST_ROWS_MAX, LOOK_EVERY_S, Follower


async def status(desk: Desk, _request: Request) -> Response:
    """``GET /api/status``: the whole picture."""
    return json_answer(await desk.status())


async def series(desk: Desk, request: Request) -> Response:
    """``GET /api/series?stream=&column=&since=``: what a chart draws."""
    context, query = desk.ready(), request.query_params
    stream, column = needed(query, "stream"), needed(query, "column")
    since_us = moment(query.get("since"), "since", now_us=desk.clock.now_us())
    return await _read(lambda: context.series(stream, column, since_us), f"stream {stream!r} or its column {column!r}")


async def latest(desk: Desk, request: Request) -> Response:
    """``GET /api/latest?stream=``: the last value of each series."""
    context, stream = desk.ready(), needed(request.query_params, "stream")
    return await _read(lambda: context.latest(stream), f"stream {stream!r}")


async def columns(desk: Desk, request: Request) -> Response:
    """``GET /api/streams/columns[?stream=]``: the columns of one stream, or of all."""
    context, stream = desk.ready(), request.query_params.get("stream") or None
    return await _read(lambda: context.columns(stream), f"stream {stream!r}")


async def tail(desk: Desk, request: Request) -> Response:
    """``GET /api/tail[?stream=][&last=N]``: JSON lines of what is committed from now on (and the last N before), without an end.

    A stream that is not there yet is waited for.
    """
    context, query = desk.ready(), request.query_params
    follower = Follower(
        query.get("stream") or None,
        context.state(),
        last_rows=whole(query, "last", default=0, most=LAST_ROWS_MAX),
    )
    return StreamingResponse(_follow(desk, context, follower), media_type="application/jsonl")


async def _follow(desk: Desk, context: HttpContext, follower: Follower) -> AsyncIterator[bytes]:
    version = -1
    while not desk.ending.is_set():
        state = context.state()
        if state.version != version:
            version = state.version
            for piece in follower.look(state):
                yield piece
        try:
            await asyncio.wait_for(desk.ending.wait(), LOOK_EVERY_S)
        except TimeoutError:
            continue


async def _read(read: Callable[[], Any | None], what: str) -> Response:
    found = await asyncio.to_thread(read)
    if found is None:
        raise HttpRefused(404, f"there is no {what}")
    return json_answer(found)
