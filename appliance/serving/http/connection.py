"""One HTTP connection: uvicorn's protocol on httptools, with the limits that it lacks.

Added: a time and a size for the head of a request (a slow or endless one ends the connection), a number of connections per
listener, a time in which a client must take its answer, and a patient end: when a request is refused before its body has come,
the rest is read and dropped for a while, because a connection closed under a writing client would lose the answer with the
status that tells the client what to do. Requests are never looked into here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio import TimerHandle
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from appliance.errors import ApplianceError

log = logging.getLogger(__name__)
log.setLevel(logging.ERROR)  # uvicorn warns of every request that is no HTTP: a scanner must not fill the journal; they are counted
log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], ApplianceError)))  # told to the client, no defect

HEAD_BYTES_MAX: Final = 64 * 1024
"""Bytes of request line and headers that may come after the first read (at most 256 KiB), which is taken as it is."""
REST_S_MAX: Final = 10.0
"""Time for which the rest of a refused body is read and dropped."""
REST_BYTES_MAX: Final = 128 * 1024 * 1024
WRITE_STALL_S_MAX: Final = 60.0
"""Time in which a client must take some of its answer."""
REFUSED_LINGER_S: Final = 1.0


@dataclass(slots=True)
class ListenerState:
    """What the connections of one listener share. Owned by the event loop."""

    connections_max: int
    head_timeout_s: float
    descriptor_max: int
    """A connection with this descriptor or a higher one is closed at once: the rest is for the store."""
    open: int = 0
    refused: int = 0
    """Connections turned away because there were too many."""
    garbled: int = 0
    """Requests that were no HTTP."""
    timeouts: int = 0
    """Connections ended for a slow or endless head, or an answer not taken."""


class GuardedProtocol(HttpToolsProtocol):
    """A connection with limits. uvicorn calls it; ``ListenerState`` counts it."""

    def __init__(self, *args: Any, listener: ListenerState, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = log
        self._listener = listener
        self._turned_away = False
        self._in_head = False
        self._heads = 0
        self._head_bytes = 0
        self._body_done = True
        self._rest_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._rest_timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        listener = self._listener
        listener.open += 1
        sock = transport.get_extra_info("socket")
        is_scarce = sock.fileno() >= listener.descriptor_max
        if is_scarce or listener.open > listener.connections_max:
            listener.refused += 1
            self._turn_away(transport, at_once=is_scarce)
            return
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(listener.head_timeout_s, self._head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.open -= 1
        for timer in (self._head_timer, self._rest_timer, self._write_timer, self.timeout_keep_alive_task):
            _cancel(timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._turned_away or self.transport.is_closing():
            return
        heads_before, in_head_before = self._heads, self._in_head
        super().data_received(data)
        if in_head_before and self._in_head and self._heads == heads_before:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._listener.timeouts += 1
                self._end_with(431, "the head of the request is too large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heads += 1
        self._in_head = True
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._listener.head_timeout_s, self._head_late)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._body_done = False
        _cancel(self._head_timer)
        self._head_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self._rest_timer is not None:
            self._rest_bytes += len(body)
            if self._rest_bytes > REST_BYTES_MAX:
                self.transport.abort()

    def on_message_complete(self) -> None:
        self._body_done = True
        _cancel(self._rest_timer)
        self._rest_timer = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        unread = not self._body_done and self.cycle.response_complete  # else what comes in belongs to a pipelined request
        if unread and self._rest_timer is None and not self.transport.is_closing():
            self._rest_bytes = 0
            self._rest_timer = self.loop.call_later(REST_S_MAX, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_STALL_S_MAX, self._stalled)

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._write_timer)
        self._write_timer = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, which are not JSON
        self._listener.garbled += 1
        self._end_with(400, "this is not HTTP/1.1")

    def _head_late(self) -> None:
        self._head_timer = None
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            # The head of a pipelined request waits behind an answer that is not done: that is not the client's fault.
            self._head_timer = self.loop.call_later(self._listener.head_timeout_s, self._head_late)
        elif self._in_head:
            self._listener.timeouts += 1
            self._end_with(408, "the head of the request took too long")
        else:
            self.transport.close()

    def _stalled(self) -> None:
        self._listener.timeouts += 1
        self.transport.abort()

    def _end_with(self, status: int, message: str) -> None:
        """The last words on this connection: no handler has seen the request, or none will see more of it."""
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(_plain(status, message))
        self.transport.close()

    def _turn_away(self, transport: asyncio.Transport, *, at_once: bool) -> None:
        self._turned_away = True
        self.transport = transport
        if at_once:
            transport.abort()
            return
        transport.write(_plain(503, "too many connections", retry_after_s=1))
        if transport.can_write_eof():
            transport.write_eof()
        self._rest_timer = self.loop.call_later(REFUSED_LINGER_S, transport.abort)


def _cancel(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _plain(status: int, message: str, *, retry_after_s: int | None = None) -> bytes:
    body = msgspec.json.encode({"error": message})
    retry = b"" if retry_after_s is None else b"retry-after: %d\r\n" % retry_after_s
    head = b"content-type: application/json\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n" % (len(body), retry)
    return STATUS_LINE[status] + head + body
