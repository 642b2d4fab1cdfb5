"""When a panel that is kept up continuously is asked again. Pure: times in nanoseconds of the monotonic clock.

After commits, but at most every half of its freshness, so that there is as much time for the answer as for the wait; and never so often
that asking takes more than half of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NS: Final = 1_000_000_000
LEAST_S: Final = 0.2
"""No panel is asked more often, whatever freshness it wants."""
LOOK_S: Final = 2.0
"""At most so long nothing is looked at: what no commit of records tells (a deletion, what retention removes) is seen then."""
AGAIN_MIN_S: Final = 1.0
AGAIN_MAX_S: Final = 60.0
"""After failures it is asked again later and later, between these."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The last question."""

    started_ns: int
    ended_ns: int
    failures: int = 0
    """In a row, this one among them."""


def due_ns(asked: Asked | None, *, freshness_s: float, is_behind: bool, is_timed: bool, now_ns: int) -> int | None:
    """When it is asked next; in the past: now. None: not before something happens.

    ``is_behind``: records that it has not seen are there. ``is_timed``: its answer changes with time alone.
    """
    if asked is None:
        return now_ns
    if asked.failures:
        pause_s = min(AGAIN_MAX_S, AGAIN_MIN_S * 2.0 ** min(asked.failures - 1, 10))
        return asked.ended_ns + round(max(pause_s, LEAST_S) * NS)
    if not is_behind and not is_timed:
        return None
    took_ns = asked.ended_ns - asked.started_ns
    pause_s = max(LEAST_S, freshness_s / 2 if is_behind else freshness_s)
    return max(asked.started_ns + round(pause_s * NS), asked.ended_ns + took_ns)
