"""TCP and UDP ports of loopback for tests that must know one before anybody listens on it."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from functools import cache

FIRST, END = 10_000, 32_000  # below what Linux gives to sockets that ask for none (ip_local_port_range, 32768 and above)
BLOCK = 500


def free_port() -> int:
    """A port that nobody listens on, and that no other test is given while this process lives and its next 400 ports last.

    A port that the kernel chose would be free for others too, from the moment it is let go until somebody listens on it.
    """
    for port in _ports(os.getpid()):
        if all(_is_free(port, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    raise AssertionError("no end is seen of the ports")


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as s:
        if kind == socket.SOCK_STREAM:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@cache
def _ports(_pid: int) -> Iterator[int]:
    """Over and over the ports of a block that this process has for itself: whoever holds the name of a block has it until it ends."""
    for first in range(FIRST, END, BLOCK):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0appliance-tests-ports-{first}")
        except OSError:
            claim.close()
            continue
        _CLAIMS.append(claim)
        return itertools.cycle(range(first, first + BLOCK))
    raise AssertionError(f"{(END - FIRST) // BLOCK} processes hold ports for tests already")


_CLAIMS: list[socket.socket] = []
