"""The values of one argument that quantiles and distinct counts are made of: of each key the newest ones, in order."""

from __future__ import annotations

import numpy as np

from appliance.hot.stream.values import I64
from appliance.hot.stream.windows.aggregates import Numbers
from appliance.hot.stream.windows.state import ragged

_ROOM_MIN = 16


class Retained:
    """One array for all keys; each has a stretch of it with room behind. A value is known by its ordinal among those of its key."""

    def __init__(self) -> None:
        self.data: Numbers = np.empty(0, np.float64)
        self.total: I64 = np.empty(0, np.int64)
        """Ordinal behind the newest value of each key."""
        self.oldest: I64 = np.empty(0, np.int64)
        """Ordinal of the oldest value that is kept."""
        self._begin: I64 = np.empty(0, np.int64)
        self._end: I64 = np.empty(0, np.int64)
        """Stretch of each key: place of its oldest value, end of its room."""
        self._used = 0

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return sum(a.nbytes for a in (self.data, self.total, self.oldest, self._begin, self._end))

    def reserve(self, keys: int) -> None:
        """Makes room for so many keys."""
        new = keys - len(self.total)
        if new > 0:
            zeros = np.zeros(new, np.int64)
            self.total, self.oldest = np.append(self.total, zeros), np.append(self.oldest, zeros)
            self._begin, self._end = np.append(self._begin, zeros), np.append(self._end, zeros)

    def places(self, ids: I64, ordinals: I64) -> I64:
        """Where values are in ``data``."""
        return np.asarray(self._begin[ids] + ordinals - self.oldest[ids], dtype=np.int64)

    def append(self, ids: I64, counts: I64, values: Numbers) -> None:
        """Puts newer values behind those of each key (ids distinct, values in their order)."""
        if self.data.dtype != values.dtype:
            self.data = self.data.astype(values.dtype)
        kept = self.total[ids] - self.oldest[ids]
        short = np.flatnonzero(self._begin[ids] + kept + counts > self._end[ids])
        if len(short):
            room = 2 * (kept[short] + counts[short]) + _ROOM_MIN
            if self._used + int(room.sum()) <= len(self.data):
                self._move(ids[short], room)
            else:
                more = np.zeros(len(self.total), np.int64)
                more[ids] = counts
                more[ids[short]] = room - kept[short]
                self._pack(more)
        self.data[ragged(self._begin[ids] + kept, counts)] = values
        self.total[ids] += counts

    def trim(self, ids: I64, oldest: I64) -> None:
        """Forgets values before an ordinal."""
        to = np.minimum(np.maximum(oldest, self.oldest[ids]), self.total[ids])
        self._begin[ids] += to - self.oldest[ids]
        self.oldest[ids] = to

    def clear(self, ids: I64) -> None:
        """Forgets all values of some keys."""
        self.trim(ids, self.total[ids])

    def recode(self, codes: I64) -> None:
        """Replaces each value (a code of a text) by its new one."""
        places = ragged(self._begin, self.total - self.oldest)
        self.data[places] = codes[self.data[places].astype(np.int64)]

    def held(self) -> I64:
        """All values that there are."""
        return np.asarray(self.data[ragged(self._begin, self.total - self.oldest)], dtype=np.int64)

    def _move(self, ids: I64, room: I64) -> None:
        """Gives some keys a stretch with more room, in the unused end of the array."""
        begin = self._used + np.cumsum(room) - room
        kept = self.total[ids] - self.oldest[ids]
        self.data[ragged(begin, kept)] = self.data[ragged(self._begin[ids], kept)]
        self._begin[ids], self._end[ids] = begin, begin + room
        self._used += int(room.sum())

    def _pack(self, more: I64) -> None:
        """Lays all values side by side anew, each key with room for ``more``, the array with half as much again at its end."""
        kept = self.total - self.oldest
        room = kept + np.maximum(more, kept // 2)
        begin = np.cumsum(room) - room
        data = np.zeros(int(room.sum()) * 3 // 2 + _ROOM_MIN, dtype=self.data.dtype)
        data[ragged(begin, kept)] = self.data[ragged(self._begin, kept)]
        self.data, self._used = data, int(room.sum())
        self._begin, self._end = begin, begin + room
