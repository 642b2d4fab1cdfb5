"""Which workload runs where, over HTTP. The answer is the desk's."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.desk import Desk


async def picture(desk: Desk, _request: Request) -> Response:
    """``GET /api/paths``: a ``PathsPicture``."""
    paths = desk.ready().paths
    if paths is None:
        raise HttpRefused(404, "nothing is known of paths here")
    return json_answer(await asyncio.to_thread(paths.picture))
