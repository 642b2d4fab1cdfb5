"""For how long records wait to be scored: when those up to each sequence had come, by stream. Pure; one owner notes and forgets."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

MARKS_MAX: Final = 256
"""Marks of a stream; with more the newest two become one, with the older time."""


class Waits:
    """A mark says: the records of a stream up to that sequence, from the mark before on, have waited at most since then."""

    def __init__(self) -> None:
        self._marks: dict[str, deque[tuple[int, int]]] = {}

    def note(self, stream: str, up_to_seq: int, since_ns: int) -> None:
        """Records up to ``up_to_seq`` are there, the first new one of them since ``since_ns``."""
        marks = self._marks.setdefault(stream, deque())
        if marks and up_to_seq <= marks[-1][0]:
            return
        if len(marks) == MARKS_MAX:
            since_ns = marks.pop()[1]
        marks.append((up_to_seq, since_ns))

    def since(self, stream: str, after_seq: int) -> int | None:
        """When the oldest record above a sequence had come, at the earliest; None: nobody knows, or there is none."""
        return next((at for seq, at in self._marks.get(stream, ()) if seq > after_seq), None)

    def forget(self, scored: Mapping[str, int]) -> None:
        """Everything up to these sequences has been scored."""
        for stream, seq in scored.items():
            marks = self._marks.get(stream)
            while marks and marks[0][0] <= seq:
                marks.popleft()

    def oldest(self, stream: str) -> int | None:
        """When the oldest record of a stream had come that is not forgotten; None: there is none. From any thread."""
        marks = self._marks.get(stream)
        try:
            return marks[0][1] if marks else None
        except IndexError:  # forgotten in this moment
            return None
