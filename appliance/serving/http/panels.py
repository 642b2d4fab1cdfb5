"""Panels over HTTP: how they are, and the newest answer of one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from appliance.serving.http.answers import json_answer
from appliance.serving.http.desk import Desk


async def panels(desk: Desk, _request: Request) -> Response:
    """``GET /api/panels``: one row a panel."""
    return json_answer(desk.ready().panels.rows())


async def panel(desk: Desk, request: Request) -> Response:
    """``GET /api/panels/{name}``: one panel with its newest answer."""
    return json_answer(desk.ready().panels.picture(request.path_params["name"]))
