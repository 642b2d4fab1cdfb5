"""From the level at each point to the few points that matter: where it changes, and where a pending alert may have become due.

Pure, by column; a round in which nothing changes costs a handful of array operations for each rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    last: I8 = field(default_factory=lambda: _locked(np.empty(0, np.int8)))
    """By key, to be read only; FALSE where nothing is known."""
    true_us: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    """Event time of the newest point with level TRUE; only where ``waits``."""
    deadline_us: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    """When a pending alert is due to fire, to be read only; ``NO_DEADLINE`` where none is pending."""
    _is_false: bool | None = None
    """As far as it is known."""
    _has_deadlines: bool = False
    _fell: set[int] = field(default_factory=set)
    """Keys whose condition held when they fell silent, and of which no point has come since."""

    def grow(self, keys: int) -> None:
        """Makes room for so many keys."""
        new = keys - len(self.last)
        if new > 0:
            room = max(new, len(self.last))
            self.last = _locked(np.append(self.last, np.full(room, FALSE, np.int8)))
            self.true_us = np.append(self.true_us, np.full(room, NEVER, np.int64))
            self.deadline_us = _locked(np.append(self.deadline_us, np.full(room, NO_DEADLINE, np.int64)))

    @property
    def is_false(self) -> bool:
        """Whether of every key it is known that the condition does not hold."""
        if self._is_false is None:
            self._is_false = bool((self.last == FALSE).all())
        return self._is_false

    def put(self, keys: Places | I64 | int, levels: I8 | int) -> None:
        """Sets levels as if points had said so."""
        self.last.setflags(write=True)
        self.last[keys] = levels
        _locked(self.last)
        self._is_false = None
        if self._fell:
            self._fell.difference_update(np.atleast_1d(np.asarray(keys)).tolist())

    def held(self, key: int) -> bool:
        """Whether the condition of a key holds, or held when it fell silent: what a silence has ended is no news of the past."""
        return bool(self.last[key] == TRUE) or key in self._fell

    def wait(self, key: int, due_us: int) -> None:
        """When the pending alert of a key is due; ``NO_DEADLINE``: none is pending."""
        self.deadline_us.setflags(write=True)
        self.deadline_us[key] = due_us
        _locked(self.deadline_us)
        self._has_deadlines |= due_us != NO_DEADLINE

    def take(self, keys: I64, levels: I8, at_us: I64, anew: Mask | None = None) -> tuple[Places, Mask]:
        """The points that matter, in the order given, and which of them change the level of their key.

        Points come sorted by key, then happening. One that holds the level (HOLD) is passed over, but where the rule waits: a condition
        that can't be said to hold any more stops the waiting. There a change away from TRUE is also preceded by the point before it,
        the last one at which the condition held. ``anew`` are points with which a key comes back after a silence: what they say counts
        as a change whatever it was before.
        """
        before = self.last[keys]
        if self.waits:
            return self._take_waiting(keys, levels, at_us, before, anew)
        if anew is None and ((levels == before) | (levels == HOLD)).all():
            return _NONE
        known = np.flatnonzero(levels != HOLD)
        k, level = keys[known], levels[known]
        first = _first(k)
        previous = np.where(first, before[known], np.append(np.int8(0), level[:-1])[: len(level)])
        changed = level != previous
        if anew is not None:
            changed |= _first_known(anew, known, k)
        self.put(k, level)
        return known[changed], np.ones(int(changed.sum()), np.bool_)

    def _take_waiting(self, keys: I64, levels: I8, at_us: I64, before: I8, anew: Mask | None) -> tuple[Places, Mask]:
        held = levels == TRUE
        if held.any():
            self.true_us[keys[held]] = at_us[held]
        if anew is None and ((levels == before) | ((levels == HOLD) & (before != TRUE))).all():
            return _NONE
        first = _first(keys)
        place = np.arange(len(keys))
        begin = np.maximum.accumulate(np.where(first, place, 0))
        known = np.maximum.accumulate(np.where(levels != HOLD, place, -1))
        reached = np.where(known >= begin, levels[known], before)
        now = np.where(levels != HOLD, levels, np.where(reached == FALSE, FALSE, HOLD)).astype(np.int8)
        previous = np.where(first, before, np.append(np.int8(0), now[:-1])[: len(now)])
        changed = now != previous
        if anew is not None:
            told = np.flatnonzero(levels != HOLD)
            changed[told] |= _first_known(anew, told, keys[told])
        self.put(keys, now)
        matters = changed.copy()
        matters[np.flatnonzero(changed & (previous == TRUE) & ~first) - 1] = True
        return np.flatnonzero(matters), changed[matters]

    def forget(self, keys: npt.NDArray[np.intp]) -> None:
        """Of these keys nothing is known any more: the next level that they have counts as a change."""
        fell = self._fell | set(keys[self.last[keys] == TRUE].tolist())
        self.put(keys, HOLD)
        self._fell = fell

    def due(self) -> npt.NDArray[np.intp]:
        """Keys with a pending alert that a point of their own has made due."""
        if not self._has_deadlines:
            return _NONE[0]
        self._has_deadlines = bool((self.deadline_us != NO_DEADLINE).any())
        return np.flatnonzero(self.true_us >= self.deadline_us)


def _locked(values: Any) -> Any:
    """Not to be written to, so that what is known of all of it stays true."""
    values.setflags(write=False)
    return values


def _first(keys: I64) -> Mask:
    """The first point of each key."""
    return np.append(True, keys[1:] != keys[:-1])[: len(keys)]


def _first_known(anew: Mask, known: Places, keys: I64) -> Mask:
    """Of the known points, the first at or after each of ``anew`` of the same key."""
    if not len(keys):
        return np.empty(0, np.bool_)
    since = np.cumsum(anew)[known]
    new_key = _first(keys)
    first = new_key | np.append(True, since[1:] != since[:-1])
    begin = np.maximum.accumulate(np.where(new_key, np.arange(len(keys)), 0))
    found: Mask = first & ((since > since[begin]) | anew[known])
    return found
