"""What is known of each key: its current session, the one before, when the current one is due, and where forgotten ones lie.

Of sessions that are neither current nor the one before only edges are left: those of all (``oldest_us``, ``newest_us``) and of the
nearest on each side of the one before (``low_us``, ``high_us``). A place in time where one of these four could hide a session is a
place of which nothing is known; a late record there is told as late.
"""

from __future__ import annotations

import numpy as np

from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.sessions.cells import resized
from appliance.hot.stream.sessions.pool import Pool
from appliance.hot.stream.sessions.values import FAR, Places
from appliance.hot.stream.values import I64, Mask


class Known:
    """Owned by ``SessionTracker``. All arrays are by dense id of the key."""

    def __init__(self) -> None:
        self.now: Places = np.empty(0, np.intp)
        """Slot of the current session, open or closed; -1: the key has had no record."""
        self.before: Places = np.empty(0, np.intp)
        """Slot of the one before; -1: none is remembered."""
        self.due_us: I64 = np.empty(0, np.int64)
        """The watermark at which the current session is closed; ``FAR`` where it is or there is none."""
        self.low_us: I64 = np.empty(0, np.int64)
        """End of the nearest forgotten session earlier than the one before; ``NEVER``: there is none."""
        self.high_us: I64 = np.empty(0, np.int64)
        """Start of the nearest forgotten session between the one before and the current one; ``FAR``: there is none."""
        self.oldest_us: I64 = np.empty(0, np.int64)
        """Start of the earliest forgotten session; ``FAR``: none was forgotten."""
        self.newest_us: I64 = np.empty(0, np.int64)
        """End of the latest forgotten session; ``NEVER``: none was forgotten."""
        self.changed: Mask = np.empty(0, np.bool_)
        """Keys whose state is not as it was dumped last."""
        self.scratch: Places = np.empty(0, np.intp)
        self.keys = 0
        self._next_due_us = FAR

    @property
    def bytes(self) -> int:
        columns = (
            self.now,
            self.before,
            self.due_us,
            self.low_us,
            self.high_us,
            self.oldest_us,
            self.newest_us,
            self.changed,
            self.scratch,
        )
        return sum(a.nbytes for a in columns)

    def grow(self, keys: int) -> None:
        """Makes room for so many keys."""
        if keys <= self.keys:
            return
        self.keys = keys
        if keys <= len(self.now):
            return
        size = keys + max(len(self.now) // 2, 64)
        self.now, self.before = resized(self.now, size, -1), resized(self.before, size, -1)
        self.due_us = resized(self.due_us, size, FAR)
        self.low_us, self.high_us = resized(self.low_us, size, NEVER), resized(self.high_us, size, FAR)
        self.oldest_us, self.newest_us = resized(self.oldest_us, size, FAR), resized(self.newest_us, size, NEVER)
        self.changed, self.scratch = resized(self.changed, size, fill=False), resized(self.scratch, size, 0)

    def are_alone(self, ids: Places) -> bool:
        """Whether no key occurs twice."""
        places = np.arange(len(ids))
        self.scratch[ids] = places
        return bool((self.scratch[ids] == places).all())

    def expect(self, ids: Places, due_us: I64) -> None:
        """The current sessions of ``ids`` (at least one) will be due then."""
        self.due_us[ids] = due_us
        self._next_due_us = min(self._next_due_us, int(due_us.min()))

    def take_due(self, watermark_us: int) -> Places:
        """Keys whose current session is closed by this watermark; they are due no more."""
        if watermark_us < self._next_due_us:
            return _NOBODY
        found = np.flatnonzero(self.due_us <= watermark_us)
        self.due_us[found] = FAR
        self.changed[found] = True
        self._next_due_us = int(self.due_us.min()) if len(self.due_us) else FAR
        return found

    def forget(self, ids: Places, slots: Places, pool: Pool) -> None:
        """Sessions of the keys ``ids`` that are neither current nor the one before any more."""
        np.minimum.at(self.oldest_us, ids, pool.start[slots])
        np.maximum.at(self.newest_us, ids, pool.last[slots])


_NOBODY: Places = np.empty(0, np.intp)
