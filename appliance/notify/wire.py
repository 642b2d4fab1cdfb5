"""A TCP or TLS connection whose every wait ends at one deadline: resolving, connecting, handshake, each read and write.

``Wire`` looks enough like a socket for ``http.client`` and ``smtplib``, which would else begin a new time-out with each byte.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import select
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

from appliance.notify.aside import Aside, StillHangs
from appliance.notify.deadline import Deadline

_Found = tuple[socket.AddressFamily, tuple[Any, ...]]
_WHERE: Final = socket.AF_UNSPEC


class Resolver:
    """From names to addresses, bounded. One for each channel."""

    def __init__(self) -> None:
        self._aside = Aside("notify-resolve")

    def resolve(self, host: str, port: int, deadline: Deadline) -> Sequence[_Found]:
        """Raises ``OSError`` (``socket.gaierror``, ``TimeoutError``)."""
        flags = socket.AI_NUMERICHOST if _is_address(host) else 0

        def look() -> list[_Found]:
            found = socket.getaddrinfo(host, port, _WHERE, socket.SOCK_STREAM, flags=flags)
            return [(family, tuple(address)) for family, _, _, _, address in found]

        return look() if flags else self._aside.call(look, deadline)

    def connect(self, host: str, port: int, deadline: Deadline) -> socket.socket:
        """A connected socket to the first address that answers; each has its share of the time. Raises ``OSError``."""
        addresses = self.resolve(host, port, deadline)
        failed: OSError = OSError(f"{host} has no address")
        for place, (family, address) in enumerate(addresses):
            one = socket.socket(family, socket.SOCK_STREAM)
            try:
                one.settimeout(deadline.left_s() / (len(addresses) - place))
                one.connect(address)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                one.close()
                failed = error
            else:
                return one
        raise failed


class Wire:
    """A connected socket, bounded by ``deadline``, which the next attempt on the same connection sets anew."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self.deadline = deadline
        self._files = 0
        self._is_closing = False

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """From here on TLS. Raises ``OSError`` (``ssl.SSLError``)."""
        self._socket = secured(self._socket, context, host, self.deadline)

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        left = memoryview(data).cast("B")
        while left:
            self._socket.settimeout(self.deadline.left_s())
            left = left[self._socket.send(left) :]

    def recv_into(self, buffer: memoryview) -> int:
        self._socket.settimeout(self.deadline.left_s())
        return self._socket.recv_into(buffer)

    def makefile(self, mode: str, *_buffering: Any, **_more: Any) -> io.BufferedReader:
        """For reading only. As with a socket, the connection is closed when it and all its files are."""
        assert mode == "rb"
        self._files += 1
        return io.BufferedReader(_Reading(self))

    def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer: neither the other side's end nor bytes that nobody asked for."""
        looked = select.poll()
        looked.register(self._socket, select.POLLIN)
        return not looked.poll(0)

    def interrupt(self) -> None:
        """End whatever waits on the connection, in any thread."""
        with contextlib.suppress(OSError):  # it is not connected any more, so nobody waits on it
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # an SSLSocket's own would change what another thread reads with

    def close(self) -> None:
        self._is_closing = True
        if not self._files:
            self._socket.close()

    def let_go(self) -> None:
        """A file is closed."""
        self._files -= 1
        if self._is_closing:
            self.close()


class _Reading(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._wire.let_go()


def secured(connected: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> ssl.SSLSocket:
    """The same connection with TLS. Raises ``OSError`` (``ssl.SSLError``), and then it is closed."""
    one = context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
    try:
        one.settimeout(deadline.left_s())
        one.do_handshake()
    except OSError:
        one.close()
        raise
    return one


def tls_context(*, verify: bool) -> ssl.SSLContext:
    """The machine's own certificates; without ``verify`` any certificate of any name is taken."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def failure(error: OSError) -> str:
    """What went wrong, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return str(error) if isinstance(error, StillHangs) else "timed out"
    if isinstance(error, socket.gaierror):
        return "the host's name is not known here"
    if isinstance(error, ConnectionError) and error.errno is None:
        return "the other side closed the connection"
    return error.strerror or type(error).__name__


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
