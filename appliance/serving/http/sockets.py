"""The sockets that the interface listens on: its own, or inherited from systemd. Made here, accepted on in ``server``."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.errors import ConfigRefused, StoreDamaged
from appliance.units import parse_address

FIRST_INHERITED: Final = 3
"""``SD_LISTEN_FDS_START`` of sd_listen_fds(3)."""
SOCKET_MODE: Final = 0o660
"""Owner and group of the data folder may ask without a token."""
SOCKET_PATH_BYTES_MAX: Final = 107
"""What ``sun_path`` holds, less its final zero."""
BACKLOG: Final = 512


def inherited_sockets(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that systemd opened for this process, in the order of the unit; empty without socket activation.

    Takes the variables out of ``environment``, so that no child believes they are for it.
    """
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for fd in range(FIRST_INHERITED, FIRST_INHERITED + int(count)):
        os.set_inheritable(fd, False)
        sockets.append(socket.socket(fileno=fd))
    return sockets


def is_for(sock: socket.socket, address: str, *, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Whether an inherited socket is TCP (or UDP, by ``kind``) and has the port of ``address`` ("HOST:PORT"; "" is for none)."""
    if not address or sock.family == socket.AF_UNIX or sock.type != kind:
        return False
    return bool(sock.getsockname()[1] == parse_address(address).port)


def bind_tcp(address: str) -> socket.socket:
    """A listening TCP socket on "HOST:PORT" (port 0: any free one). Raises ``ConfigRefused`` when the address can't be had.

    A name with several addresses (``localhost``) means its IPv4 one: clients that try the other first come to it next.
    """
    host, port = parse_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, proto, _, where = min(found, key=lambda f: f[0] != socket.AF_INET)
        sock = socket.socket(family, kind, proto)
    except OSError as e:
        raise ConfigRefused(f"can't listen on {address}: {e.strerror or e}", key="http.listen") from e
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as e:
        sock.close()
        raise ConfigRefused(f"can't listen on {address}: {e.strerror or e}; does another program use it?", key="http.listen") from e
    return sock


def bind_unix(path: Path) -> socket.socket:
    """A listening unix socket at ``path``; one that is left over from a dead process is replaced.

    The caller holds the lock of the data folder, so that whatever lies there is left over. Raises ``StoreDamaged`` when it is no
    socket, or when none can be made, as on a disk that can't be written to. A path longer than ``SOCKET_PATH_BYTES_MAX`` is reached
    through its folder's descriptor; clients do the same.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise StoreDamaged("is no socket, though the service's socket belongs here", path=path, hint="move it away")
            path.unlink()
        os.fchmod(sock.fileno(), SOCKET_MODE)  # before bind: the file is never there with another mode
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
            sock.bind(os.fspath(path))
        else:
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                sock.bind(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
        path.chmod(SOCKET_MODE)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as e:
        sock.close()
        hint = "the service needs a disk that it can write to; appliance query works without one"
        raise StoreDamaged(f"can't be made: {e.strerror or e}", path=path, hint=hint) from e
    except StoreDamaged:
        sock.close()
        raise
    return sock
