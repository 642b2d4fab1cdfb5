"""Sections of bytes packed into one blob, each compressed by itself, with a checksum over all: what is damaged can't be read as an answer.

Pure. Numbers lie as planes of bytes (all lowest bytes, then the next ones), which compress as well as what is in them allows.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hybrid.search.words import I64, U8

LEVEL: Final = 9
_HEAD: Final = struct.Struct("<IH")
_SIZES: Final = struct.Struct("<II")


class Broken(Exception):
    """A blob is not what was written."""


def packed(sections: Sequence[bytes]) -> bytes:
    """One blob of these sections."""
    codec = pa.Codec("zstd", compression_level=LEVEL)
    bodies = [bytes(codec.compress(s, asbytes=True)) if s else b"" for s in sections]
    sizes = b"".join(_SIZES.pack(len(s), len(b)) for s, b in zip(sections, bodies, strict=True))
    rest = sizes + b"".join(bodies)
    return _HEAD.pack(crc32(rest), len(sections)) + rest


class Frames:
    """Reads a blob; a section is unpacked when it is asked for. Raises ``Broken``."""

    def __init__(self, blob: bytes) -> None:
        try:
            crc, count = _HEAD.unpack_from(blob)
            if crc32(memoryview(blob)[_HEAD.size :]) != crc:
                raise Broken("its checksum is wrong")
            sizes = [_SIZES.unpack_from(blob, _HEAD.size + i * _SIZES.size) for i in range(count)]
        except struct.error as e:
            raise Broken("it is cut off") from e
        at = _HEAD.size + count * _SIZES.size
        self._blob = memoryview(blob)
        self._places: list[tuple[int, int, int]] = []
        for raw, size in sizes:
            self._places.append((at, size, raw))
            at += size

    def section(self, number: int) -> bytes:
        """The bytes of a section."""
        at, size, raw = self._places[number]
        return b"" if raw == 0 else bytes(pa.Codec("zstd").decompress(self._blob[at : at + size], decompressed_size=raw, asbytes=True))

    def numbers(self, number: int, count: int) -> npt.NDArray[np.uint32]:
        """``count`` numbers out of the sections from ``number`` on, of which there are ``PLANES``."""
        found = np.zeros((count, 4), np.uint8)
        for plane in range(PLANES):
            of: U8 = np.frombuffer(self.section(number + plane), np.uint8)
            if len(of):
                found[:, plane] = of
        return found.view("<u4").reshape(-1)


PLANES: Final = 4
"""Sections that numbers take."""


def planes(numbers: I64) -> list[bytes]:
    """Numbers below 2**32 as ``PLANES`` sections; a plane of zeros is empty."""
    split = np.ascontiguousarray(numbers.astype("<u4")).view(np.uint8).reshape(-1, 4)
    return [split[:, p].tobytes() if split[:, p].any() else b"" for p in range(PLANES)]
