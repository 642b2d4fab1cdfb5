"""The end of a question that takes its time, asked for from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stop:
    """Handed to a query, so that another thread can end it. Safe to call from any thread, more than once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hooks: list[Callable[[], None]] = []
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether somebody asked."""
        return self._stopped

    def when_stopped(self, hook: Callable[[], None]) -> None:
        """Calls ``hook`` once, at the moment of the stop, or now if that is past."""
        with self._lock:
            if not self._stopped:
                self._hooks.append(hook)
                return
        hook()

    def stop(self) -> None:
        """Ends what holds this."""
        with self._lock:
            self._stopped = True
            hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()
