"""Incidents over HTTP: what is unusual, what was said of each, why, and a person's word about it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import UsageRefused
from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.context import AnalysisDesk
from appliance.serving.http.desk import Desk
from appliance.serving.http.params import whole

BODY_BYTES_MAX: Final = 64 * 1024
INCIDENTS: Final = 100
INCIDENTS_MAX: Final = 10_000
STATES: Final = ("open", "closed", "dismissed")
QUESTION_CHARS_MAX: Final = 1_000
_ID_MAX: Final = 2**63 - 1


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``confirm`` and ``dismiss``."""

    author: Annotated[str, Meta(min_length=1, max_length=1_000)]
    comment: Annotated[str, Meta(max_length=2_000)] = ""


async def picture(desk: Desk, request: Request) -> Response:
    """``GET /api/analysis[?state=open|closed|dismissed][&limit=N]``: an ``AnalysisPicture``."""
    who, query = _desk(desk), request.query_params
    state = query.get("state") or None
    if state is not None and state not in STATES:
        raise UsageRefused(f"there is no state {state[:40]!r}; there are: {', '.join(STATES)}")
    limit = whole(query, "limit", default=INCIDENTS, most=INCIDENTS_MAX)
    return json_answer(await asyncio.to_thread(who.picture, limit=limit, state=state))


async def show(desk: Desk, request: Request) -> Response:
    """``GET /api/analysis/ID``: an ``IncidentPicture``; 404 where there is no such incident."""
    found = await asyncio.to_thread(_desk(desk).show, _id(request))
    if found is None:
        raise HttpRefused(404, f"there is no incident {_id(request)}")
    return json_answer(found)


async def explain(desk: Desk, request: Request) -> Response:
    """``GET /api/analysis/ID/explain[?why=QUESTION]``: ``{"text": …}``, why in plain words."""
    question = request.query_params.get("why", "")
    if len(question) > QUESTION_CHARS_MAX:
        raise UsageRefused(f"a question has at most {QUESTION_CHARS_MAX} characters")
    return json_answer({"text": await asyncio.to_thread(_desk(desk).explain, _id(request), question)})


async def say(desk: Desk, request: Request) -> Response:
    """``POST /api/analysis/ID/confirm`` and ``…/dismiss``: the ``IncidentRow`` as it is then, once that is durable."""
    verdict = str(request.path_params["verdict"])
    if verdict not in ("confirm", "dismiss"):
        raise HttpRefused(404, "nothing is answered at this path")
    who = _desk(desk)
    said = await desk.decoded(request, Said, bytes_max=BODY_BYTES_MAX)
    return json_answer(await asyncio.to_thread(who.say, _id(request), verdict, author=said.author, comment=said.comment))


def _id(request: Request) -> int:
    found = int(request.path_params["id"])
    if found > _ID_MAX:
        raise HttpRefused(404, "there is no incident of that number")
    return found


def _desk(desk: Desk) -> AnalysisDesk:
    found = desk.ready().analysis
    if found is None:
        raise UsageRefused("nobody looks for incidents here")
    return found
