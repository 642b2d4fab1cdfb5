"""The end of one attempt: every wait takes what is left of it, so that no other side can stretch it by answering slowly."""

from __future__ import annotations

from typing import Final

from appliance.clock import Clock

_NS_PER_S: Final = 1_000_000_000


class Deadline:
    """A moment on the monotonic clock."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self._clock = clock
        self._end_ns = clock.monotonic_ns() + int(timeout_s * _NS_PER_S)

    def left_s(self) -> float:
        """Seconds until then, more than 0. Raises ``TimeoutError`` when there are none."""
        left = (self._end_ns - self._clock.monotonic_ns()) / _NS_PER_S
        if left <= 0:
            raise TimeoutError("timed out")
        return left
