"""A file sent by hand: streamed to the spool, then taken by the reader of dropped files, exactly once per content.

The content always comes over the connection, also from the command line on the same machine: the service may not be allowed to
read the sender's files, and must not read with its own rights what a sender merely names.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from pathlib import Path
from typing import IO, Final

from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import RetryLater, UsageRefused
from appliance.options import DropSource
from appliance.records import Format
from appliance.serving.http.answers import HttpRefused, json_answer
from appliance.serving.http.body import BodyReader
from appliance.serving.http.context import HttpContext
from appliance.serving.http.desk import Desk
from appliance.serving.http.params import flag, needed

WRITE_BYTES: Final = 1024 * 1024
"""Bytes gathered before a thread writes them."""
UPLOADS_MAX: Final = 4
"""Uploads at a time."""
NAME_CHARS_MAX: Final = 255
SUFFIX: Final = ".upload"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


async def ingest(desk: Desk, request: Request) -> Response:
    """``POST /api/ingest?name=[&stream=][&format=][&again=]``, the file as body: 200 and what became of it.

    A ``.gz`` file is sent as it is, with its name; a ``Content-Encoding`` is refused (415).
    """
    context, query = desk.ready(), request.query_params
    name = needed(query, "name")
    if len(name) > NAME_CHARS_MAX or "/" in name or "\0" in name:
        raise UsageRefused("name is a plain file name of at most 255 characters")
    asked = query.get("format")
    if asked is not None and asked not in set(Format):
        raise UsageRefused(f"format={asked[:40]!r} is unknown; use one of {', '.join(Format)}")
    again = flag(query, "again", default=False)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpRefused(415, "send a compressed file as it is, with its name")
    if desk.uploads >= UPLOADS_MAX:
        raise RetryLater(f"{UPLOADS_MAX} files are being sent already", after_s=2)
    path = context.spool / f"{secrets.token_hex(8)}{SUFFIX}"
    desk.uploads += 1
    try:
        await _receive(desk, context, request, path)
        notation = None if asked is None else Format(asked)
        summary = await context.ingest(path, name=name, stream=query.get("stream") or None, format=notation, again=again)
    finally:
        desk.uploads -= 1
        path.unlink(missing_ok=True)
    return json_answer(summary)


def clear_spool(spool: Path) -> None:
    """Removes what an earlier process has left half received."""
    for path in spool.glob(f"*{SUFFIX}"):
        path.unlink(missing_ok=True)


def file_bytes_max(context: HttpContext) -> int:
    """The limit of the drop source, whether one is configured or not."""
    return next((s.file_bytes_max for s in context.config.sources if isinstance(s, DropSource)), DropSource().file_bytes_max)


async def _receive(desk: Desk, context: HttpContext, request: Request, path: Path) -> None:
    bytes_max = file_bytes_max(context)
    reader = BodyReader(request.receive, request.headers, bytes_max=bytes_max, timeout_s=desk.options.read_timeout_s, budget=None)
    file = await asyncio.to_thread(_create, path)
    try:
        async for piece in reader.pieces(WRITE_BYTES):
            _check_room(context, len(piece))
            await asyncio.to_thread(file.write, piece)
        await asyncio.to_thread(file.close)
    except OSError as e:
        if e.errno in _FULL:
            raise RetryLater(f"the disk is full: {e.strerror}", after_s=5) from e
        raise
    finally:
        file.close()


def _create(path: Path) -> IO[bytes]:
    return path.open("xb")


def _check_room(context: HttpContext, size: int) -> None:
    found = os.statvfs(context.spool)
    if found.f_bavail * found.f_frsize - size < context.config.limits.disk_free_min:
        raise RetryLater("the disk is full: the file has no room beside what is kept back ([limits] disk_free_min)", after_s=5)
