"""When a key falls silent, and when it comes back. Shared by the rules of one stream with the same keys and the same time.

Pure, by column. A gap of a key begins ``after_us`` behind its newest record, once the watermark has got there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.values import I64, Mask

_FAR = 2**62


@dataclass(slots=True)
class Gaps:
    """Owned by the plan of the stream."""

    after_us: int
    silent: Mask = field(default_factory=lambda: np.empty(0, np.bool_))
    """By key: whether it is in a gap."""
    next_us: int = NEVER
    """No key can fall silent before the watermark gets here."""

    def grow(self, keys: int) -> None:
        """Makes room for so many keys."""
        new = keys - len(self.silent)
        if new > 0:
            self.silent = np.append(self.silent, np.zeros(max(new, len(self.silent)), np.bool_))

    def take(self, keys: I64, previous_us: I64, watermark: I64) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Positions of the records before which their key fell silent, and of those with which it comes back.

        ``keys`` are sorted, ``previous_us`` is the time of the key's record before (``NEVER``: none).
        """
        fell = (previous_us != NEVER) & (watermark >= previous_us + self.after_us)
        first = np.append(True, keys[1:] != keys[:-1]) if len(keys) else np.empty(0, np.bool_)
        was = first & self.silent[keys]
        if not (fell.any() or was.any()):
            return _NOTHING
        fell_new = fell & ~was
        self.silent[keys] = False
        return np.flatnonzero(fell_new), np.flatnonzero(fell_new | was)

    def advance(self, newest: I64, watermark_us: int) -> npt.NDArray[np.intp]:
        """Keys that fall silent as the watermark gets to ``watermark_us``; ``newest`` is the time of the newest record by key."""
        if watermark_us < self.next_us:
            return np.empty(0, np.intp)
        silent = self.silent[: len(newest)]
        due = np.where(silent | (newest == NEVER), _FAR, newest + self.after_us)
        fell = np.flatnonzero(due <= watermark_us)
        silent[fell] = True
        due[fell] = _FAR
        self.next_us = int(due.min()) if len(due) else NEVER
        return fell

    def disturb(self, oldest_us: int) -> None:
        """Keys have come, or come back, whose newest record is at ``oldest_us`` or later."""
        self.next_us = min(self.next_us, oldest_us + self.after_us)


_NOTHING = (np.empty(0, np.intp), np.empty(0, np.intp))
