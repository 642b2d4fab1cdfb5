"""The cache of answers over HTTP."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.desk import Desk


async def picture(desk: Desk, _request: Request) -> Response:
    """``GET /api/cache``: counts since the start, and what is kept; 404 where nothing is."""
    look = desk.ready().cache
    if look is None:
        raise HttpRefused(404, "no answers are kept here")
    return json_answer(await asyncio.to_thread(look))
