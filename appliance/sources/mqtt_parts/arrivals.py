"""When each message that is not yet acknowledged arrived first: a small file, so that a redelivered message keeps its time.

A message without a time of its own gets that of its arrival, and is redelivered when its acknowledgement was lost. It then carries
the flag DUP and the same packet id. This memory has one slot for each packet id: a hash of topic and payload, and the time. It is
written before the records are committed; so the same message again has the same time, is the same record by its identity, and changes
no count, whatever crashed in between.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from pathlib import Path

from appliance.errors import StoreDamaged

SLOTS = 65_536
"""One for each packet id of MQTT."""
_SLOT = struct.Struct("<8sq")
_BYTES = SLOTS * _SLOT.size


def message_key(topic: str, payload: bytes) -> bytes:
    """Eight bytes by which a message is known again under its packet id."""
    return hashlib.blake2b(payload, digest_size=8, key=hashlib.blake2b(topic.encode(), digest_size=32).digest()).digest()


class Arrivals:
    """The file, mapped. Owned by one thread."""

    def __init__(self, path: Path, *, synced: bool) -> None:
        """``synced``: what was noted survives a power cut, too. Raises ``StoreDamaged`` when the file can't be used."""
        self._synced = synced
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = -1
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if os.fstat(descriptor).st_size != _BYTES:
                os.ftruncate(descriptor, 0)
                os.posix_fallocate(descriptor, 0, _BYTES)
                os.fsync(descriptor)
            self._map = mmap.mmap(descriptor, _BYTES)
        except OSError as error:
            raise StoreDamaged(str(error.strerror), path=path, hint="make room, or remove it") from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        self._dirty = False

    def find(self, mid: int, key: bytes) -> int | None:
        """When this message arrived first, in microseconds; None when it is not the one noted under its packet id."""
        noted, ts_us = _SLOT.unpack_from(self._map, mid * _SLOT.size)
        return int(ts_us) if noted == key and ts_us else None

    def note(self, mid: int, key: bytes, ts_us: int) -> None:
        """Remember a message; durable after ``sync``."""
        _SLOT.pack_into(self._map, mid * _SLOT.size, key, ts_us)
        self._dirty = True

    def sync(self) -> None:
        """Wait until everything noted is on disk."""
        if self._dirty and self._synced:
            self._map.flush()
        self._dirty = False

    def close(self) -> None:
        self._map.close()
