"""Datagrams: one thread that does nothing but read, so that the kernel's buffer is emptied whatever else is slow.

Each datagram is whole lines. What can't be kept is counted, and the counts are exact: what the kernel dropped it tells itself,
with the next datagram (``SO_RXQ_OVFL``) and in ``/proc/net/udp``; what found the buffer full is counted here.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.records import Reject
from appliance.sources.line_sockets.gather import Gather

log = logging.getLogger(__name__)

RECEIVE_BUFFER_BYTES: Final = 8 * 1024 * 1024
"""Asked of the kernel, which may give less (``net.core.rmem_max``)."""
DATAGRAM_BYTES_MAX: Final = 65_536
"""No datagram is larger; with a smaller buffer ``MSG_TRUNC`` would tell."""
BLOCK_BYTES: Final = 256 * 1024
PAUSE_S: Final = 0.001
"""After the socket was empty: datagrams of the next millisecond are read together."""
SO_RXQ_OVFL: Final = 40
SO_RCVBUFFORCE: Final = 33
_COUNTER: Final = struct.Struct("=I")
_NEWLINE: Final = 10


class UdpReader:
    """The thread that reads one socket into a ``Gather``. The counters are its own; others only read them."""

    def __init__(self, sock: socket.socket, gather: Gather) -> None:
        self._socket = sock
        self._gather = gather
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._buffer = bytearray(BLOCK_BYTES + DATAGRAM_BYTES_MAX + 1)
        self.datagrams = 0
        """Read, dropped ones included."""
        self.dropped_full = 0
        """Read and not kept, because the buffer was full."""
        self.truncated = 0
        self._overflow = 0
        self.failure: str | None = None
        self.receive_buffer_bytes = _enlarge(sock)
        sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self._thread = threading.Thread(target=self._run, name="udp-reader", daemon=True)  # noqa: TID251 - the owner of this thread

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Reads what the kernel still holds, then ends; the socket is the caller's to close."""
        os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join(10.0)
        os.close(self._wake)

    def dropped_by_kernel(self) -> int:
        """Datagrams that found the kernel's buffer full (or were damaged), since the socket was made."""
        return max(self._overflow, _drops_of(self._socket))

    def _run(self) -> None:
        both, wake = select.poll(), select.poll()
        for poller in (both, wake):
            poller.register(self._wake, select.POLLIN)
        both.register(self._socket, select.POLLIN)
        ending = False
        try:
            while not ending:
                ending = any(fd == self._wake for fd, _ in both.poll())
                while self._drain():
                    pass
                ending = ending or bool(wake.poll(PAUSE_S * 1000))
            self._drain()
        except OSError as e:
            log.exception("the UDP socket can't be read any more")
            self.failure = f"can't be read: {e.strerror}"

    def _drain(self) -> bool:
        """Reads until the socket is empty (False) or a block is full (True), and hands the block on."""
        buffer, receive, flags = self._buffer, self._socket.recvmsg_into, socket.MSG_DONTWAIT
        view = memoryview(buffer)
        used = count = 0
        more = True
        while used < BLOCK_BYTES:
            try:
                n, ancillary, told, _ = receive([view[used:]], 64, flags)
            except BlockingIOError:
                more = False
                break
            except InterruptedError:
                continue
            self.datagrams += 1
            if ancillary:
                self._note(ancillary)
            if told & socket.MSG_TRUNC:
                self._refuse_truncated(bytes(view[used : used + n]))
                continue
            if not n:
                continue
            end = used + n
            if buffer[end - 1] != _NEWLINE:
                buffer[end] = _NEWLINE
                end += 1
            used = end
            count += 1
        self._hand_on(bytes(view[:used]), count)
        return more

    def _hand_on(self, lines: bytes, count: int) -> None:
        if count and not self._gather.add(lines, messages=count):
            self.dropped_full += count

    def _note(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL and len(data) >= _COUNTER.size:
                (self._overflow,) = _COUNTER.unpack_from(data)

    def _refuse_truncated(self, kept: bytes) -> None:
        self.truncated += 1
        if not self._gather.reject(Reject(f"a datagram was longer than {DATAGRAM_BYTES_MAX} bytes and was cut off", kept)):
            self.dropped_full += 1


def _enlarge(sock: socket.socket) -> int:
    """Asks for a large receive buffer, beyond the system's limit where that is allowed; returns what there is now."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    with suppress(PermissionError):  # the usual limit holds; the status tells the size
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def _drops_of(sock: socket.socket) -> int:
    """The ``drops`` column of ``/proc/net/udp`` for the socket; 0 where it can't be read."""
    table = Path("/proc/net/udp6" if sock.family == socket.AF_INET6 else "/proc/net/udp")
    try:
        inode = str(os.fstat(sock.fileno()).st_ino)
        rows = [line.split() for line in table.read_text("ascii").splitlines()[1:]]
    except OSError:
        return 0
    return next((int(row[12]) for row in rows if len(row) > 12 and row[9] == inode), 0)
