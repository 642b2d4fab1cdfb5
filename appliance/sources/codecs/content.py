"""The bytes of a file as the codecs read them: plain or gunzipped, front to back, never more than a limit.

A reader asks for ``read(size)`` and gets fewer bytes only near the end, ``b""`` at it. Nothing here seeks, so a position in
the content is the same whether it was compressed or not. One layer of gzip is undone; members that follow one another are read as one.
"""

from __future__ import annotations

import zlib
from typing import IO, Protocol

from appliance.errors import RejectPayload

GZIP_MAGIC = b"\x1f\x8b"
_FEED_BYTES = 256 * 1024
"""Compressed bytes handed to zlib at once."""
_SALVAGE_BYTES = 16
"""Compressed bytes handed over at once where a damage is near."""


class Content(Protocol):
    """What the codecs read from."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, ``b""`` at the end. Raises ``ContentDamaged`` once what is whole has been given."""


class ContentDamaged(RejectPayload):
    """The content stops being readable here; what was read before it is good."""


class PlainContent:
    """The first ``size`` bytes of an open file: what is appended meanwhile is not part of it."""

    def __init__(self, file: IO[bytes], *, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int, /) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


class GzipContent:
    """A gzip stream, gunzipped piece by piece; memory stays at the size asked for, whatever the ratio."""

    def __init__(self, packed: Content, *, bytes_max: int) -> None:
        self._packed = packed
        self._bytes_max = bytes_max
        self._given = 0
        self._input = b""
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._damage: ContentDamaged | None = None

    def read(self, size: int, /) -> bytes:
        while True:
            if self._member is None and not self._next_member():
                return b""
            data = self._inflate(size)
            if data or self._damage is not None:
                self._given += len(data)
                if self._given > self._bytes_max:
                    raise ContentDamaged(f"more than {self._bytes_max} bytes come out of this gzip file (file_max): the rest was not read")
                if not data and self._damage is not None:
                    raise self._damage
                return data

    def _inflate(self, size: int) -> bytes:
        """Some bytes of the present member; empty when it needs more input or has ended."""
        assert self._member is not None
        if not self._input and not self._member.eof:
            self._input = self._packed.read(_FEED_BYTES)
            if not self._input:
                raise ContentDamaged("the gzip file ends too early")
        if self._damage is not None:
            raise self._damage
        before = self._member.copy()
        try:
            data = self._member.decompress(self._input, size)
        except zlib.error as error:
            self._damage = ContentDamaged(f"the gzip file is damaged ({error})")
            return _salvage(before, self._input, size)
        self._input = self._member.unconsumed_tail
        if self._member.eof:
            self._input = self._member.unused_data
            self._member = None
        return data

    def _next_member(self) -> bool:
        """Start on the next gzip member; False at the end (zero padding after a member is allowed, as gzip does)."""
        while True:
            if self._members:
                self._input = self._input.lstrip(b"\0")
            if len(self._input) >= 2:
                break
            more = self._packed.read(_FEED_BYTES)
            if not more:
                break
            self._input += more
        if not self._input and self._members:
            return False
        if not self._input.startswith(GZIP_MAGIC):
            raise ContentDamaged("bytes that are not gzip follow the gzip data" if self._members else "this is not a gzip file")
        self._member = zlib.decompressobj(wbits=31)
        self._members += 1
        return True


def _salvage(member: zlib._Decompress, data: bytes, size: int) -> bytes:
    """What comes out before the byte at which a damage is noticed; zlib itself gives nothing of a call that fails."""
    found = bytearray()
    for at in range(0, len(data), _SALVAGE_BYTES):
        try:
            found += member.decompress(data[at : at + _SALVAGE_BYTES])
        except zlib.error:
            break
        if len(found) >= size:
            break
    return bytes(found[:size])
