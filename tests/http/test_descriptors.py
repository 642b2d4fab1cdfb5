"""A box that runs out of descriptors goes on serving those it has, and takes new connections when some are free again."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.http.serving import read_answer
from tests.running import Running, wait_for

GOOD = b"room,sensor=a temperature=21.5\n"
WRITE = b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD)


def test_without_free_descriptors_those_connected_are_served_and_others_wait(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", module=("tests.http.few_descriptors", "60", "run")).start()
    try:
        first = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        crowd = [socket.create_connection(("127.0.0.1", service.port), timeout=30) for _ in range(100)]
        wait_for(lambda: "out of system resource" in service.said(), what="the descriptors to be used up")
        for _ in range(3):
            first.sendall(WRITE)
            assert read_answer(first).status == 204
        assert service.said().count("out of system resource") < 20, "it waits between its tries"
        for sock in crowd:
            sock.close()
        wait_for(service.is_ready, what="new connections to be taken")
        first.close()
        assert service.query("SELECT count(*) AS n FROM room")[0]["n"] == 3
    finally:
        assert service.stop() == 0
