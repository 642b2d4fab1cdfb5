"""HTTP over the unix socket of the data folder."""

from __future__ import annotations

import http.client
import os
import socket
from pathlib import Path

_PATH_BYTES_MAX = 107
"""What fits into ``sockaddr_un``."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket, also one whose path is too long for its address."""

    def __init__(self, path: Path, *, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connects to the path; a long one is reached through the descriptor of its folder."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        if len(os.fsencode(self._path)) <= _PATH_BYTES_MAX:
            self.sock.connect(str(self._path))
            return
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)

    def hang_up(self) -> None:
        """Ends a read that another thread waits in."""
        sock = self.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # closed meanwhile: what was wanted
