"""A real HTTP server on loopback that takes webhooks, and misbehaves as it is told."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.running import pause


@dataclass(frozen=True)
class Request:
    """What came, whole."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes
    connection: int
    """Number of the connection that it came on, from 1."""

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


Answer = Callable[["Hook", socket.socket], bool]
"""Answers on a connection; whether the connection goes on."""


def says(status: int, *, body: bytes = b"", headers: str = "", keep: bool = True) -> Answer:
    """A whole answer."""
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{headers}" + ("" if keep else "Connection: close\r\n") + "\r\n"

    def answer(_hook: Hook, s: socket.socket) -> bool:
        s.sendall(head.encode() + body)
        return keep

    return answer


def hangs(hook: Hook, _s: socket.socket) -> bool:
    """Takes the request and says nothing, until the server ends."""
    hook.ending.wait()
    return False


def drips(hook: Hook, s: socket.socket) -> bool:
    """A header without an end, byte after byte."""
    s.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not hook.ending.is_set():
        s.sendall(b"x")
        pause(0.02)
    return False


def drips_its_body(hook: Hook, s: socket.socket) -> bool:
    """A good status, then a body without an end."""
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not hook.ending.is_set():
        s.sendall(b"x")
        pause(0.02)
    return False


def hangs_up(_hook: Hook, _s: socket.socket) -> bool:
    """Closes without an answer."""
    return False


def breaks_off(_hook: Hook, s: socket.socket) -> bool:
    """Closes in the middle of the status."""
    s.sendall(b"HTTP/1.1 20")
    return False


def talks_nonsense(_hook: Hook, s: socket.socket) -> bool:
    s.sendall(b"220 mail.example ESMTP\r\n\r\n")
    return False


class Hook:
    """The server. ``answers`` are used up one after the other; then it says 200."""

    def __init__(self, *answers: Answer, port: int | None = None, certificate: Path | None = None) -> None:
        self.answers = deque(answers)
        self.requests: list[Request] = []
        self.ending = threading.Event()
        self.port = port or free_port()
        self._connections = 0
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []  # noqa: TID251 - the server's own
        self._listening = socket.create_server(("127.0.0.1", self.port))

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Hook:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for s in list(self._open):
            with_none(lambda s=s: s.shutdown(socket.SHUT_RDWR))  # type: ignore[misc]
        for thread in self._threads:
            thread.join(20)

    def _begin(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # noqa: TID251 - as above
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                s, _ = self._listening.accept()
            except OSError:
                return
            self._connections += 1
            self._open.add(s)
            self._begin(self._serve, s, self._connections)

    def _serve(self, s: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                self._open.discard(s)
                s = self._tls.wrap_socket(s, server_side=True)
                self._open.add(s)
            with s, s.makefile("rb") as lines:
                while (request := _read(lines, number)) is not None:
                    self.requests.append(request)
                    answer = self.answers.popleft() if self.answers else says(200)
                    if not answer(self, s):
                        return
        except (OSError, ValueError):  # the client has left, or what it speaks is no HTTP
            pass
        finally:
            self._open.discard(s)
            s.close()


def with_none(call: Callable[[], object]) -> None:
    """The other side may be gone already."""
    try:
        call()
    except OSError:
        return


def _read(lines: Any, number: int) -> Request | None:
    first = lines.readline()
    if not first:
        return None
    method, target, _ = first.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := lines.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, target, headers, lines.read(int(headers.get("content-length", "0"))), number)
