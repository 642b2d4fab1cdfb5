"""Agreement over HTTP: what was looked at and what is wrong, and a pass on request, with repairs where they are asked for."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import UsageRefused
from appliance.serving.http.answers import json_answer
from appliance.serving.http.context import ConsistencyDesk
from appliance.serving.http.desk import Desk

BODY_BYTES_MAX: Final = 64 * 1024


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``reconcile``."""

    since_us: int | None = None
    """Only what concerns event times from then on."""
    repair: bool = False
    full: bool = False
    """Every record is read and everything computed anew."""


async def picture(desk: Desk, _request: Request) -> Response:
    """``GET /api/consistency``: a ``ConsistencyPicture``."""
    return json_answer(await asyncio.to_thread(_desk(desk).picture))


async def reconcile(desk: Desk, request: Request) -> Response:
    """``POST /api/reconcile``: a ``ReconcileAnswer`` once the pass is over, which takes as long as the lake is large."""
    who = _desk(desk)
    asked = await desk.decoded(request, Asked, bytes_max=BODY_BYTES_MAX)
    return json_answer(await who.reconcile(since_us=asked.since_us, repair=asked.repair, full=asked.full))


def _desk(desk: Desk) -> ConsistencyDesk:
    found = desk.ready().consistency
    if found is None:
        raise UsageRefused("nobody reconciles here")
    return found
