"""Connections that send lines and expect no answer. Each keeps only the line that is not whole yet; whole lines go to the ``Gather``.

A line ends with a newline, also within a quoted string. While the buffer is fuller than half, no connection is read, so TCP
slows the senders down. A line beyond the limits becomes a dead letter with its beginning, and the connection goes on with the next.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from appliance.observe.descriptors import client_descriptor_max
from appliance.records import Reject
from appliance.sources.line_sockets.gather import Gather

LINE_BYTES_MAX: Final = 1024 * 1024
CARRY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Unfinished lines of all connections together; at it a connection may hold ``CARRY_BYTES_EACH``."""
CARRY_BYTES_EACH: Final = 32 * 1024
KEPT_BYTES_MAX: Final = 64 * 1024
"""What a dead letter keeps of a line that is too long."""
CONNECTIONS_MAX: Final = 256
BACKLOG: Final = 128
ACCEPTED_AT_ONCE: Final = 8
"""Connections accepted before the first of them is looked at."""
LOOK_S: Final = 0.005
"""How often a paused listener looks whether there is room again."""


class TcpListener:
    """All connections of one listening socket. Owned by the event loop."""

    def __init__(self, gather: Gather) -> None:
        self._gather = gather
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._look: asyncio.TimerHandle | None = None
        self._descriptor_max = client_descriptor_max()
        self.carried = 0
        """Bytes of unfinished lines."""
        self.refused = 0
        """Connections turned away because there were too many."""
        self.dropped = 0
        """Bad lines that found no room among those waiting to become dead letters."""

    async def start(self, sock: socket.socket) -> None:
        """Accepts on a bound socket from now on."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), sock=sock, backlog=ACCEPTED_AT_ONCE)
        sock.listen(BACKLOG)  # asyncio has set it to what it accepts at once

    async def stop(self) -> None:
        """Accepts nothing more and closes every connection; whole lines that were read are in the ``Gather``."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end("the service was stopped in the middle of this line")
        if self._look is not None:
            self._look.cancel()
            self._look = None

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def is_paused(self) -> bool:
        return self._look is not None

    def joined(self, connection: _Connection) -> bool:
        """Whether there is room for one more."""
        is_scarce = connection.transport.get_extra_info("socket").fileno() >= self._descriptor_max
        if is_scarce or len(self._connections) >= CONNECTIONS_MAX:
            self.refused += 1
            return False
        self._connections.add(connection)
        if self.is_paused:
            connection.transport.pause_reading()
        return True

    def left(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    def give(self, lines: bytes) -> None:
        """Takes whole lines; reading pauses when the buffer is more than half full."""
        taken = self._gather.add(lines, messages=1)
        assert taken, "reading is paused long before the buffer is full"
        self._pause_if_full()

    def reject(self, reason: str, raw: bytes) -> None:
        """Takes a line that is known to be bad; one that finds no room is counted."""
        if not self._gather.reject(Reject(reason, raw)):
            self.dropped += 1
        self._pause_if_full()

    def may_carry(self, own: int) -> bool:
        """Whether an unfinished line of ``own`` bytes may still grow."""
        return own <= LINE_BYTES_MAX and (self.carried <= CARRY_BYTES_MAX or own <= CARRY_BYTES_EACH)

    def _pause_if_full(self) -> None:
        if self._is_full() and self._look is None:
            for connection in self._connections:
                connection.transport.pause_reading()
            self._look = asyncio.get_running_loop().call_later(LOOK_S, self._look_again)

    def _is_full(self) -> bool:
        return self._gather.bytes * 2 > self._gather.bytes_max

    def _look_again(self) -> None:
        if self._is_full():
            self._look = asyncio.get_running_loop().call_later(LOOK_S, self._look_again)
            return
        self._look = None
        for connection in self._connections:
            connection.transport.resume_reading()


class _Connection(asyncio.Protocol):
    """One sender."""

    transport: asyncio.Transport

    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._carry: list[bytes] = []
        self._carried = 0
        self._skipping = False
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not self._listener.joined(self):
            self._ended = True
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._skipping:
            end = data.find(b"\n") + 1
            if not end:
                return
            self._skipping = False
            data = data[end:]
        end = data.rfind(b"\n") + 1
        if end:
            lines = b"".join([*self._carry, data[:end]]) if self._carry else data[:end]
            self._drop_carry()
            self._listener.give(lines)
        if end < len(data):
            self._carry_on(data[end:])

    def eof_received(self) -> None:
        """A last line without its newline is a line: the sender has said that nothing follows."""
        if self._carry:
            lines = b"".join([*self._carry, b"\n"])
            self._drop_carry()
            self._listener.give(lines)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - what broke it changes nothing
        self.end("the connection broke in the middle of this line")

    def end(self, reason: str) -> None:
        """Closes, and says what became of an unfinished line: it may be a part of a number, so it is not taken."""
        if self._ended:
            return
        self._ended = True
        self._listener.left(self)
        if self._carry:
            self._listener.reject(reason, b"".join(self._carry)[:KEPT_BYTES_MAX])
            self._drop_carry()
        self.transport.abort()

    def _carry_on(self, rest: bytes) -> None:
        self._carry.append(rest)
        self._carried += len(rest)
        self._listener.carried += len(rest)
        if not self._listener.may_carry(self._carried):
            kept = b"".join(self._carry)[:KEPT_BYTES_MAX]
            self._listener.reject(f"a line has no end after {self._carried} bytes; its first {len(kept)} bytes are kept", kept)
            self._drop_carry()
            self._skipping = True

    def _drop_carry(self) -> None:
        self._listener.carried -= self._carried
        self._carry, self._carried = [], 0
