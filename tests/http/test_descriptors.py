"""A crowd of connections leaves the store the descriptors that it needs; whoever is connected is served, others when there is room."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.observe.descriptors import client_descriptor_max
from tests.http.serving import read_answer
from tests.running import Running, wait_for

GOOD = b"room,sensor=a temperature=21.5\n"
WRITE = b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD)
LINES = """
[[source]]
kind = "line_protocol"
udp = ""
tcp = "127.0.0.1:0"
"""


def test_a_crowd_on_few_descriptors_stops_neither_the_store_nor_those_connected(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", sources=LINES, module=("tests.http.few_descriptors", "80", "run"), fresh=True).start()
    try:
        lines_at = next(s for s in service.status()["sources"] if s["kind"] == "line_protocol")["detail"].split(":")[1]
        with _connected(service.port) as first, ExitStack() as crowd:
            many = [crowd.enter_context(_connected(port)) for port in (service.port, int(lines_at)) for _ in range(100)]
            for sock in many:
                sock.setblocking(False)
            wait_for(lambda: sum(_is_closed(sock) for sock in many) > 100, what="most of the crowd to be turned away")
            for _ in range(5):
                first.sendall(WRITE)
                assert read_answer(first).status == 204
        wait_for(service.is_ready, what="new connections to be taken")
        assert service.query("SELECT count(*) AS n FROM room")[0]["n"] == 5
    finally:
        assert service.stop() == 0


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def _is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize(("limit", "expected"), [(1024, 960), (256, 192), (80, 60), (32, 16), (resource.RLIM_INFINITY, 1 << 30)])
def test_a_quarter_of_the_descriptors_is_kept_back(monkeypatch: pytest.MonkeyPatch, limit: int, expected: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (limit, limit))
    assert client_descriptor_max() == expected
