"""Textual's driver for terminals that may be lost at any moment.

When a terminal goes, the kernel sends SIGHUP and SIGCONT, every write fails and every read says so at once. Textual's own driver then
starts the screen anew, its writer dies with unwritten text behind it, and the app waits for that writer for ever.
"""

from __future__ import annotations

import os
import select
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class LossyDriver(LinuxDriver):
    """Writes what can be written and drops the rest; a lost terminal ends the app, quietly."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file: Any = _LossyFile(self._file)

    def _sigcont_application(self, *_: object) -> None:
        if not is_dead(self.fileno):
            super()._sigcont_application()

    def run_input_thread(self) -> None:
        """Reads until it is told to end; a terminal that can't be read any more ends the app."""
        try:
            super().run_input_thread()
        except OSError:
            self._app.call_later(self._app.exit)


class _LossyFile:
    """What Textual's writer writes to: text for a terminal that is gone is dropped, so that the writer lives on."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            return  # as above

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return os.isatty(self._file.fileno())


def is_dead(descriptor: int) -> bool:
    """Whether the line behind ``descriptor`` has been cut."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
