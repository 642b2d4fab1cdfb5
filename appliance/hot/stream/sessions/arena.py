"""Values kept for sessions, in pages: appended by array, found again by owner, given back whole.

A page belongs to one owner (a slot of ``pool``). An owner's pages are found by a look over the owners of all pages, which costs a
microsecond for some thousand of them and is done only for what closes. Values are 64 bits without a meaning here.
"""

from __future__ import annotations

import numpy as np

from appliance.hot.stream.sessions.values import Places
from appliance.hot.stream.values import I64

PAGE = 32
"""Values a page: an owner wastes 128 bytes on the average, and a million values are looked over in 30 microseconds."""
_NOBODY = -1


class Arena:
    """Owned by one cell. ``values`` is the number of values in pages in use, counting whole pages."""

    def __init__(self) -> None:
        self._pages: I64 = np.zeros((0, PAGE), np.int64)
        self._owner: Places = np.empty(0, np.intp)
        self._fill: Places = np.empty(0, np.intp)
        self._free: Places = np.empty(0, np.intp)
        self._current: Places = np.empty(0, np.intp)

    @property
    def values(self) -> int:
        """Values that the pages in use have room for."""
        return (len(self._owner) - len(self._free)) * PAGE

    @property
    def bytes(self) -> int:
        return sum(a.nbytes for a in (self._pages, self._owner, self._fill, self._free, self._current))

    def grow(self, owners: int) -> None:
        """Makes room for so many owners."""
        self._current = np.append(self._current, np.full(owners - len(self._current), _NOBODY, np.intp))

    def append(self, owners: Places, values: I64) -> None:
        """Adds values (at least one), each to its owner, in any order of owners."""
        order = np.argsort(owners, kind="stable")
        o, v = owners[order], values[order]
        heads = np.flatnonzero(np.append(True, o[1:] != o[:-1]))
        sizes = np.diff(np.append(heads, len(o)))
        page = self._current[o[heads]]
        base = np.where(page >= 0, self._fill[page], PAGE) if len(self._fill) else np.full(len(heads), PAGE)
        place = np.arange(len(o)) - np.repeat(heads - base, sizes)
        opens = (place % PAGE == 0) & (place > 0)
        fresh = self._take(int(np.count_nonzero(opens)))
        self._owner[fresh] = o[opens]
        pages = np.repeat(page, sizes)
        pages[opens] = fresh
        since = np.maximum.accumulate(np.where(opens, np.arange(len(o)), np.repeat(heads, sizes)))
        pages = pages[since]
        self._pages[pages, place % PAGE] = v
        np.maximum.at(self._fill, pages, place % PAGE + 1)
        self._current[o[heads]] = pages[heads + sizes - 1]

    def gather(self, owners: Places) -> tuple[Places, I64]:
        """The values of some owners (each once), one owner's after the other's in the order of ``owners``, and how many each has."""
        pages, rank = self._of(owners)
        if not len(pages):
            return np.zeros(len(owners), np.intp), np.empty(0, np.int64)
        order = np.argsort(rank, kind="stable")
        pages, rank = pages[order], rank[order]
        filled = np.arange(PAGE) < self._fill[pages][:, None]
        counts = np.zeros(len(owners), np.intp)
        np.add.at(counts, rank, self._fill[pages])
        return counts, self._pages[pages][filled]

    def move(self, source: int, target: int) -> None:
        """Gives the pages of ``source`` to ``target``."""
        self._owner[self._owner == source] = target
        if self._current[target] < 0:
            self._current[target] = self._current[source]
        self._current[source] = _NOBODY

    def release(self, owners: Places) -> None:
        """Takes back the pages of some owners."""
        owners = owners[self._current[owners] >= 0]
        if not len(owners):
            return
        pages, _rank = self._of(owners)
        self._owner[pages] = _NOBODY
        self._fill[pages] = 0
        self._free = np.append(self._free, pages)
        self._current[owners] = _NOBODY

    def _of(self, owners: Places) -> tuple[Places, Places]:
        """The pages of some owners, and the place of each one's owner in ``owners``."""
        rank = np.full(len(self._current) + 1, _NOBODY, np.intp)
        rank[owners] = np.arange(len(owners))
        found = rank[self._owner]
        pages = np.flatnonzero(found >= 0)
        return pages, found[pages]

    def _take(self, pages: int) -> Places:
        if pages > len(self._free):
            have = len(self._owner)
            more = max(pages - len(self._free), have // 2, 16)
            self._pages = np.concatenate([self._pages, np.zeros((more, PAGE), np.int64)])
            self._owner = np.append(self._owner, np.full(more, _NOBODY, np.intp))
            self._fill = np.append(self._fill, np.zeros(more, np.intp))
            self._free = np.append(self._free, np.arange(have, have + more))
        left = len(self._free) - pages
        taken, self._free = self._free[left:], self._free[:left].copy()
        return taken
