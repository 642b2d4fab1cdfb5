"""Arrays with one row for each series, grown, forgotten, written to bytes and read back."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from appliance.errors import ApplianceError

FORMAT: Final = 1
"""Of a dump; another one is refused, and what it held is learned again."""
_MAGIC: Final = b"num"
_FASTEST: Final = 1


class StateUnusable(ApplianceError):
    """A dump of another format, or damaged: begin anew."""


@dataclass(frozen=True, slots=True)
class Field:
    """One array."""

    dtype: str
    width: int = 0
    """Columns; 0: one value a series."""
    default: float = 0.0


class State:
    """Named arrays over slots. Rows are as ``default`` says until they are set."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = dict(fields)
        self.arrays: dict[str, npt.NDArray[Any]] = {name: _made(f, 0) for name, f in fields.items()}
        self.count = 0

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        return sum(a.nbytes for a in self.arrays.values())

    def grow(self, count: int) -> None:
        """Room for at least ``count`` slots; never less than before."""
        if count <= self.count:
            return
        for name, f in self._fields.items():
            self.arrays[name] = np.concatenate([self.arrays[name], _made(f, count - self.count)])
        self.count = count

    def forget(self, slots: npt.NDArray[Any]) -> None:
        """Those slots are as new."""
        for name, f in self._fields.items():
            self.arrays[name][slots] = f.default

    def dump(self) -> bytes:
        """All rows."""
        parts = {name: (a.dtype.str, a.tobytes()) for name, a in self.arrays.items()}
        packed = zlib.compress(msgspec.msgpack.encode((self.count, parts)), _FASTEST)
        return _MAGIC + struct.pack("<HI", FORMAT, zlib.crc32(packed)) + packed

    def load(self, dumped: bytes) -> None:
        """What ``dump`` gave instead of what is there. Raises StateUnusable where it can't be read; then nothing has changed."""
        head = len(_MAGIC) + 6
        if dumped[: len(_MAGIC)] != _MAGIC or len(dumped) < head:
            raise StateUnusable("stored state of the analysis of numbers: not one; it learns anew")
        found, crc = struct.unpack("<HI", dumped[len(_MAGIC) : head])
        if found != FORMAT:
            raise StateUnusable(f"stored state of the analysis of numbers: format {found}, this version reads {FORMAT}; it learns anew")
        if zlib.crc32(dumped[head:]) != crc:
            raise StateUnusable("stored state of the analysis of numbers: damaged; it learns anew")
        count, parts = msgspec.msgpack.decode(zlib.decompress(dumped[head:]), type=tuple[int, dict[str, tuple[str, bytes]]])
        if parts.keys() != self._fields.keys():
            raise StateUnusable("stored state of the analysis of numbers: other arrays; it learns anew")
        for name, (dtype, content) in parts.items():
            shape = (count, self._fields[name].width) if self._fields[name].width else (count,)
            self.arrays[name] = np.frombuffer(content, dtype).reshape(shape).copy()
        self.count = count


def _made(f: Field, count: int) -> npt.NDArray[Any]:
    return np.full((count, f.width) if f.width else count, f.default, f.dtype)
