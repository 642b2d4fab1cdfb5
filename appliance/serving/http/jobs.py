"""Batch work over HTTP: what there is, what has been, and what people ask for. The answers are the job desk's."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from appliance.errors import UsageRefused
from appliance.observe.jobs import Asked
from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.desk import Desk
from appliance.serving.http.params import moment, whole
from appliance.serving.http.query import BODY_BYTES_MAX, MEDIA_TYPES

HISTORY_ROWS: Final = 100
HISTORY_ROWS_MAX: Final = 10_000
ID_MAX: Final = 2**53
Name = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``run``."""

    name: Name
    parameters: dict[str, Annotated[str, Meta(max_length=10_000)]] = {}


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``cancel``."""

    id: Annotated[int, Meta(ge=0, le=ID_MAX)]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``query``: as for ``POST /api/query``, but for what the result is kept as and who is told."""

    sql: str
    format: str = "parquet"
    since: str | int | None = None
    until: str | int | None = None
    notify: Annotated[tuple[Name, ...], Meta(max_length=32)] = ()


async def picture(desk: Desk, _request: Request) -> Response:
    """``GET /api/jobs``: a ``JobsPicture``."""
    return json_answer(desk.ready().jobs.picture())


async def history(desk: Desk, request: Request) -> Response:
    """``GET /api/jobs/history[?limit=][&name=][&before=ID]``: ``RunRow`` values, the newest first."""
    context, query = desk.ready(), request.query_params
    limit = whole(query, "limit", default=HISTORY_ROWS, most=HISTORY_ROWS_MAX)
    before = whole(query, "before", default=0, most=ID_MAX) if "before" in query else None
    return json_answer(await context.jobs.history(limit=limit, name=query.get("name") or None, before_id=before))


async def show(desk: Desk, request: Request) -> Response:
    """``GET /api/jobs/runs/ID``: a ``RunRow``; 404 where there is none."""
    found = await desk.ready().jobs.show(_id(request))
    if found is None:
        raise HttpRefused(404, f"there is no run {_id(request)}")
    return json_answer(found)


async def result(desk: Desk, request: Request) -> Response:
    """``GET /api/jobs/runs/ID/result``: the file that a background query has left."""
    file = await desk.ready().jobs.result(_id(request))
    return FileResponse(file, media_type=MEDIA_TYPES[file.suffix[1:]])


async def run(desk: Desk, request: Request) -> Response:
    """``POST /api/jobs/run``: the ``RunRow``, once it is durable."""
    context = desk.ready()
    asked = await desk.decoded(request, Run, bytes_max=BODY_BYTES_MAX)
    return json_answer(await context.jobs.run(asked.name, asked.parameters))


async def cancel(desk: Desk, request: Request) -> Response:
    """``POST /api/jobs/cancel``: the ``RunRow``; one that is under way ends soon after."""
    context = desk.ready()
    asked = await desk.decoded(request, Cancel, bytes_max=BODY_BYTES_MAX)
    return json_answer(await context.jobs.cancel(asked.id))


async def query(desk: Desk, request: Request) -> Response:
    """``POST /api/jobs/query``: the ``RunRow`` of a query in the background, once it is durable."""
    context, now_us = desk.ready(), desk.clock.now_us()
    asked = await desk.decoded(request, Query, bytes_max=BODY_BYTES_MAX)
    row = await context.jobs.ask(
        Asked(
            sql=asked.sql,
            format=asked.format,
            since_us=moment(asked.since, "since", now_us=now_us),
            until_us=moment(asked.until, "until", now_us=now_us),
            notify=asked.notify,
        )
    )
    return json_answer(row)


def _id(request: Request) -> int:
    text = request.path_params["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise UsageRefused(f"{text[:40]!r} is no id of a run")
    return int(text)
