"""Latency and cost over HTTP. The answers are the meters' desk's."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from appliance.serving.http.answers import json_answer
from appliance.serving.http.desk import Desk
from appliance.serving.http.params import moment, needed


async def latency(desk: Desk, _request: Request) -> Response:
    """``GET /api/latency``: a ``LatencyPicture``."""
    return json_answer(await asyncio.to_thread(desk.ready().meters.latency))


async def cost(desk: Desk, request: Request) -> Response:
    """``GET /api/cost[?since=]``: a ``CostPicture``; ``since`` as for queries, by default the last day."""
    since_us = moment(request.query_params.get("since"), "since", now_us=desk.clock.now_us())
    return json_answer(await asyncio.to_thread(desk.ready().meters.cost, since_us))


async def trial(desk: Desk, request: Request) -> Response:
    """``POST /api/cost/trial?name=``: a ``Trial``, once it has been made."""
    return json_answer(await desk.ready().meters.trial(needed(request.query_params, "name")))
