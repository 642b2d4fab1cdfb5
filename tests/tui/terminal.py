"""A real pseudo-terminal with a process in it, for what only shows on one: signals, bytes, a line that is cut."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.running import pause

_KEPT_MAX = 1 << 20
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


class PseudoTerminal:
    """Runs ``command`` as the leader of a session whose terminal this is; ends it when the block ends. It is read while one waits."""

    def __init__(self, command: Sequence[str], *, size: tuple[int, int], environ: Mapping[str, str]) -> None:
        self._command = command
        self._size = size
        self._environ = dict(environ)
        self._kept = bytearray()
        self.received = 0
        """Bytes."""
        self.pid = 0
        self.status: int | None = None
        """Exit status (negative: the signal); None while it runs."""

    def __enter__(self) -> Self:
        self.pid, self._line = pty.fork()
        if self.pid == 0:  # the child
            columns, rows = self._size
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(self._command[0], list(self._command), self._environ)  # noqa: S606 - a program of ours
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.hang_up()
        if self.wait(5.0) is None:
            os.kill(self.pid, 9)
            self.wait(5.0)

    @property
    def text(self) -> str:
        """What has been written, without escape sequences."""
        return _ESCAPES.sub("", self.raw.decode("utf-8", "replace"))

    @property
    def raw(self) -> bytes:
        """What has been written, its last megabyte."""
        return bytes(self._kept)

    def write(self, keys: bytes) -> None:
        """Types."""
        if keys:
            os.write(self._line, keys)

    def read(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Takes what is written, for that long or until the condition holds."""
        end = time.monotonic() + seconds
        while not until() and (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._line], [], [], min(left, 0.1))
            if not ready:
                continue
            try:
                block = os.read(self._line, 65536)
            except OSError:  # the other end is closed
                return
            self.received += len(block)
            self._kept += block
            del self._kept[:-_KEPT_MAX]

    def wait_for(self, text: str, *, deadline_s: float) -> None:
        """Until ``text`` has been written."""
        self.read(deadline_s, lambda: text in self.text or self.wait(0) is not None)
        assert text in self.text, f"{text!r} did not appear (status {self.status}); the end of what did: {self.text[-2000:]}"

    def hang_up(self) -> None:
        """Cuts the line: the kernel sends SIGHUP to the process."""
        if self._line >= 0:
            os.close(self._line)
            self._line = -1

    def wait(self, deadline_s: float) -> int | None:
        """The exit status (negative: the signal), or None when it still runs at the deadline."""
        end = time.monotonic() + deadline_s
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= end:
                return None
            else:
                pause(0.02)
        return self.status
