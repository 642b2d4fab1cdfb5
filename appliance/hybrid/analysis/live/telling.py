"""Which of the unusual records of a series are told: not each of ten thousand, and never fewer than what matters. Pure.

What is told depends on the records and their order alone, not on how they are cut into rounds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final, Generic, TypeVar

from appliance.clock import US_PER_S

EVERY_US: Final = US_PER_S * 8 // 10
"""An unusual record is told when none was within this event time, or when it is more unusual than that one. Less than a second, so that
of what is measured each second every record is told, however its clock jitters."""
KEPT_MAX: Final = 20_000
"""Series of which the newest record that was told is remembered; the oldest go first."""
STRETCH_ROWS: Final = 1_024
STRETCH_US: Final = 60 * US_PER_S
TOLD_MAX: Final = 32
"""Of one stream in a stretch: a thousand series that are unusual at once need no more to be an incident, and each one costs."""
K = TypeVar("K", bound=Hashable)


def unusual_from(sensitivity: float) -> float:
    """The score from which on a record is told: 0.9 at most sensitive, 0.99 at least."""
    return 0.99 - 0.09 * sensitivity


class Budget:
    """How many records of a stream may be told: so many of a stretch of its sequences, or of its event time where that is sooner over."""

    def __init__(self, seq: int = 0, ts_us: int = 0, told: int = 0) -> None:
        """As ``state`` gave it."""
        self.state = (seq, ts_us, told)

    def has_room(self, seq: int, ts_us: int) -> bool:
        """Whether this one may be told still. They come by rising sequence."""
        first_seq, first_us, told = self.state
        if seq - first_seq >= STRETCH_ROWS or abs(ts_us - first_us) >= STRETCH_US:
            self.state = (seq, ts_us, 0)
            return True
        return told < TOLD_MAX

    def spend(self) -> None:
        """It was told."""
        self.state = (*self.state[:2], self.state[2] + 1)


class Telling(Generic[K]):
    """What was told last, by series."""

    def __init__(self) -> None:
        self._last: dict[K, tuple[int, float, int]] = {}
        """Event time and score of the newest that was told, and how many unusual records came since."""

    def take(self, key: K, ts_us: int, score: float, *, may_tell: bool = True) -> int:
        """An unusual record: 0 when it is not told, else for how many it stands, itself among them."""
        known = self._last.pop(key, None)
        if known is None:
            if len(self._last) >= KEPT_MAX:
                self._last.pop(next(iter(self._last)))
            self._last[key] = (ts_us, score, 0) if may_tell else (ts_us - EVERY_US, 0.0, 1)
            return int(may_tell)
        last_us, highest, waiting = known
        if not may_tell or (abs(ts_us - last_us) < EVERY_US and score <= highest):
            self._last[key] = (last_us, highest, waiting + 1)
            return 0
        self._last[key] = (ts_us, score, 0)
        return waiting + 1

    def forget(self, keys: Iterable[K]) -> None:
        """Nothing is known of these any more."""
        for key in keys:
            self._last.pop(key, None)

    def dump(self) -> list[tuple[K, int, float, int]]:
        """All that is known, in its order."""
        return [(key, *value) for key, value in self._last.items()]

    def load(self, dumped: list[tuple[K, int, float, int]]) -> None:
        """What ``dump`` gave."""
        self._last = {key: (ts_us, score, waiting) for key, ts_us, score, waiting in dumped}
