"""The bytes of a file as one thing: its digest, those of its beginnings, whether somebody writes to it, where it is unpacked."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from appliance.errors import RejectPayload
from appliance.sources.codecs.content import Content

READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first bytes of a file that may have been taken before it grew."""

    digest: str
    ends_line: bool
    """A record that was cut off in the middle would not be seen to go on."""


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of the whole content, and of some of its beginnings, longest first."""

    whole: str
    beginnings: tuple[Beginning, ...] = ()


def digest_file(file: IO[bytes], *, size: int, prefixes: Sequence[int] = ()) -> Digests:
    """Hash the first ``size`` bytes, and the beginnings of the sizes in ``prefixes``. Raises ``RejectPayload`` when it is shorter."""
    file.seek(0)
    whole = hashlib.sha256()
    beginnings: list[Beginning] = []
    at, last = 0, b""
    for stop in sorted({*(p for p in prefixes if 0 < p < size), size}):
        while at < stop:
            data = file.read(min(READ_BYTES, stop - at))
            if not data:
                raise RejectPayload("it became shorter while it was being read")
            whole.update(data)
            at += len(data)
            last = data[-1:]
        if stop < size:
            beginnings.append(Beginning(whole.hexdigest(), last == b"\n"))
    return Digests(whole.hexdigest(), tuple(reversed(beginnings)))


def changed(file: IO[bytes], before: os.stat_result) -> bool:
    """Whether an open file was written to since ``before``."""
    now = os.fstat(file.fileno())
    return (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def unpacked(content: Content, *, folder: Path) -> IO[bytes]:
    """The content in a nameless temporary file, for what has to be read back and forth. Raises ``ContentDamaged``."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as the pieces
    while data := content.read(READ_BYTES):
        file.write(data)
    file.seek(0)
    return file
