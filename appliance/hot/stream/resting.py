"""When the processor rests: in a flood the door goes first, so that those who send are not held up by rules.

A round of many records is followed by a rest; the next one then has more of them at once, which cost less each. Whoever calls ends a
rest, and there is none where many records wait: so what is told is told within a second even then. One owner, the processor.
"""

from __future__ import annotations

import threading
from typing import Final

FLOOD_ROWS: Final = 2_048
"""Records of one round from which on it is a flood."""
SHARE: Final = 4.0
"""A rest is so many times as long as the round took."""
REST_S_MAX: Final = 0.2
LAG_ROWS_MAX: Final = 65_536
"""Records that may wait for it: what comes in half a second when they come as fast as they can."""


class Rests:
    """The pauses of the processor's thread; ``call`` is for every thread."""

    def __init__(self) -> None:
        self._called = threading.Event()
        self._rest_s = 0.0

    def call(self) -> None:
        """Somebody waits: there is no time to rest before the next round."""
        self._called.set()

    def wait(self, woken: threading.Event, longest_s: float) -> None:
        """Until something has come or the time is over, then as long as the newest round said."""
        woken.wait(longest_s)
        if self._rest_s:
            self._called.wait(self._rest_s)
        self._called.clear()
        woken.clear()

    def after(self, rows: int, waiting: int, *, took_ns: int) -> None:
        """A round of so many records took so long, and so many wait by now."""
        self._rest_s = rest_s(rows, waiting, took_s=took_ns / 1e9)


def rest_s(rows: int, waiting: int, *, took_s: float) -> float:
    """How long to rest after a round of so many records, while so many wait."""
    if rows < FLOOD_ROWS or waiting > LAG_ROWS_MAX:
        return 0.0
    return min(took_s * SHARE, REST_S_MAX)
