"""When a file stands still: pure bookkeeping over what successive looks at the folder found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.sources.drop.inbox import Found


@dataclass(slots=True)
class _Seen:
    look: tuple[int, int, int]
    since_ns: int


class Settling:
    """Remembers each file's size, time and inode, and since when they are what they are. Holds only files of the last look."""

    def __init__(self, *, settle_ns: int) -> None:
        self._settle_ns = settle_ns
        self._seen: dict[tuple[str, str], _Seen] = {}
        self.next_ns: int | None = None
        """When the next of the files that still have to settle can have; None when there is none."""

    def look(self, files: Iterable[Found], *, now_ns: int) -> list[Found]:
        """The files that have not changed for long enough by the monotonic clock, in the order given."""
        seen: dict[tuple[str, str], _Seen] = {}
        settled: list[Found] = []
        for found in files:
            before = self._seen.get(found.key)
            entry = before if before is not None and before.look == found.look else _Seen(found.look, now_ns)
            seen[found.key] = entry
            if now_ns - entry.since_ns >= self._settle_ns:
                settled.append(found)
        self._seen = seen
        moving = [entry.since_ns for entry in seen.values() if now_ns - entry.since_ns < self._settle_ns]
        self.next_ns = min(moving) + self._settle_ns if moving else None
        return settled
