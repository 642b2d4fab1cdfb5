"""Where lines wait between a socket and the door: bounded memory, many writers, one taker.

Lines of all senders are joined, because parsing one large block is far cheaper than many small ones. The codec keeps a line
with an unclosed quote from swallowing the next sender's.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Condition
from typing import Final

from appliance.records import Reject

REJECTS_WAITING_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What the feeder gets at once."""

    lines: bytes
    """Whole lines."""
    messages: int
    """Datagrams, or pieces of a connection's bytes."""
    rejects: tuple[Reject, ...]


class Gather:
    """A bounded buffer. ``add`` and ``reject`` from any thread, ``take`` from one."""

    def __init__(self, *, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        """Waiting now; read without the lock by those who only look."""
        self._changed = Condition()
        self._pieces: list[bytes] = []
        self._rejects: list[Reject] = []
        self._messages = 0
        self._closed = False

    def add(self, lines: bytes, *, messages: int) -> bool:
        """Takes whole lines, the last ended by a newline; False when there is no room, and nothing was taken."""
        with self._changed:
            if self.bytes + len(lines) > self.bytes_max and self.bytes:
                return False
            self._pieces.append(lines)
            self._messages += messages
            self._grow(len(lines))
        return True

    def reject(self, reject: Reject) -> bool:
        """Takes a line that is already known to be bad; False when there is no room or are ``REJECTS_WAITING_MAX``."""
        with self._changed:
            no_room = self.bytes + len(reject.raw) > self.bytes_max and self.bytes
            if no_room or len(self._rejects) >= REJECTS_WAITING_MAX:
                return False
            self._rejects.append(reject)
            self._grow(len(reject.raw))
        return True

    def wait(self) -> bool:
        """Until something is there (True), or it has been closed and is empty (False)."""
        with self._changed:
            self._changed.wait_for(lambda: self.bytes > 0 or self._closed)
            return self.bytes > 0

    def take(self) -> Taken:
        """Everything that is there."""
        with self._changed:
            taken = Taken(b"".join(self._pieces), self._messages, tuple(self._rejects))
            self._pieces, self._rejects = [], []
            self._messages = 0
            self.bytes = 0
        return taken

    def close(self) -> None:
        """Nothing more is coming."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _grow(self, n: int) -> None:
        if not self.bytes:
            self._changed.notify_all()
        self.bytes += n
