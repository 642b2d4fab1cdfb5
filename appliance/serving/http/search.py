"""Search over HTTP: hits for words, and the state of the indexes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import UsageRefused
from appliance.observe.search import SearchQuery
from appliance.serving.http.answers import json_answer
from appliance.serving.http.context import SearchDesk
from appliance.serving.http.desk import Desk
from appliance.serving.http.params import moment, needed, whole

LIMIT_MAX: Final = 1_000
BODY_BYTES_MAX: Final = 64 * 1024


async def find(desk: Desk, request: Request) -> Response:
    """``GET /api/search?q=WORDS[&stream=…][&where=TAG=VALUE][&since=…][&until=…][&order=time|rank][&limit=…]``; ``stream`` and
    ``where`` may come several times."""
    query, now_us = request.query_params, desk.clock.now_us()
    order = query.get("order") or "time"
    if order not in ("time", "rank"):
        raise UsageRefused(f"order={order[:40]!r} is neither time nor rank")
    since_us, until_us = moment(query.get("since"), "since", now_us=now_us), moment(query.get("until"), "until", now_us=now_us)
    asked = SearchQuery(
        text=needed(query, "q"),
        streams=tuple(name for name in query.getlist("stream") if name),
        where=tuple(query.getlist("where")),
        since_us=since_us,
        until_us=until_us,
        order="rank" if order == "rank" else "time",
        limit=whole(query, "limit", default=20, most=LIMIT_MAX),
    )
    return json_answer(await asyncio.to_thread(_desk(desk).find, asked))


async def status(desk: Desk, _request: Request) -> Response:
    """``GET /api/search/status``: a ``SearchPicture``."""
    return json_answer(await asyncio.to_thread(_desk(desk).picture))


class Rebuilt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``rebuild``; without ``stream`` all are meant."""

    stream: Annotated[str, Meta(min_length=1, max_length=1_000)] | None = None


async def rebuild(desk: Desk, request: Request) -> Response:
    """``POST /api/search/rebuild``: ``{"said": …}``; batch makes them anew, and searches are answered meanwhile."""
    asked = await desk.decoded(request, Rebuilt, bytes_max=BODY_BYTES_MAX)
    return json_answer({"said": await asyncio.to_thread(_desk(desk).rebuild, asked.stream)})


def _desk(desk: Desk) -> SearchDesk:
    found = desk.ready().search
    if found is None:
        raise UsageRefused("nobody searches here")
    return found
