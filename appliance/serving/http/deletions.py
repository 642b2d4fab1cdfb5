"""Deletions over HTTP: what is written down here is hidden from the next answer on. Looking at them is a query (``_deletions``)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import RejectPayload
from appliance.manifest import Deletion
from appliance.serving.http.answers import json_answer
from appliance.serving.http.desk import Desk

BODY_BYTES_MAX: Final = 1 << 20
REASON_CHARS_MAX: Final = 1_000


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON body. ``all`` must be said where neither a time nor a tag narrows it."""

    stream: str
    since_us: int | None = None
    until_us: int | None = None
    where: Mapping[str, str | None] = {}
    reason: str = ""
    author: str = ""
    records: int | None = None
    """How many it was said to hide, for the record."""
    all: bool = False


async def delete(desk: Desk, request: Request) -> Response:
    """``POST /api/deletions``: 200 and ``{"id": …, "stream": …, "up_to_seq": …}`` once it is durable."""
    context = desk.ready()
    asked = await desk.decoded(request, Asked, bytes_max=BODY_BYTES_MAX)
    if not asked.reason.strip() or len(asked.reason) > REASON_CHARS_MAX:
        raise RejectPayload(f"reason must say why, in at most {REASON_CHARS_MAX} characters")
    if asked.since_us is None and asked.until_us is None and not asked.where and not asked.all:
        raise RejectPayload("neither a time nor a tag narrows it; say all to delete every record of the stream")
    if asked.since_us is not None and asked.until_us is not None and asked.since_us >= asked.until_us:
        raise RejectPayload("until must be after since")
    wanted = Deletion(0, asked.stream, asked.since_us, asked.until_us, asked.where, author=asked.author, reason=asked.reason)
    done = await asyncio.to_thread(context.delete, wanted, asked.records)
    return json_answer({"id": done.id, "stream": done.stream, "up_to_seq": done.up_to_seq})
