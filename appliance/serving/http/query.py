"""SQL over HTTP: a question comes in, its answer goes out in pieces as they come; in between it can be looked at and cancelled.

SQL runs in the queries' worker processes, never here. A client that leaves cancels its query.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from appliance.errors import QueryHeavy, UsageRefused
from appliance.names import RESULT_FORMATS
from appliance.observe.jobs import Asked as Queued
from appliance.serving.http.answers import HttpRefused, header_text, json_answer
from appliance.serving.http.context import Result
from appliance.serving.http.desk import Desk
from appliance.serving.http.params import moment, needed
from appliance.serving.http.shedding import without_views
from appliance.serving.question import FORMATS, PATHS, SQL_BYTES_MAX, Question

BODY_BYTES_MAX: Final = 2 * SQL_BYTES_MAX
"""The SQL within JSON, where quotes and newlines take two bytes."""
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
    "table": "text/plain; charset=utf-8",
}
V3_FORMATS: Final[Mapping[str, str]] = {"json": "json", "jsonl": "jsonl", "csv": "csv", "parquet": "parquet", "pretty": "table"}


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON body of ``POST /api/query``."""

    sql: str
    since: str | int | None = None
    until: str | int | None = None
    path: str = "merged"
    format: str = "json"
    explain: bool = False
    views: bool = True
    cache: bool = True
    waiting: bool = True
    id: str | None = None


class AskedV3(msgspec.Struct, frozen=True):
    """The JSON body of ``POST /api/v3/query_sql``; other keys that clients send mean nothing here."""

    q: str
    db: str = ""
    format: str = "json"
    cache: bool = True


async def run(desk: Desk, request: Request) -> Response:
    """``POST /api/query``: the answer in the format asked for; ``X-Query-Id`` names it, ``X-Query-Notes`` says what it lacks,
    ``X-Query-Cache`` whether it was kept (``hit``), kept and completed by what has changed (``completed``), or not (``miss``).

    With ``waiting`` false a heavy question is queued as batch work instead: 202 with the ``RunRow``, as for ``POST /api/jobs/query``.
    """
    asked = await desk.decoded(request, Asked, bytes_max=BODY_BYTES_MAX)
    now_us = desk.clock.now_us()
    question = Question(
        sql=asked.sql,
        id=_checked_id(asked.id),
        since_us=moment(asked.since, "since", now_us=now_us),
        until_us=moment(asked.until, "until", now_us=now_us),
        path=asked.path,
        format=asked.format,
        explain=asked.explain,
        views=asked.views,
        cache=asked.cache,
        waiting=asked.waiting,
    )
    if not question.waiting and (question.path != "merged" or not question.views or question.explain):
        raise UsageRefused("waiting=false can't go with path, views and explain: the queue of batch work knows none of them")
    try:
        return await _answer(desk, question)
    except QueryHeavy as e:
        return await _queued(desk, question, str(e))


async def _queued(desk: Desk, question: Question, why: str) -> Response:
    """A heavy question that nobody waits for, as batch work."""
    format_ = question.format if question.format in RESULT_FORMATS.values() else "parquet"
    row = await desk.ready().jobs.ask(Queued(sql=question.sql, format=format_, since_us=question.since_us, until_us=question.until_us))
    return json_answer(row, status=202, headers={"X-Query-Id": question.id, "X-Query-Notes": header_text(f"queued: {why}")})


async def run_v3(desk: Desk, request: Request) -> Response:
    """``GET|POST /api/v3/query_sql`` with ``q``, ``db`` (means nothing) and ``format``: json, jsonl, csv, parquet or pretty;
    ``cache=false`` finds the answer anew."""
    if request.method == "POST":
        asked = await desk.decoded(request, AskedV3, bytes_max=BODY_BYTES_MAX)
    else:
        query = request.query_params
        asked = AskedV3(needed(query, "q"), query.get("db", ""), query.get("format", "json"), query.get("cache", "true") != "false")
    known = V3_FORMATS.get(asked.format)
    if known is None:
        raise UsageRefused(f"format={asked.format[:40]!r} is unknown; use one of {', '.join(V3_FORMATS)}")
    return await _answer(desk, Question(sql=asked.q, id=_checked_id(None), format=known, cache=asked.cache))


async def progress(desk: Desk, request: Request) -> Response:
    """``GET /api/queries/ID``: how far a running query is; 404 when none of that id runs."""
    found = desk.ready().queries.progress(request.path_params["id"])
    if found is None:
        raise HttpRefused(404, "no such query runs")
    return json_answer(found)


async def cancel(desk: Desk, request: Request) -> Response:
    """``DELETE /api/queries/ID``: 204, and the query ends; 404 when none of that id runs."""
    if not desk.ready().queries.cancel(request.path_params["id"]):
        raise HttpRefused(404, "no such query runs")
    return Response(status_code=204)


async def _answer(desk: Desk, question: Question) -> Response:
    if question.format not in FORMATS:
        raise UsageRefused(f"format {question.format[:40]!r} is unknown; use one of {', '.join(FORMATS)}")
    if question.path not in PATHS:
        raise UsageRefused(f"path {question.path[:40]!r} is unknown; use one of {', '.join(PATHS)}")
    context = desk.ready()
    pieces = await context.queries.run(without_views(context.ladder, question))
    media_type = "application/json" if question.explain else MEDIA_TYPES[question.format]
    headers = {"X-Query-Id": question.id}
    if pieces.cached:
        headers["X-Query-Cache"] = pieces.cached
    if pieces.notes:
        headers["X-Query-Notes"] = header_text("; ".join(pieces.notes))
    whole = pieces.whole
    if whole is not None:
        return Response(whole, media_type=media_type, headers=headers)
    return StreamingResponse(_closing(pieces), media_type=media_type, headers=headers)


async def _closing(pieces: Result) -> AsyncIterator[bytes]:
    """The pieces; when the client leaves, the result is closed at once, which cancels the query."""
    try:
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()


def _checked_id(given: str | None) -> str:
    if given is None:
        return secrets.token_hex(8)
    if not (0 < len(given) <= 64 and given.isascii() and given.replace("-", "").replace("_", "").isalnum()):
        raise UsageRefused("an id is 1 to 64 ASCII letters, digits, '-' or '_'")
    return given
