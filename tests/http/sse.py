"""A reader of server-sent events on a raw connection, as slow as a test wants it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.http.serving import Serving
from tests.running import Running


@dataclass(frozen=True)
class Told:
    """One block: an event, or only a place (``event`` is empty), or a comment."""

    event: str = ""
    id: str | None = None
    data: Any = None
    retry: str | None = None
    comment: str = ""


class EventReader:
    """One connection to ``/api/events``; made, it has read the head of the answer and the block with the place."""

    def __init__(
        self, serving: Serving | Running, query: str = "", *, last: str | None = None, read: bool = True, buffer: int | None = None
    ) -> None:
        self.sock = socket.socket()
        if buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", serving.port))
        resume = f"Last-Event-ID: {last}\r\n" if last is not None else ""
        self.sock.sendall(f"GET /api/events{query} HTTP/1.1\r\nHost: x\r\n{resume}\r\n".encode())
        self.file = self.sock.makefile("rb")
        self.head = self.file.readline()
        while self.file.readline().strip():
            pass
        self._lines = self._read_lines()
        self.start = self.next() if read and b" 200 " in self.head else Told()

    def next(self) -> Told:
        """The next block."""
        found: dict[str, Any] = {}
        for line in self._lines:
            if not line:
                return Told(**found)
            name, _, value = line.partition(": ")
            found[name if name else "comment"] = json.loads(value) if name == "data" else value
        raise EOFError

    def take(self, count: int) -> list[Told]:
        """The next events."""
        return [self.next() for _ in range(count)]

    def rest(self) -> list[Told]:
        """All until the server ends the answer."""
        out: list[Told] = []
        try:
            while True:
                out.append(self.next())
        except EOFError:
            return out

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def _read_lines(self) -> Iterator[str]:
        rest = b""
        while size := int(self.file.readline(), 16):
            *lines, rest = (rest + self.file.read(size)).split(b"\n")
            for line in lines:
                yield line.decode()
            self.file.readline()
