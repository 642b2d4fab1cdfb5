"""What the terminal UI and the command line ask about the running box. Computed elsewhere, encoded here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import UsageRefused
from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.context import HttpContext
from appliance.serving.http.desk import Desk
from appliance.serving.http.events import EndlessResponse
from appliance.serving.http.params import moment, needed, whole
from appliance.serving.http.tail import LAST_ROWS_MAX, LOOK_EVERY_S, Follower
from appliance.serving.push import Subscriber

SEQ_MAX: Final = 10**18 - 1
"""More digits are no sequence."""


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

    ``stream`` and ``after=SEQ`` go on behind that record. A stream that is not there yet is waited for.
    """
    context, query = desk.ready(), request.query_params
    stream = query.get("stream") or None
    if "after" in query and stream is None:
        raise UsageRefused("after needs a stream: sequences count per stream")
    follower = Follower(
        stream,
        context.state(),
        last_rows=whole(query, "last", default=0, most=LAST_ROWS_MAX),
        after=whole(query, "after", default=0, most=SEQ_MAX) if "after" in query else None,
    )
    subscriber = context.hub.subscribe(())
    return EndlessResponse(_follow(context, follower, subscriber), subscriber, media_type="application/jsonl")


async def _follow(context: HttpContext, follower: Follower, subscriber: Subscriber) -> AsyncIterator[bytes]:
    while not subscriber.is_over:
        for piece in follower.lines(context.state()):
            yield piece
        await subscriber.wait(LOOK_EVERY_S)


async def _read(read: Callable[[], Any | None], what: str) -> Response:
    found = await asyncio.to_thread(read)
    if found is None:
        raise HttpRefused(404, f"there is no {what}")
    return json_answer(found)
