"""What is known of texts as bytes: versioned, packed, checked."""

from __future__ import annotations

import struct
import zlib
from typing import Final, TypeVar

import msgspec

from appliance.errors import ApplianceError

FORMAT: Final = 1
"""Of a dump; another one is refused, and what it held is learned again."""
_MAGIC: Final = b"txt"
_HEAD: Final = struct.Struct("<HI")
_LEVEL: Final = 3
T = TypeVar("T")


class StateUnusable(ApplianceError):
    """A dump of another format, or damaged: begin anew."""


def packed(state: object) -> bytes:
    """A value as bytes."""
    content = zlib.compress(msgspec.msgpack.encode(state), _LEVEL)
    return _MAGIC + _HEAD.pack(FORMAT, zlib.crc32(content)) + content


def unpacked(dumped: bytes, type_: type[T]) -> T:
    """The value that was packed. Raises StateUnusable where it can't be read."""
    begin = len(_MAGIC) + _HEAD.size
    if dumped[: len(_MAGIC)] != _MAGIC or len(dumped) < begin:
        raise StateUnusable("stored state of the analysis of texts: not one; it learns anew")
    found, crc = _HEAD.unpack(dumped[len(_MAGIC) : begin])
    if found != FORMAT:
        raise StateUnusable(f"stored state of the analysis of texts: format {found}, this version reads {FORMAT}; it learns anew")
    if zlib.crc32(dumped[begin:]) != crc:
        raise StateUnusable("stored state of the analysis of texts: damaged; it learns anew")
    try:
        return msgspec.msgpack.decode(zlib.decompress(dumped[begin:]), type=type_)
    except (msgspec.DecodeError, zlib.error) as e:
        raise StateUnusable(f"stored state of the analysis of texts: damaged ({e}); it learns anew") from e
