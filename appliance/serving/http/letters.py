"""Dead letters over HTTP: send them through the door again. Looking at them is a query (``_deadletters``)."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from appliance.serving.http.answers import json_answer
from appliance.serving.http.desk import Desk

BODY_BYTES_MAX: Final = 4 * 1024 * 1024


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON body; without ids and stream all letters are meant."""

    ids: tuple[int, ...] = ()
    stream: str | None = None


async def replay(desk: Desk, request: Request) -> Response:
    """``POST /api/deadletters/replay``: 200 and ``{"taken": n, "refused": [[id, reason], …]}`` once all are committed or refused."""
    context = desk.ready()
    asked = await desk.decoded(request, Asked, bytes_max=BODY_BYTES_MAX)
    return json_answer(await asyncio.to_thread(context.replay, asked.ids, asked.stream))
