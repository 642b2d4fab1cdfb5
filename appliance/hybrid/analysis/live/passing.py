"""How much of the machine the first pass takes, and what it passes over when more waits than may: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

REST_S: Final = 0.1
"""Before a round, so that what is committed together is scored together."""
REST_S_MAX: Final = 1.5
FLOOD_ROWS_S: Final = 20_000
"""So many records a second are a flood: more than a gateway's sensors send, a fifth of what the door takes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a round goes."""

    round_s_max: float
    """After which a round ends, once a lot of values is done."""
    rests: float
    """Times as long as a round took, the next one comes later."""


class Arrivals:
    """How many records have come a second, over the last second or more."""

    def __init__(self) -> None:
        self._at_ns: int | None = None
        self._count = 0
        self._per_s = 0.0

    def per_s(self, count: int, now_ns: int) -> float:
        """``count``: how many have ever come. 0 the first time; a burst counts at once, as if it had taken a second."""
        if self._at_ns is None:
            self._at_ns, self._count = now_ns, count
        passed_s = max(1.0, (now_ns - self._at_ns) / 1e9)
        found = (count - self._count) / passed_s
        if passed_s > 1.0:
            self._at_ns, self._count, self._per_s = now_ns, count, found
        return max(found, self._per_s)


STEADY: Final = Pace(round_s_max=0.3, rests=4.0)
CATCHING_UP: Final = Pace(round_s_max=0.3, rests=1.0)
FLOOD: Final = Pace(round_s_max=0.15, rests=9.0)
"""A tenth of a processor at most: the door goes first, and what is too much is passed over."""


def pace(rows_per_s: float, *, waits: bool) -> Pace:
    """``rows_per_s``: records that came a second of late. ``waits``: whether the last round has left some."""
    if rows_per_s >= FLOOD_ROWS_S:
        return FLOOD
    return CATCHING_UP if waits else STEADY


def rest_s(took_s: float, rests: float) -> float:
    """From the end of a round that took so long to the beginning of the next one."""
    return min(REST_S_MAX, max(REST_S, took_s * rests))


def left_waiting(waiting: Mapping[str, int], rows_max: int) -> dict[str, int]:
    """Of records that wait, by stream, how many may go on waiting, so that all together are at most ``rows_max``.

    The streams with the most give up theirs: what is left is the same for all that had more.
    """
    left: dict[str, int] = {}
    room = rows_max
    for place, (stream, rows) in enumerate(sorted(waiting.items(), key=lambda item: (item[1], item[0]))):
        left[stream] = min(rows, room // (len(waiting) - place))
        room -= left[stream]
    return left
