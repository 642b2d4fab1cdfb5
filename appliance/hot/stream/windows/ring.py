"""The closed panes of all keys: for each key those with content, in order of time, in a ring of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.hot.stream.values import I64
from appliance.hot.stream.windows.aggregates import Places, State
from appliance.hot.stream.windows.layout import Layout
from appliance.hot.stream.windows.state import blank, lower_bound, pick, ragged

_PANES_MIN = 4


class Ring:
    """All rings have room for equally many panes, a power of two that grows to what the fullest needs."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._room = _PANES_MIN
        self._head: I64 = np.empty(0, np.int64)
        self.count: I64 = np.empty(0, np.int64)
        """Panes of each key."""
        self._pane: I64 = np.empty(0, np.int64)
        self.state: State = blank(layout.columns, 0)
        """Of each place of each ring; what no key's panes are at is left over from earlier."""

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return sum(c.nbytes for c in (self._head, self.count, self._pane, *self.state.values()))

    def reserve(self, keys: int) -> None:
        """Makes room for so many keys."""
        new = keys - len(self.count)
        if new > 0:
            self._head = np.append(self._head, np.zeros(new, np.int64))
            self.count = np.append(self.count, np.zeros(new, np.int64))
            self._pane = np.append(self._pane, np.zeros(new * self._room, np.int64))
            # zeros for what isn't used, so that memory is taken only where there is content
            self.state = {n: np.concatenate((c, np.zeros(new * self._room, dtype=c.dtype))) for n, c in self.state.items()}

    def places(self, ids: I64, skip: I64, counts: I64) -> I64:
        """Where ``counts`` panes of each key from its ``skip``-th on are, for ``pane`` and ``state``."""
        home = np.repeat(ids * self._room, counts)
        return np.asarray(home + (ragged(self._head[ids] + skip, counts) & (self._room - 1)), dtype=np.int64)

    def blocks(self, ids: I64, skip: I64, size: int) -> I64:
        """As ``places``, equally many of each key: a row for each, a column for a key."""
        turned = self._head[ids] + skip + np.arange(size)[:, None]
        turned &= self._room - 1
        turned += ids * self._room
        return np.asarray(turned, dtype=np.int64)

    def pane(self, places: I64) -> I64:
        """The numbers of panes."""
        return self._pane.take(places)

    def before(self, ids: I64, panes: I64) -> I64:
        """How many panes of each key are before ``panes``."""
        counts, home, head = self.count[ids], ids * self._room, self._head[ids]
        mask = self._room - 1
        oldest = self._pane.take(home + (head & mask), mode="clip")
        newest = self._pane.take(home + ((head + counts - 1) & mask), mode="clip")
        # without gaps between the panes the place follows from the newest one
        guess = np.clip(counts - 1 - (newest - panes), 0, counts)
        right = (counts == 0) | (panes <= oldest) | (panes > newest)
        guess = np.where(panes <= oldest, 0, np.where(panes > newest, counts, guess))
        at_guess = self._pane.take(home + ((head + guess) & mask), mode="clip")
        before_guess = self._pane.take(home + ((head + guess - 1) & mask), mode="clip")
        wrong = np.flatnonzero(~(right | ((at_guess >= panes) & (before_guess < panes))))
        out = np.where(counts == 0, 0, guess)
        if len(wrong):
            of = ids[wrong]
            flat = self._pane.take(self.places(of, np.zeros(len(of), np.int64), self.count[of]))
            starts = np.cumsum(self.count[of]) - self.count[of]
            out[wrong] = lower_bound(flat, starts, starts + self.count[of], panes[wrong]) - starts
        return np.asarray(out, dtype=np.int64)

    def append(self, ids: I64, counts: I64, panes: I64, parts: Sequence[tuple[Places | I64, State, Places | I64]], *, oldest: I64) -> None:
        """Puts ``counts`` newer panes behind those of each key (ids distinct). Those before ``oldest`` may be forgotten.

        ``parts`` say which of the panes have what state: that at some places of a state.

        They are when a ring is full, which is seldom, because then it is made larger if that doesn't leave a quarter of it free.
        """
        if int((self.count[ids] + counts).max()) > self._room:
            self.drop(ids, self.before(ids, oldest))
            needed = int((self.count[ids] + counts).max())
            if needed * 4 > self._room * 3:
                self._widen(needed * 4 // 3 + 1)
        places = self.places(ids, self.count[ids], counts)
        self._pane[places] = panes
        for some, state, at in parts:
            here = places[some]
            for name, column in self.state.items():
                column[here] = state[name].take(at)
        self.count[ids] += counts

    def drop(self, ids: I64, counts: I64) -> None:
        """Forgets the oldest panes of each key."""
        self._head[ids] = (self._head[ids] + counts) & (self._room - 1)
        self.count[ids] -= counts

    def clear(self, ids: I64) -> None:
        """Forgets all panes of some keys."""
        self._head[ids] = 0
        self.count[ids] = 0

    def held(self, name: str) -> I64:
        """The values of a column in all panes that there are, of all keys."""
        ids = np.arange(len(self.count))
        return np.asarray(self.state[name].take(self.places(ids, np.zeros_like(ids), self.count)), dtype=np.int64)

    def _widen(self, needed: int) -> None:
        """Makes each ring larger."""
        room = 1 << (needed - 1).bit_length()
        ids = np.arange(len(self.count))
        old = self.places(ids, np.zeros_like(ids), self.count)
        new = np.repeat(ids * room, self.count) + ragged(np.zeros_like(ids), self.count)
        panes, state = self._pane.take(old), pick(self.state, old)
        self._room = room
        self._head[:] = 0
        self._pane = np.zeros(len(ids) * room, np.int64)
        self._pane[new] = panes
        self.state = {name: np.zeros(len(ids) * room, dtype=column.dtype) for name, column in state.items()}
        for name, column in state.items():
            self.state[name][new] = column
