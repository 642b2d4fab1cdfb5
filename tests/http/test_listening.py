"""Sockets: bound by us or inherited from systemd, and what is refused."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import ConfigRefused, StoreDamaged
from appliance.serving.http.sockets import bind_tcp, bind_unix, inherited_sockets, is_for
from tests.http.serving import Serving

ROOT = Path(__file__).parents[2]


def test_the_unix_socket_is_the_owners_and_its_groups_and_goes_with_the_service(tmp_path: Path) -> None:
    with Serving(tmp_path / "data") as serving:
        path = serving.socket_path
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert serving.request("GET", "/ping", local=True).status == 204
    assert not path.exists()


def test_a_socket_left_by_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "appliance.sock"
    bind_unix(path).close()
    assert path.exists()
    bind_unix(path).close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_whatever_else_lies_there_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "appliance.sock"
    if kind == "file":
        path.write_text("x")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/etc/passwd")
    with pytest.raises(StoreDamaged, match="is no socket"):
        bind_unix(path)
    assert path.is_symlink() or path.exists()


def test_a_socket_deep_down_can_be_bound(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    listening = bind_unix(folder / "appliance.sock")
    descriptor = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"/proc/self/fd/{descriptor}/appliance.sock")
    os.close(descriptor)
    listening.close()


def test_an_address_in_use_is_refused_by_name() -> None:
    taken = bind_tcp("127.0.0.1:0")
    port = taken.getsockname()[1]
    with pytest.raises(ConfigRefused, match=f"127.0.0.1:{port}"):
        bind_tcp(f"127.0.0.1:{port}")
    taken.close()


def test_sockets_are_known_by_type_and_port() -> None:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX) as unix:
        for sock in (tcp, udp):
            sock.bind(("127.0.0.1", 0))
        tcp_at, udp_at = (f"127.0.0.1:{s.getsockname()[1]}" for s in (tcp, udp))
        assert is_for(tcp, tcp_at)
        assert not is_for(tcp, "")
        assert not is_for(tcp, tcp_at, kind=socket.SOCK_DGRAM)
        assert not is_for(udp, udp_at)
        assert is_for(udp, udp_at, kind=socket.SOCK_DGRAM)
        assert not is_for(unix, tcp_at)


PROGRAM = """
import os
os.environ["LISTEN_PID"] = str(os.getpid())
from appliance.serving.http.sockets import inherited_sockets
sockets = inherited_sockets(os.environ)
assert not any(name.startswith("LISTEN_") for name in os.environ)
assert not any(os.get_inheritable(s.fileno()) for s in sockets)
print([s.getsockname()[1] for s in sockets])
"""


def test_sockets_of_systemd_are_taken_in_the_order_of_the_unit() -> None:
    with socket.socket() as first, socket.socket(type=socket.SOCK_DGRAM) as second:
        for sock in (first, second):
            sock.bind(("127.0.0.1", 0))
        ports = [first.getsockname()[1], second.getsockname()[1]]
        # As systemd does it: the descriptors from 3 on.
        places = f"os.dup2({first.fileno()}, 3); os.dup2({second.fileno()}, 4)"
        program = f"import os; {places}; os.execv({sys.executable!r}, {['python', '-c', PROGRAM]})"
        ran = subprocess.run(
            [sys.executable, "-c", program],
            pass_fds=(first.fileno(), second.fileno()),
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:udp", "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.stdout.strip() == str(ports), ran.stderr


@pytest.mark.parametrize(
    "environment", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"}]
)
def test_sockets_that_are_for_somebody_else_are_not_taken(environment: dict[str, str]) -> None:
    assert inherited_sockets(environment) == []
    assert environment == {}
