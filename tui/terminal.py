"""The terminal as something that can be lost: SIGHUP, SIGTERM and a line that went dead without a signal.

Textual exits at once on SIGHUP, or never when SIGHUP is ignored, and then burns a core reading nothing. Here the UI always ends within
a second, and what happens then is the caller's choice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tui.driver import is_dead


class Terminal:
    """Watches from ``watch`` to the end of the ``with`` block, and then puts the handlers back. Main thread only."""

    def __init__(self, *, detach: bool) -> None:
        self._detach = detach
        self._lost = False
        self._terminated = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
        return self

    def watch(self, loop: asyncio.AbstractEventLoop, leave: Callable[[], object]) -> None:
        """From now on a signal calls ``leave`` in ``loop``."""

        def on_hang_up() -> None:
            self._lost = True
            leave()

        def on_terminate() -> None:
            self._terminated = True
            leave()

        loop.add_signal_handler(signal.SIGHUP, on_hang_up)
        loop.add_signal_handler(signal.SIGTERM, on_terminate)

    def is_gone(self) -> bool:
        """Whether the line is dead, also where no signal told so."""
        if sys.__stdin__ is None or is_dead(sys.__stdin__.fileno()):
            self._lost = True
        return self._lost

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Puts the handlers back; a terminal that is gone can't be restored, and that is no error."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        swallowed = self._lost and isinstance(error, OSError)
        if self._lost:
            if self._detach:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            _point_to_nowhere()
        if self._terminated:
            signal.raise_signal(signal.SIGTERM)
        return swallowed


def _point_to_nowhere() -> None:
    """Writing to a terminal that is gone fails; what is still said goes nowhere instead."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if os.isatty(descriptor) or is_dead(descriptor):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
