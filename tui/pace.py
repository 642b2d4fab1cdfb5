"""When a screen asks again: at once for another subject, else not before its time has passed. Pure."""

from __future__ import annotations

EVERY_US = 1_000_000
"""How often a screen asks for the same, unless it says otherwise."""


class Pace:
    """Remembers the last question: its subject, and when it was asked. Owned by one screen."""

    def __init__(self, every_us: int = EVERY_US) -> None:
        self._every_us = every_us
        self._last: tuple[object, int] | None = None

    @property
    def subject(self) -> object:
        """What was asked for last; None: nothing yet, or it is forgotten."""
        return None if self._last is None else self._last[0]

    def is_due(self, subject: object, *, now_us: int) -> bool:
        """Whether to ask for ``subject`` now, and if so remembers that it is asked. A clock that was set back makes it due."""
        if self._last is not None and self._last[0] == subject and 0 <= now_us - self._last[1] < self._every_us:
            return False
        self._last = (subject, now_us)
        return True

    def forget(self) -> None:
        """The next question is due at once."""
        self._last = None
