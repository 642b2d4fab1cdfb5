"""Probes: is it there, is it well, may I start. They need no token and are answered in every state."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from appliance.serving.http.answers import json_answer
from appliance.serving.http.desk import COMPATIBLE_VERSION, Desk


async def ping(desk: Desk, request: Request) -> Response:
    """204, as v1 and v2 answer; with ``verbose`` 200 and the version, as v1, with the keys of v3 beside it. HEAD alike.

    204 says that the process answers; it does so while the service is still starting, as InfluxDB does.
    """
    if request.query_params.get("verbose", "").lower() not in {"true", "1"}:
        return Response(status_code=204)
    return json_answer({"version": COMPATIBLE_VERSION, "product_name": "edge-appliance", "revision": desk.version})


async def health(desk: Desk, _request: Request) -> Response:
    """200 ``pass`` when records are taken and answers given, else 503 ``fail``; the body of v1 and v2."""
    passes = desk.context is not None
    body: dict[str, object] = {
        "name": "influxdb",
        "message": "ready for queries and writes" if passes else desk.state,
        "status": "pass" if passes else "fail",
        "checks": [],
        "version": COMPATIBLE_VERSION,
    }
    return json_answer(body, status=200 if passes else 503, headers=None if passes else {"Retry-After": "1"})


async def ready(desk: Desk, _request: Request) -> Response:
    """200 ``ready``, else 503 with the state (``starting``, ``stopping``)."""
    if desk.context is not None:
        return json_answer({"status": "ready"})
    return json_answer({"status": desk.state}, status=503, headers={"Retry-After": "1"})
