"""Closed sessions between the processor and the door: no place is stored before they are. Owned by the processor's thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from appliance.errors import RetryLater
from appliance.records import Receipt, Submission


class ClosedSessions:
    """Those that the door has not acknowledged yet, in order."""

    def __init__(self, submit: Callable[[Submission], Future[Receipt]]) -> None:
        self._submit = submit
        self._waiting: list[tuple[Submission, Future[Receipt]]] = []

    def hand_in(self, submissions: Iterable[Submission]) -> None:
        """They go to the door; returns at once."""
        self._waiting += [(s, self._submit(s)) for s in submissions]

    def settle(self, retry: Callable[[], bool]) -> bool:
        """Waits until the door has all, however long the disk is full; ``retry`` waits for a while. False when that says to end."""
        while self._waiting:
            submission, future = self._waiting[0]
            try:
                future.result()
            except RetryLater:
                if not retry():
                    return False
                self._waiting[0] = (submission, self._submit(submission))
            else:
                self._waiting.pop(0)
        return True
