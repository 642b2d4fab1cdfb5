"""When each series came, by slot: what a sighting says of it beside its score. By column; owned by the follower."""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.hot.stream.values import I64
from appliance.hybrid.analysis.numeric.scored import I32

WEEK_US: Final = 7 * 86_400 * 1_000_000
_FIRST, _LAST, _COUNT = range(3)


class SlotTimes:
    """Event time of the first and the newest record of each slot, in the order of arrival, and how many there were."""

    def __init__(self) -> None:
        self._rows: I64 = np.zeros((3, 0), np.int64)

    def grow(self, count: int) -> None:
        """Slots 0 to ``count`` - 1 can be used."""
        new = count - self._rows.shape[1]
        if new > 0:
            self._rows = np.concatenate((self._rows, np.zeros((3, max(new, self._rows.shape[1])), np.int64)), axis=1)

    def forget(self, slots: I32) -> None:
        """Those slots are as new."""
        self._rows[:, slots] = 0

    def begin(self, slots: I32, ts_us: I64) -> None:
        """Records come next, in the order of their sequences by slot: from now on each series has begun."""
        new = np.flatnonzero(self._rows[_COUNT, slots] == 0)[::-1]
        self._rows[_FIRST, slots[new]] = ts_us[new]

    def take(self, slots: I32, ts_us: I64) -> None:
        """Those records have come."""
        self._rows[_LAST, slots] = ts_us
        self._rows[_COUNT] += np.bincount(slots, minlength=self._rows.shape[1])

    def learned(self, slot: int, ts_us: int) -> float:
        """How much of a week the series, which has begun, had been there for by then: 0 to 1."""
        return float(min(1.0, max(0, ts_us - int(self._rows[_FIRST, slot])) / WEEK_US))

    def step_us(self, slots: I32, ts_us: I64, at: int) -> int | None:
        """The time between record ``at`` of these, which have begun and were not taken, and the one before of its series, or what was
        usual between its records up to then where that is less: after a gap it is. None: it is the first."""
        slot, now_us = slots[at], int(ts_us[at])
        before = np.flatnonzero(slots[:at] == slot)
        count = int(self._rows[_COUNT, slot]) + len(before)
        if not count:
            return None
        last_us = int(ts_us[before[-1]]) if len(before) else int(self._rows[_LAST, slot])
        return min(abs(now_us - last_us), abs(now_us - int(self._rows[_FIRST, slot])) // count)

    def newest_us(self, slot: int) -> int:
        """Event time of the newest record; 0 where there was none."""
        return int(self._rows[_LAST, slot])

    def dump(self) -> bytes:
        """All of it."""
        return self._rows.tobytes()

    def load(self, dumped: bytes) -> None:
        """What ``dump`` gave."""
        self._rows = np.frombuffer(dumped, np.int64).reshape(3, -1).copy()
