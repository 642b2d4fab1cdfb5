"""Probes: is it there, is it well, may I start. They need no token and are answered in every state."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from appliance.observe.health import checks, health_of
from appliance.serving.http.answers import Dialect, HttpRefused, json_answer
from appliance.serving.http.auth import Gate
from appliance.serving.http.desk import COMPATIBLE_VERSION, Desk


async def ping(desk: Desk, request: Request) -> Response:
    """204, as v1 and v2 answer; with ``verbose`` 200 and the version, as v1, with the keys of v3 beside it. HEAD alike.

    204 says that the process answers; it does so while the service is still starting, as InfluxDB does.
    """
    if request.query_params.get("verbose", "").lower() not in {"true", "1"}:
        return Response(status_code=204)
    return json_answer({"version": COMPATIBLE_VERSION, "product_name": "edge-appliance", "revision": desk.version})


async def health(desk: Desk, request: Request) -> Response:
    """200 ``pass`` while the service answers, else 503 ``fail``; the body of v1 and v2, and besides how the box is (``observe.health``).

    A box that is not well passes: to start it anew would not help. Its level is told to everybody, the reasons to those who may ask.
    """
    passes = desk.context is not None
    body: dict[str, object] = {
        "name": "influxdb",
        "message": "ready for queries and writes" if passes else desk.state,
        "status": "pass" if passes else "fail",
        "checks": [],
        "version": COMPATIBLE_VERSION,
    }
    if passes:
        found = health_of(await desk.status())
        body |= {"health": found.level, "step": found.ladder.step, "step_name": found.ladder.name}
        if _may_ask(desk, request):
            body |= {"checks": checks(found)} | ({"message": found.line} if found.reasons else {})
    return json_answer(body, status=200 if passes else 503, headers=None if passes else {"Retry-After": "1"})


async def ready(desk: Desk, _request: Request) -> Response:
    """200 ``ready``, else 503 with the state (``starting``, ``stopping``)."""
    if desk.context is not None:
        return json_answer({"status": "ready"})
    return json_answer({"status": desk.state}, status=503, headers={"Retry-After": "1"})


def _may_ask(desk: Desk, request: Request) -> bool:
    """Whether who asks is on this machine's socket, shows a token, or needs none."""
    scope = request.scope
    if scope["state"].get("is_local", False):
        return True
    try:
        Gate(desk.options.tokens).check("", Headers(scope=scope), scope["query_string"], dialect=Dialect.V1)
    except HttpRefused:
        return False
    return True
