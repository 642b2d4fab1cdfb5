"""Alerts over HTTP: what fires, what has been, and what people do about it. The answers are the alert desk's, asked in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import RetryLater, UsageRefused
from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.desk import ALERT_TESTS_MAX, Desk
from appliance.serving.http.params import later, needed, whole

BODY_BYTES_MAX: Final = 64 * 1024
HISTORY_ROWS: Final = 100
HISTORY_ROWS_MAX: Final = 10_000
ID_MAX: Final = 2**53
AUTHOR_MAX: Final = 1_000
Name = Annotated[str, Meta(min_length=1, max_length=1_000)]
Text = Annotated[str, Meta(max_length=2_000)]
Key = dict[str, str | None]
"""Column of ``by`` -> value."""


class Acknowledged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``ack``; without ``key`` all that fires of the rule is meant, without ``until`` it holds until the alert resolves."""

    rule: Name
    author: Name
    key: Key | None = None
    comment: Text = ""
    until: str | int | None = None


class Unacknowledged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``unack``."""

    rule: Name
    author: Name
    key: Key | None = None


class Silenced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``silence``; without ``since`` it begins now."""

    matchers: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=32)]
    until: str | int
    author: Name
    comment: Annotated[str, Meta(min_length=1, max_length=2_000)]
    since: str | int | None = None


class Unsilenced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``unsilence``."""

    id: Annotated[int, Meta(ge=0, le=ID_MAX)]
    author: Name


class Tested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``test``."""

    channel: Name


async def picture(desk: Desk, _request: Request) -> Response:
    """``GET /api/alerts``: an ``AlertsPicture``."""
    return json_answer(await asyncio.to_thread(desk.ready().alerts.picture))


async def history(desk: Desk, request: Request) -> Response:
    """``GET /api/alerts/history[?limit=][&rule=][&before=ID]``: ``TransitionRow`` values, the newest first."""
    context, query = desk.ready(), request.query_params
    limit = whole(query, "limit", default=HISTORY_ROWS, most=HISTORY_ROWS_MAX)
    before = whole(query, "before", default=0, most=ID_MAX) if "before" in query else None
    rule = query.get("rule") or None
    return json_answer(await asyncio.to_thread(context.alerts.history, limit=limit, rule=rule, before_id=before))


async def chart(desk: Desk, request: Request) -> Response:
    """``GET /api/alerts/chart?rule=[&key=JSON object]``: a ``WindowChart``; 404 where there is no such alert."""
    context, query = desk.ready(), request.query_params
    rule, key = needed(query, "rule"), _key(query)
    found = await asyncio.to_thread(context.alerts.chart, rule, key)
    if found is None:
        raise HttpRefused(404, f"there is no alert of rule {rule!r} with this key")
    return json_answer(found)


async def acknowledge(desk: Desk, request: Request) -> Response:
    """``POST /api/alerts/ack``: what was acknowledged, as ``AlertRow`` values, once that is durable."""
    context = desk.ready()
    asked = await desk.decoded(request, Acknowledged, bytes_max=BODY_BYTES_MAX)
    until_us = _future(later(asked.until, "until", now_us=desk.clock.now_us()), now_us=desk.clock.now_us())

    def act() -> object:
        return context.alerts.acknowledge(asked.rule, asked.key, author=asked.author, comment=asked.comment, until_us=until_us)

    return json_answer(await asyncio.to_thread(act))


async def unacknowledge(desk: Desk, request: Request) -> Response:
    """``POST /api/alerts/unack``: the alerts whose acknowledgement is taken back."""
    context = desk.ready()
    asked = await desk.decoded(request, Unacknowledged, bytes_max=BODY_BYTES_MAX)
    return json_answer(await asyncio.to_thread(context.alerts.unacknowledge, asked.rule, asked.key, author=asked.author))


async def silence(desk: Desk, request: Request) -> Response:
    """``POST /api/alerts/silence``: the ``SilenceRow``, once it is durable."""
    context, now_us = desk.ready(), desk.clock.now_us()
    asked = await desk.decoded(request, Silenced, bytes_max=BODY_BYTES_MAX)
    until_us = _future(later(asked.until, "until", now_us=now_us), now_us=now_us)
    since_us = later(asked.since, "since", now_us=now_us)
    if until_us is None:
        raise UsageRefused('until is missing: write "2h" or "2026-11-22T18:00:00Z"')
    if since_us is not None and since_us >= until_us:
        raise UsageRefused("since must be before until")

    def act() -> object:
        return context.alerts.silence(
            asked.matchers,
            since_us=now_us if since_us is None else since_us,
            until_us=until_us,
            author=asked.author,
            comment=asked.comment,
        )

    return json_answer(await asyncio.to_thread(act))


async def unsilence(desk: Desk, request: Request) -> Response:
    """``POST /api/alerts/unsilence``: the silence that is over."""
    context = desk.ready()
    asked = await desk.decoded(request, Unsilenced, bytes_max=BODY_BYTES_MAX)
    return json_answer(await asyncio.to_thread(context.alerts.unsilence, asked.id, author=asked.author))


async def test(desk: Desk, request: Request) -> Response:
    """``POST /api/alerts/test``: ``{"said": …}``, what the other side of the channel said. Few at a time."""
    context = desk.ready()
    asked = await desk.decoded(request, Tested, bytes_max=BODY_BYTES_MAX)
    if desk.alert_tests.locked():
        raise RetryLater(f"{ALERT_TESTS_MAX} tests are on their way already", after_s=5)
    async with desk.alert_tests:
        return json_answer({"said": await asyncio.to_thread(context.alerts.test, asked.channel)})


async def reload(desk: Desk, request: Request) -> Response:
    """``POST /api/reload[?author=]``: ``{"changed": …}``; a config that can't be used is refused with 400, and nothing has changed."""
    author = request.query_params.get("author") or "somebody over HTTP"
    return json_answer({"changed": await asyncio.to_thread(desk.ready().reload, author[:AUTHOR_MAX])})


def _key(query: Mapping[str, str]) -> Key:
    try:
        return msgspec.json.decode(query.get("key", "{}"), type=Key)
    except (msgspec.DecodeError, UnicodeError):
        raise UsageRefused('key is no JSON object of texts: write {"device":"d1"}') from None


def _future(until_us: int | None, *, now_us: int) -> int | None:
    if until_us is not None and until_us <= now_us:
        raise UsageRefused("until is in the past")
    return until_us
