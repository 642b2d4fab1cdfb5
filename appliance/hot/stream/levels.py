"""From the level at each point to the few points that matter: where it changes, and where a pending alert may have become due.

Pure, by column; a round in which nothing changes costs a handful of array operations for each rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.values import FALSE, HOLD, I8, I64, TRUE, Mask

NO_DEADLINE = 2**62
Places = npt.NDArray[np.intp]
_NONE: tuple[Places, Mask] = (np.empty(0, np.intp), np.empty(0, np.bool_))


@dataclass(slots=True)
class Levels:
    """The newest level of each key for one rule. Owned by the plan of the rule's stream."""

    waits: bool
    """The rule has a ``for``: it matters how long a level holds."""
    last: I8 = field(default_factory=lambda: np.empty(0, np.int8))
    """By key; FALSE where nothing is known."""
    true_us: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    """Event time of the newest point with level TRUE; only where ``waits``."""
    deadline_us: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    """When a pending alert is due to fire; ``NO_DEADLINE`` where none is pending."""

    def grow(self, keys: int) -> None:
        """Makes room for so many keys."""
        new = keys - len(self.last)
        if new > 0:
            room = max(new, len(self.last))
            self.last = np.append(self.last, np.full(room, FALSE, np.int8))
            self.true_us = np.append(self.true_us, np.full(room, NEVER, np.int64))
            self.deadline_us = np.append(self.deadline_us, np.full(room, NO_DEADLINE, np.int64))

    def take(self, keys: I64, levels: I8, at_us: I64) -> tuple[Places, Mask]:
        """The points that matter, in the order given, and which of them change the level of their key.

        Points come sorted by key, then happening. One that holds the level (HOLD) is passed over. Where the rule waits, a change away
        from TRUE is preceded by the point before it, the last one at which the condition still held.
        """
        before = self.last[keys]
        same = (levels == before) | (levels == HOLD)
        if self.waits:
            held = levels == TRUE
            if held.any():
                self.true_us[keys[held]] = at_us[held]
        if same.all():
            return _NONE
        known = np.flatnonzero(levels != HOLD)
        k, level = keys[known], levels[known]
        first = np.append(True, k[1:] != k[:-1])
        previous = np.where(first, before[known], np.append(np.int8(0), level[:-1]))
        changed = level != previous
        self.last[k] = level
        if not self.waits:
            return known[changed], np.ones(int(changed.sum()), np.bool_)
        matters = changed.copy()
        matters[np.flatnonzero(changed & (previous == TRUE) & ~first) - 1] = True
        return known[matters], changed[matters]

    def due(self) -> npt.NDArray[np.intp]:
        """Keys with a pending alert that a point of their own has made due."""
        return np.flatnonzero(self.true_us >= self.deadline_us)
