"""Reports over HTTP: what there is, a file as it was issued, one made for whoever asks, one issued now.

A page is sent with a policy under which a browser runs nothing in it and fetches nothing for it, whatever stands in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.desk import Desk

BODY_BYTES_MAX: Final = 256 * 1024
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
Name = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``render`` and ``issue``; without ``day`` the newest day (week, month) that is over."""

    name: Name
    day: str | None = None
    parameters: dict[str, str] = {}
    format: str = "html"


async def picture(desk: Desk, _request: Request) -> Response:
    """``GET /api/reports``: a ``ReportsPicture``."""
    return json_answer(await asyncio.to_thread(desk.ready().reports.picture))


async def file(desk: Desk, request: Request) -> Response:
    """``GET /api/reports/file/PATH``: a file of an issued report; PATH is as the picture has it. 404 for anything else."""
    path = str(request.path_params["path"])
    found = await asyncio.to_thread(desk.ready().reports.file, path)
    if found is None:
        raise HttpRefused(404, f"no report was issued as {path[:200]!r}, or it was removed because of its age")
    return _answer(*found)


async def render(desk: Desk, request: Request) -> Response:
    """``POST /api/reports/render``: a report as of now, in the format asked for; nothing is kept."""
    asked = await desk.decoded(request, Asked, bytes_max=BODY_BYTES_MAX)
    text, kind = await desk.ready().reports.render(asked.name, day=asked.day, parameters=asked.parameters, format=asked.format)
    return _answer(text.encode("utf-8", "replace"), kind)


async def issue(desk: Desk, request: Request) -> Response:
    """``POST /api/reports/issue``: ``{"said", "issue"}`` once it is durable: the new revision, or the last one where nothing differs."""
    asked = await desk.decoded(request, Asked, bytes_max=BODY_BYTES_MAX)
    said, row = await desk.ready().reports.issue(asked.name, day=asked.day, parameters=asked.parameters)
    return json_answer({"said": said, "issue": row})


def _answer(content: bytes, kind: str) -> Response:
    headers: Mapping[str, str] = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return Response(content, media_type=kind, headers=dict(headers))
