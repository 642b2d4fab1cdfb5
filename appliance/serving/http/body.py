"""Request bodies: bounded in size, in time and in sum, decompressed with a bound on what comes out.

Three limits, each with what happens at it: one body's bytes (413), the time a client takes (408), the bytes of all bodies that
are held at once (503 with ``Retry-After``). While the door is behind, nothing more is read, so that TCP slows the sender down.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Receive

from appliance.errors import PayloadTooLarge, RejectPayload, RetryLater
from appliance.serving.http.answers import ClientGone, HttpRefused

RATE_BYTES_PER_S_MIN: Final = 1_000
"""A body may take ``read_timeout_s`` and a second more for each so many bytes that have come (Apache's RequestReadTimeout has 500)."""
BEHIND_WAIT_S_MAX: Final = 5.0
"""Longest pause for a door that is behind; then the client is told to come again."""
BEHIND_LOOK_S: Final = 0.02
GZIP_FEED_BYTES: Final = 64 * 1024
"""Compressed bytes handed to zlib at once: bounds what it copies at the end of each member."""
GZIP_MEMBERS_MAX: Final = 1_000


class ByteBudget:
    """Bytes of all bodies from their arrival until their answer. Owned by the event loop."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0

    def take(self, n: int) -> None:
        """Raises ``RetryLater``, taking nothing, when ``n`` more don't fit."""
        if self.used + n > self.bytes_max:
            raise RetryLater("too many bytes are being received at once", after_s=1)
        self.used += n

    def give(self, n: int) -> None:
        self.used -= n
        assert self.used >= 0, "more bytes given back than taken"


class BodyReader:
    """Reads one request's body under the limits; ``held`` is what it has taken of the budget, until ``release``."""

    def __init__(self, receive: Receive, headers: Headers, *, bytes_max: int, timeout_s: float, budget: ByteBudget | None) -> None:
        """``budget`` is None for a body that is passed on piece by piece."""
        self._receive = receive
        self._bytes_max = bytes_max
        self._timeout_s = timeout_s
        self._budget = budget
        self._waited_s = 0.0
        self._more = True
        self._declared = _content_length(headers)
        self.received = 0
        self.held = 0

    async def read(self, is_behind: Callable[[], bool]) -> bytes:
        """The whole body as it was sent. Raises ``PayloadTooLarge``, ``RetryLater``, ``HttpRefused`` (408) or ``ClientGone``."""
        chunks = [await self._next()]
        while self._more:
            if is_behind():
                await _pause(is_behind)
            chunks.append(await self._next())
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def pieces(self, size: int) -> AsyncIterator[bytes]:
        """The body in pieces of about ``size`` bytes; raises as ``read``."""
        chunks: list[bytes] = []
        gathered = 0
        while self._more:
            chunk = await self._next()
            chunks.append(chunk)
            gathered += len(chunk)
            if gathered >= size or not self._more:
                yield b"".join(chunks)
                chunks, gathered = [], 0

    def release(self) -> None:
        """Gives back what it holds; the body must not be used any more."""
        if self._budget is not None:
            self._budget.give(self.held)
            self.held = 0

    async def _next(self) -> bytes:
        """What has come meanwhile, waiting for something when it is nothing; only time spent waiting counts."""
        if self._declared is not None and self._declared > self._bytes_max:
            raise self._too_large()
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            async with asyncio.timeout_at(since + self._timeout_s + self.received / RATE_BYTES_PER_S_MIN - self._waited_s):
                message = await self._receive()
        except TimeoutError:
            raise HttpRefused(408, f"the body took too long: {self.received} bytes came in time", headers={"Connection": "close"}) from None
        self._waited_s += loop.time() - since
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        self._more = message.get("more_body", False)
        if self.received + len(chunk) > self._bytes_max:
            raise self._too_large()
        if self._budget is not None:
            self._budget.take(len(chunk))
            self.held += len(chunk)
        self.received += len(chunk)
        return chunk

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"the body is larger than {self._bytes_max} bytes")


async def _pause(is_behind: Callable[[], bool]) -> None:
    """Waits for the door; raises ``RetryLater`` when it stays behind."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    while is_behind():
        if loop.time() - since > BEHIND_WAIT_S_MAX:
            raise RetryLater("records come in faster than they can be stored", after_s=1)
        await asyncio.sleep(BEHIND_LOOK_S)


def is_gzip(headers: Headers) -> bool:
    """Whether the body is gzipped. Raises ``HttpRefused`` (415) for an encoding that isn't taken."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return False
    if encoding in {"gzip", "x-gzip"}:
        return True
    raise HttpRefused(415, f"content encoding {encoding[:40]!r} is not taken, only gzip is", headers={"Accept-Encoding": "gzip"})


def gunzip(body: bytes, *, bytes_max: int) -> bytes:
    """The content of one or several gzip members; zeros after the last are padding. For the parse pool, never for the event loop.

    Stops as soon as more than ``bytes_max`` come out (``PayloadTooLarge``), so a bomb costs no more memory than a large body.
    Raises ``RejectPayload`` for what is no gzip, cut off, or in more than ``GZIP_MEMBERS_MAX`` members.
    """
    parts: list[bytes] = []
    total = 0
    members = 1
    member = zlib.decompressobj(wbits=31)
    view = memoryview(body)
    position = 0
    try:
        while position < len(view):
            feed = view[position : position + GZIP_FEED_BYTES]
            position += len(feed)
            part = member.decompress(feed, bytes_max - total + 1)  # less than asked for means: all of the feed is used
            parts.append(part)
            total += len(part)
            if total > bytes_max:
                raise PayloadTooLarge(f"the body is larger than {bytes_max} bytes when decompressed")
            if member.eof:
                position -= len(member.unused_data)
                position = _skip_zeros(view, position)
                if position == len(view):
                    return b"".join(parts)
                members += 1
                if members > GZIP_MEMBERS_MAX:
                    raise RejectPayload(f"the body has more than {GZIP_MEMBERS_MAX} gzip members")
                member = zlib.decompressobj(wbits=31)
    except zlib.error as e:
        raise RejectPayload(f"the body is no valid gzip: {e}") from None
    raise RejectPayload("the gzip body is cut off")


def _skip_zeros(view: memoryview, position: int) -> int:
    while position < len(view) and view[position] == 0:
        rest = bytes(view[position : position + GZIP_FEED_BYTES])
        position += len(rest) - len(rest.lstrip(b"\0"))
    return position


def _content_length(headers: Headers) -> int | None:
    declared = headers.get("content-length")
    return int(declared) if declared is not None and declared.isascii() and declared.isdigit() else None
