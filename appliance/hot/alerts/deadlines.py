"""Who is due next: a heap that is looked at without being changed, so that what is due stays due until its outcome is stored."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from appliance.hot.alerts.values import Ident

_SLACK = 64
_Entry = tuple[int, int, Ident]


class Deadlines:
    """One time for each alert. One owner, the book. Stale entries of the heap are dropped when they come up, or when they are too many."""

    def __init__(self) -> None:
        self._due: dict[Ident, int] = {}
        self._heap: list[_Entry] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._due)

    def set(self, ident: Ident, due_us: int | None) -> None:
        """The alert is due then, and no longer at the time before; None: at no time."""
        if self._due.get(ident) == due_us:
            return
        if due_us is None:
            del self._due[ident]
            return
        self._due[ident] = due_us
        self._push(ident, due_us)
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapify(self._heap)

    def first(self) -> int | None:
        """The earliest time; None where nobody is due at any. Drops what is stale before it."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def by(self, limit_us: int) -> list[Ident]:
        """All that are due at ``limit_us`` or before, the earliest first."""
        self.first()
        found: list[_Entry] = []
        stack = [0]
        while stack:
            at = stack.pop()
            if at < len(self._heap) and self._heap[at][0] <= limit_us:
                entry = self._heap[at]
                if self._due.get(entry[2]) == entry[0]:
                    found.append(entry)
                stack += (2 * at + 1, 2 * at + 2)
        return list(dict.fromkeys(ident for _, _, ident in sorted(found, key=lambda entry: entry[:2])))

    def _push(self, ident: Ident, due_us: int) -> None:
        self._count += 1
        heappush(self._heap, (due_us, self._count, ident))
