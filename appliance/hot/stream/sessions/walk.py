"""The careful way: the keys of which, in one round, a record came too late for its session or a session grew too long.

Goes from one late record, start or cut to the next; what lies between goes by in one step. It decides only which record belongs to
which slot and which sessions become one; the values are added by array afterwards, in the order of the sequences.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.sessions.known import Known
from appliance.hot.stream.sessions.pool import Pool
from appliance.hot.stream.sessions.values import FAR, Places
from appliance.hot.stream.values import I64, Mask

LATE = -1
"""In place of a slot: the record belongs to no session that may still change."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Rows of one round, sorted by key, within it in the order of their sequences."""

    keys: Places
    ts: I64
    is_start: Mask
    """At least a gap after the key's newest record so far, or its first."""
    is_late: Mask
    """Before the key's newest record so far."""
    is_closed: Mask
    """The watermark has closed the key's current session just before."""


@dataclass(slots=True)
class Laid:
    """Where rows belong, and what became of sessions thereby."""

    slots: list[int] = field(default_factory=list)
    """The slot of some rows in a row, or ``LATE``."""
    lengths: list[int] = field(default_factory=list)
    """How many rows each of ``slots`` stands for."""
    levels: list[int] = field(default_factory=list)
    """Likewise: how many times sessions of the key had become one before."""
    merges: list[tuple[int, int, int]] = field(default_factory=list)
    """(level, slot that stays, slot that goes), to be done when all rows up to that level are in."""
    given: dict[int, int] = field(default_factory=dict)
    """Slot -> key: closed sessions that have to be given out."""
    gone: list[int] = field(default_factory=list)
    """Slots to give back when all is done."""
    expected: list[int] = field(default_factory=list)
    """Keys whose current session is open."""


class Walk:
    """Through the rows of one key at a time."""

    def __init__(self, pool: Pool, known: Known, *, gap_us: int, longest_us: int) -> None:
        self._pool = pool
        self._known = known
        self._gap = gap_us
        self._longest = longest_us
        self.laid = Laid()

    def through(self, steps: Steps) -> Laid:
        """Lays all rows; ``known`` is then as it stands after them, but for what is due."""
        heads = np.flatnonzero(np.append(True, steps.keys[1:] != steps.keys[:-1]))
        ends = np.append(heads[1:], len(steps.keys))
        ts, late, starts, closed = (a.tolist() for a in (steps.ts, steps.is_late, steps.is_start, np.cumsum(steps.is_closed)))
        self._ts: list[int] = ts
        self._closed: list[int] = [0, *closed]
        for head, end in zip(heads.tolist(), ends.tolist(), strict=True):
            self._enter(int(steps.keys[head]))
            for place, upto in _stretches(steps, head, end):
                if late[place]:
                    self._late(place)
                else:
                    self._run(place, upto, starts=starts[place])
            self._leave()
        return self.laid

    def _enter(self, key: int) -> None:
        known, pool = self._known, self._pool
        self._key = key
        self._level = 0
        self._now, self._before = int(known.now[key]), int(known.before[key])
        self._is_open = bool(known.due_us[key] != FAR)
        if self._now >= 0:
            self._start, self._last = int(pool.start[self._now]), int(pool.last[self._now])
            self._settled = bool(pool.settled[self._now])
        if self._before >= 0:
            self._before_start, self._before_last = int(pool.start[self._before]), int(pool.last[self._before])
        self._low, self._high = int(known.low_us[key]), int(known.high_us[key])
        self._oldest, self._newest = int(known.oldest_us[key]), int(known.newest_us[key])

    def _leave(self) -> None:
        known, key = self._known, self._key
        known.now[key], known.before[key] = self._now, self._before
        known.low_us[key], known.high_us[key] = self._low, self._high
        known.oldest_us[key], known.newest_us[key] = self._oldest, self._newest
        self._pool.settled[self._now] = self._settled
        if self._is_open:
            self.laid.expected.append(key)

    def _lay(self, slot: int, rows: int) -> None:
        laid = self.laid
        laid.slots.append(slot)
        laid.lengths.append(rows)
        laid.levels.append(self._level)

    def _settle(self, place: int, upto: int) -> None:
        """Notes whether the watermark closed the current session before any of these rows."""
        self._settled = self._settled or self._closed[upto] > self._closed[place]

    def _run(self, place: int, upto: int, *, starts: bool) -> None:
        """Rows in order, less than a gap apart."""
        ts = self._ts
        while place < upto:
            if starts:
                self._begin(ts[place])
            cut = upto
            if ts[upto - 1] - self._start > self._longest:
                cut = bisect_right(ts, self._start + self._longest, place, upto)
            if cut > place:
                self._settle(place + starts, cut)
                self._last = ts[cut - 1]
                self._is_open = True
                self._lay(self._now, cut - place)
            place, starts = cut, True

    def _begin(self, ts: int) -> None:
        """A new current session; the old one becomes the one before."""
        if self._now >= 0:
            if self._is_open:
                self.laid.given[self._now] = self._key
            self._forget_before()
            self._before, self._before_start, self._before_last = self._now, self._start, self._last
            self._low, self._high = self._newest, FAR
        self._now = int(self._pool.take(1)[0])
        self._start = self._last = ts
        self._settled, self._is_open = False, True

    def _forget_before(self) -> None:
        if self._before >= 0:
            self._oldest, self._newest = min(self._oldest, self._before_start), max(self._newest, self._before_last)
            self.laid.gone.append(self._before)

    def _late(self, place: int) -> None:
        ts = self._ts[place]
        self._settle(place, place + 1)
        if ts >= self._start:
            self._is_open = True
            self._lay(self._now, 1)
            return
        fits_before = (
            self._before >= 0
            and self._before_start <= ts < self._high
            and ts - self._before_last < self._gap
            and ts - self._before_start <= self._longest
        )
        is_after_all = ts > self._newest and (self._before < 0 or ts > self._before_last)
        fits_now = is_after_all and not self._settled and self._start - ts < self._gap and self._last - ts <= self._longest
        if fits_before and fits_now and self._last - self._before_start <= self._longest:
            self._join(ts)
        elif fits_before:
            self._before_last = max(self._before_last, ts)
            self.laid.given[self._before] = self._key
            self._lay(self._before, 1)
        elif fits_now:
            self._start = ts
            self._is_open = True
            self._lay(self._now, 1)
        elif (room := self._room(ts)) is not None:
            self._stand_alone(ts, room)
        else:
            self._lay(LATE, 1)

    def _join(self, ts: int) -> None:
        """A record between the one before and the current session makes them one."""
        laid = self.laid
        laid.merges.append((self._level, self._now, self._before))
        laid.given.pop(self._before, None)
        laid.gone.append(self._before)
        self._start, self._before = min(ts, self._before_start), -1
        self._settled = self._is_open = True
        self._level += 1
        self._lay(self._now, 1)

    def _room(self, ts: int) -> tuple[int, int] | None:
        """The ends of the sessions nearest to a time before the current one, when they are known and at least a gap away."""
        before = self._before >= 0
        if ts > self._newest and (not before or ts > self._before_last):
            below, above = max(self._newest, self._before_last if before else NEVER), self._start
        elif ts < self._oldest and (not before or ts < self._before_start):
            below, above = NEVER, min(self._oldest, self._before_start if before else FAR)
        elif before and self._before_last < ts < self._high:
            below, above = self._before_last, self._high
        elif before and self._low < ts < self._before_start:
            below, above = self._low, self._before_start
        else:
            return None
        return (below, above) if ts - below >= self._gap and above - ts >= self._gap else None

    def _stand_alone(self, ts: int, room: tuple[int, int]) -> None:
        """A late session of its own, closed at once: it becomes the one before."""
        self._forget_before()
        self._low, above = room
        self._high = FAR if above == self._start else above
        self._before = int(self._pool.take(1)[0])
        self._before_start = self._before_last = ts
        self.laid.given[self._before] = self._key
        self._lay(self._before, 1)


def _stretches(steps: Steps, head: int, end: int) -> Iterator[tuple[int, int]]:
    """The rows of one key in order, cut at each late one and at each start: (first, one behind the last)."""
    late = steps.is_late[head:end]
    cuts = late | steps.is_start[head:end]
    cuts[1:] |= late[:-1]
    cuts[0] = True
    places = (np.flatnonzero(cuts) + head).tolist()
    return zip(places, [*places[1:], end], strict=True)
