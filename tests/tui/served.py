"""The simulated box behind the service's own HTTP on a unix socket: what ``SocketClient`` is tested against.

Only the standard library, one thread a connection; the JSON is that of the real endpoints.
"""

from __future__ import annotations

import argparse
import http.server
import socket
import socketserver
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pyarrow as pa

from appliance.errors import ApplianceError
from tests.running import wait_for
from tests.tui.fake import FakeClient
from tui.client import Stop


class BoxServer(socketserver.ThreadingUnixStreamServer):
    """Answers for a ``FakeClient``; remembers the queries that were cancelled."""

    daemon_threads = False
    block_on_close = False

    def __init__(self, path: Path, box: FakeClient) -> None:
        super().__init__(str(path), _Handler)
        self.box = box
        self.cancelled: list[str] = []
        self.connections: list[socket.socket] = []
        self.running: dict[str, Stop] = {}
        self.authors: list[str] = []
        """Who acted, in order."""

    def server_close(self) -> None:
        """Goes away as a process does: every connection is cut."""
        super().server_close()
        for connection in self.connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BoxServer

    def setup(self) -> None:
        self.client_address = ("unix", 0)
        self.server.connections.append(self.request)
        super().setup()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        box = self.server.box
        try:
            if url.path == "/api/status":
                self._send(200, msgspec.json.encode(box.status()))
            elif url.path == "/api/series":
                self._send(200, msgspec.json.encode(box.series(asked["stream"], asked["column"], since_us=int(asked["since"]))))
            elif url.path == "/api/latest":
                self._send(200, msgspec.json.encode(box.latest(asked["stream"])))
            elif url.path == "/api/streams/columns":
                self._send(200, msgspec.json.encode(box.columns(asked["stream"])))
            elif url.path == "/api/alerts":
                self._send(200, msgspec.json.encode(box.alerts()))
            elif url.path == "/api/alerts/history":
                self._send(200, msgspec.json.encode(box.alert_history(limit=int(asked["limit"]), rule=asked.get("rule"))))
            elif url.path == "/api/alerts/chart":
                chart = box.alert_chart(asked["rule"], msgspec.json.decode(asked["key"]))
                self._send(404 if chart is None else 200, msgspec.json.encode({"error": "no such alert"} if chart is None else chart))
            else:
                self._send(404, b'{"error": "there is no such page"}')
        except ApplianceError as error:
            self._send(503, msgspec.json.encode({"error": str(error)}))

    def do_POST(self) -> None:
        body = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/api/alerts/"):
            self._act(self.path.rsplit("/", 1)[-1], body)
            return
        name, stop = body["id"], Stop()
        self.server.running[name] = stop
        try:
            answer = self.server.box.query(body["sql"], rows_max=10_000_000, stop=stop)
        except ApplianceError as error:
            self._send(400, msgspec.json.encode({"error": str(error)}))
            return
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, answer.table.schema) as writer:
            writer.write_table(answer.table, max_chunksize=500)
        self._send(200, bytes(sink.getvalue()), kind="application/vnd.apache.arrow.stream")

    def _act(self, what: str, body: dict[str, Any]) -> None:
        box = self.server.box
        self.server.authors.append(body.pop("author"))
        act: dict[str, Callable[..., object]] = {
            "ack": box.acknowledge,
            "unack": box.unacknowledge,
            "silence": box.silence,
            "unsilence": lambda id: box.unsilence(id),
        }
        try:
            self._send(200, msgspec.json.encode(act[what](**body)))
        except ApplianceError as error:
            self._send(400, msgspec.json.encode({"error": str(error)}))

    def do_DELETE(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.cancelled.append(name)
        if name in self.server.running:
            self.server.running[name].stop()
        self._send(200, b"{}")

    def _send(self, status: int, body: bytes, *, kind: str = "application/json") -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # who asked is gone


def wait_until_there(path: Path, *, deadline_s: float = 20.0) -> None:
    """Until somebody listens at ``path``."""

    def listens() -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(str(path)) == 0

    wait_for(listens, what=f"a listener at {path}", deadline_s=deadline_s)


def main() -> None:
    """Serves a simulated box until it is ended: ``python -m tests.tui.served PATH``."""
    from tests.tui.demo import simulated

    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--trouble", action="store_true")
    chosen = parser.parse_args()
    with BoxServer(chosen.path, simulated(trouble=chosen.trouble)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
