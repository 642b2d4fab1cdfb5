"""The line-protocol source: plain TCP and UDP sockets that take InfluxDB line protocol and never answer (HTTP is in ``serving.http``).

Times are nanoseconds; a line without one gets the time of its arrival. In: bytes. Out: submissions from one feeder thread a
socket, and for UDP one reader thread besides. Lines that can't be parsed become dead letters; datagrams that can't be kept are counted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.clock import Clock
from appliance.errors import ConfigRefused
from appliance.observe.status import SourceStatus
from appliance.options import LimitOptions, LineProtocolSource
from appliance.sources.line_sockets.feeder import Door, Feeder
from appliance.sources.line_sockets.gather import Gather
from appliance.sources.line_sockets.tcp import BACKLOG, TcpListener
from appliance.sources.line_sockets.udp import UdpReader
from appliance.units import parse_address

log = logging.getLogger(__name__)
GATHER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Lines of one socket that wait for the door."""
STOP_S_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class PartStatus:
    """How one of the two sockets is."""

    address: str
    state: str
    detail: str
    records: int
    rejected: int
    dropped: int


class LineProtocolListener:
    """The sockets of one ``[[source]] kind = "line_protocol"``."""

    def __init__(
        self, options: LineProtocolSource, *, door: Door, clock: Clock, limits: LimitOptions, inherited: Sequence[socket.socket] = ()
    ) -> None:
        """``inherited`` are sockets of systemd's that are for this source, one of each type at most; what is missing is bound."""
        self._options = options
        self._door = door
        self._clock = clock
        self._limits = limits
        self._inherited = {sock.type: sock for sock in inherited}
        self._udp: _Udp | None = None
        self._tcp: _Tcp | None = None

    def start(self) -> None:
        """Binds and listens; on the event loop's thread. Raises ``ConfigRefused`` when an address can't be had; nothing is open then."""
        udp_socket = self._socket(self._options.udp, socket.SOCK_DGRAM)
        try:
            tcp_socket = self._socket(self._options.tcp, socket.SOCK_STREAM)
        except ConfigRefused:
            if udp_socket is not None:
                udp_socket.close()
            raise
        if udp_socket is not None:
            self._udp = _Udp(udp_socket, self._feeder("udp"))
        if tcp_socket is not None:
            self._tcp = _Tcp(tcp_socket, self._feeder("tcp"), asyncio.get_running_loop())

    async def listening(self) -> None:
        """Returns when connections are accepted. Raises what keeps them from it."""
        if self._tcp is not None:
            await self._tcp.starting

    def stop(self) -> None:
        """Stops reading, then brings in what was read; the door must still be open. From any thread but the event loop's."""
        for part in (self._tcp, self._udp):
            if part is not None:
                part.stop()

    def status(self) -> SourceStatus:
        """Both sockets together; ``detail`` tells them apart."""
        parts = [part.status() for part in (self._udp, self._tcp) if part is not None]
        states = {part.state for part in parts}
        return SourceStatus(
            name="line_protocol",
            kind="line_protocol",
            state="failed" if "failed" in states else "paused" if "paused" in states else "ok",
            detail="; ".join(f"{part.address}: {part.detail}" for part in parts) or "neither udp nor tcp is configured",
            records=sum(part.records for part in parts),
            rejected=sum(part.rejected for part in parts),
            dropped=sum(part.dropped for part in parts),
        )

    @property
    def ports(self) -> dict[str, int]:
        """Where it listens: ``udp`` and ``tcp`` -> port; what is off is absent."""
        parts: tuple[tuple[str, _Udp | _Tcp | None], ...] = (("udp", self._udp), ("tcp", self._tcp))
        return {name: part.port for name, part in parts if part is not None}

    def _socket(self, address: str, kind: socket.SocketKind) -> socket.socket | None:
        if kind in self._inherited:
            return self._inherited[kind]
        return _bind(address, kind) if address else None

    def _feeder(self, name: str) -> Feeder:
        return Feeder(Gather(bytes_max=GATHER_BYTES_MAX), door=self._door, source=name, clock=self._clock, limits=self._limits)


class _Udp:
    """Reader, buffer and feeder of the datagram socket."""

    def __init__(self, sock: socket.socket, feeder: Feeder) -> None:
        self._socket = sock
        self._address = f"udp {_shown(sock)}"
        self.port: int = sock.getsockname()[1]
        self._feeder = feeder
        self._reader = UdpReader(sock, feeder.gather)
        self._at_end: int | None = None
        feeder.start()
        self._reader.start()

    def stop(self) -> None:
        self._reader.stop()
        self._feeder.stop()
        self._at_end = self._reader.dropped_by_kernel()
        self._socket.close()

    def status(self) -> PartStatus:
        reader, feeder = self._reader, self._feeder
        by_kernel = reader.dropped_by_kernel() if self._at_end is None else self._at_end
        dropped = by_kernel + reader.dropped_full + feeder.lost_messages
        words = f"{reader.datagrams} datagrams, receive buffer {reader.receive_buffer_bytes >> 10} KiB"
        if dropped:
            words += f", dropped {by_kernel} by the kernel, {reader.dropped_full} for a full buffer, {feeder.lost_messages} at the end"
        return _part(self._address, feeder, words=words, dropped=dropped, paused=False, failure=reader.failure)


class _Tcp:
    """Listener, buffer and feeder of the stream socket."""

    def __init__(self, sock: socket.socket, feeder: Feeder, loop: asyncio.AbstractEventLoop) -> None:
        self._address = f"tcp {_shown(sock)}"
        self.port: int = sock.getsockname()[1]
        self._feeder = feeder
        self._listener = TcpListener(feeder.gather)
        self._loop = loop
        feeder.start()
        self.starting = loop.create_task(self._listener.start(sock), name="line-protocol-tcp")

    def stop(self) -> None:
        ended = asyncio.run_coroutine_threadsafe(self._listener.stop(), self._loop)
        try:
            ended.result(STOP_S_MAX)
        except TimeoutError:
            log.warning("%s: its connections are not closed after %g s; what they have sent is brought in", self._address, STOP_S_MAX)
        self._feeder.stop()

    def status(self) -> PartStatus:
        listener, feeder = self._listener, self._feeder
        words = f"{listener.connections} connections"
        if listener.refused:
            words += f", {listener.refused} turned away"
        return _part(self._address, feeder, words=words, dropped=listener.dropped, paused=listener.is_paused, failure=None)


def _part(address: str, feeder: Feeder, *, words: str, dropped: int, paused: bool, failure: str | None) -> PartStatus:
    if failure is None and not feeder.is_alive:
        failure = "stopped"
    trouble = failure or feeder.trouble
    return PartStatus(
        address=address,
        state="failed" if failure else "paused" if paused or feeder.trouble else "ok",
        detail=f"{trouble}; {words}" if trouble else words,
        records=feeder.records,
        rejected=feeder.rejected,
        dropped=dropped,
    )


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(address: str, kind: socket.SocketKind) -> socket.socket:
    host, port = parse_address(address)
    key = f"source.{'udp' if kind is socket.SOCK_DGRAM else 'tcp'}"
    try:
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
        family, _, proto, _, where = min(found, key=lambda f: f[0] != socket.AF_INET)
        sock = socket.socket(family, kind, proto)
    except OSError as e:
        raise ConfigRefused(f"can't listen on {address}: {e.strerror or e}", key=key) from e
    try:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        if kind is socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as e:
        sock.close()
        raise ConfigRefused(f"can't listen on {address}: {e.strerror or e}; does another program use it?", key=key) from e
    return sock
