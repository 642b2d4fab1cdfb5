"""Calls that can't be bounded from inside (the resolver's, apprise's), made in a thread that may be left behind.

Owner of those threads: at most one a user at a time. While an earlier call still hangs, a new one is refused at once, so what hangs
for days costs one thread, not one an attempt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from appliance.notify.deadline import Deadline

T = TypeVar("T")


class StillHangs(TimeoutError):
    """The call before this one has not ended yet."""


class Aside:
    """Makes one call at a time, no longer waited for than until a deadline."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._last: _Call[object] | None = None

    def call(self, function: Callable[[], T], deadline: Deadline) -> T:
        """What ``function`` returns or raises.

        Raises ``TimeoutError`` when it doesn't end in time, ``StillHangs`` when the one before it doesn't.
        """
        with self._lock:
            before = self._last
            if before is not None and not before.done.wait(deadline.left_s()):
                raise StillHangs("an earlier attempt still hangs")
            call = _Call(function)
            self._last = call  # type: ignore[assignment]  # only its event is looked at
            thread = threading.Thread(target=call.run, name=self._name, daemon=True)  # noqa: TID251 - its owner
            thread.start()
        if not call.done.wait(deadline.left_s()):
            raise TimeoutError("timed out")
        thread.join()
        return call.outcome()


class _Call(Generic[T]):
    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self.done = threading.Event()
        self._value: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value.append(self._function())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
        self.done.set()

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value[0]
