"""Models over HTTP: another version is put into use. Looking at them is a query (``_models``)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from appliance.serving.http.answers import json_answer
from appliance.serving.http.desk import Desk

BODY_BYTES_MAX: Final = 64 * 1024


class Activated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``activate``; without ``version`` the accepted one before the one in use is meant."""

    name: Annotated[str, Meta(min_length=1, max_length=2_000)]
    author: Annotated[str, Meta(min_length=1, max_length=1_000)]
    version: Annotated[int, Meta(ge=1, le=2**53)] | None = None


async def activate(desk: Desk, request: Request) -> Response:
    """``POST /api/models/activate``: ``{"said": …}`` once it is durable and the rules use it."""
    context = desk.ready()
    asked = await desk.decoded(request, Activated, bytes_max=BODY_BYTES_MAX)
    return json_answer({"said": await asyncio.to_thread(context.activate_model, asked.name, asked.version, asked.author)})
