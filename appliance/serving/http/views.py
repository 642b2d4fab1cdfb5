"""Views over HTTP: how they are, and a refresh that is asked for."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import UsageRefused
from appliance.serving.http.answers import json_answer
from appliance.serving.http.desk import Desk
from appliance.serving.view_rows import view_rows


async def views(desk: Desk, _request: Request) -> Response:
    """``GET /api/views``: one row a view."""
    state = desk.ready().state()
    return json_answer(await asyncio.to_thread(view_rows, state))


async def refresh(desk: Desk, request: Request) -> Response:
    """``POST /api/views/{name}/refresh``: makes anew what there is to make, and says what that was."""
    context = desk.ready()
    name = request.path_params["name"]
    known = context.state().views.get(name.lower())
    if known is None:
        raise UsageRefused(f"there is no view {name!r}; GET /api/views lists them")
    return json_answer({"view": known.name, "done": await context.refresh_view(known.name)})
