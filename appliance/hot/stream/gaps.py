"""When a key falls silent, and when it comes back. Shared by the rules of one stream with the same keys and the same time.

Pure, by column. A gap of a key begins ``after_us`` behind its newest record, once the watermark has got there. A device whose records
are from the past (it sends what it has kept, or its clock has been set back) is heard all the same: with such a record its gap
begins ``after_us`` behind the watermark of that moment. What is older than the key's newest record by much is an import, and no sign
of life.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.clock import US_PER_S
from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.values import I64, Mask
from appliance.hot.stream.windows.rounds import Round

BEHIND_MAX_US: Final = 3_600 * US_PER_S
"""A clock that was set back by more than this is not told from an import of old records."""
_FAR: Final = 2**62


@dataclass(frozen=True, slots=True)
class Gone:
    """Places of rows in a round."""

    fell: npt.NDArray[np.intp]
    """Before these records their key fell silent."""
    back: npt.NDArray[np.intp]
    """With these it comes back."""
    last_us: I64
    """When the key was heard last before each record."""


@dataclass(slots=True)
class Gaps:
    """Owned by the plan of the stream."""

    after_us: int
    silent: Mask = field(default_factory=lambda: np.empty(0, np.bool_))
    """By key: whether it is in a gap."""
    heard_us: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    """By key: how far event time had come when it last sent records from the past; ``NEVER`` where it has sent none."""
    next_us: int = NEVER
    """No key can fall silent before the watermark gets here."""
    _has_heard: bool = False

    def grow(self, keys: int) -> None:
        """Makes room for so many keys."""
        new = keys - len(self.silent)
        if new > 0:
            room = max(new, len(self.silent))
            self.silent = np.append(self.silent, np.zeros(room, np.bool_))
            self.heard_us = np.append(self.heard_us, np.full(room, NEVER, np.int64))

    def take(self, rows: Round, previous_us: I64, ts: I64, watermark: I64) -> Gone:
        """What the records of a round end and show; all arrays are in the order of ``rows``.

        ``previous_us`` is the newest time of the key before each record (``NEVER``: none), ``watermark`` that of the stream.
        """
        behind = ts + self.after_us // 2 <= watermark
        if not (behind.any() or self._has_heard):
            return self._take(rows.key, None, previous_us, watermark)
        alive = ~behind | (ts >= previous_us) | (ts >= watermark - BEHIND_MAX_US)
        heard = np.where(alive & behind, watermark, NEVER)
        self._has_heard |= bool((alive & behind).any())
        after = heard.copy()
        after[rows.key_starts] = np.maximum(after[rows.key_starts], self.heard_us[rows.keys])
        rows.accumulate(np.maximum, after)
        before = np.append(NEVER, after[:-1])
        before[rows.key_starts] = self.heard_us[rows.keys]
        self.heard_us[rows.keys] = after[rows.key_ends]
        return self._take(rows.key, None if alive.all() else np.flatnonzero(alive), np.maximum(previous_us, before), watermark)

    def _take(self, keys: I64, alive: npt.NDArray[np.intp] | None, last_us: I64, watermark: I64) -> Gone:
        if alive is not None:
            keys, picked_us, watermark = keys[alive], last_us[alive], watermark[alive]
        else:
            picked_us = last_us
        fell = (picked_us != NEVER) & (watermark >= picked_us + self.after_us)
        first = np.append(True, keys[1:] != keys[:-1]) if len(keys) else np.empty(0, np.bool_)
        was = first & self.silent[keys]
        if not (fell.any() or was.any()):
            return Gone(_NOTHING, _NOTHING, last_us)
        self.silent[keys] = False
        gone, back = np.flatnonzero(fell & ~was), np.flatnonzero(fell | was)
        return Gone(gone, back, last_us) if alive is None else Gone(alive[gone], alive[back], last_us)

    def advance(self, newest: I64, watermark_us: int) -> npt.NDArray[np.intp]:
        """Keys that fall silent as the watermark gets to ``watermark_us``; ``newest`` is the time of the newest record by key."""
        if watermark_us < self.next_us:
            return _NOTHING
        silent = self.silent[: len(newest)]
        due = np.where(silent | (newest == NEVER), _FAR, np.maximum(newest, self.heard_us[: len(newest)]) + self.after_us)
        fell = np.flatnonzero(due <= watermark_us)
        silent[fell] = True
        due[fell] = _FAR
        self.next_us = int(due.min()) if len(due) else NEVER
        return fell

    def fell_us(self, newest_us: int, key: int) -> int:
        """When the gap of a key begins whose newest record is at ``newest_us``."""
        return max(newest_us, int(self.heard_us[key])) + self.after_us

    def disturb(self, oldest_us: int) -> None:
        """Keys have come, or come back, whose newest record is at ``oldest_us`` or later."""
        self.next_us = min(self.next_us, oldest_us + self.after_us)


_NOTHING: Final = np.empty(0, np.intp)
