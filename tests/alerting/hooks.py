"""A webhook that keeps what it is sent, and a service that tells it."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.running import QUIET, Running, wait_for

RULE = """
[alerts]
grace = "100ms"

[workload.overheating]
kind = "alert"
stream = "readings"
by = ["device"]
over = "30s"
when = "avg(temperature) > 80"
clear = "avg(temperature) < 75"
severity = "critical"
nodata = "40s"
notify = ["ops"]
"""
T0 = 1_760_000_000
STRETCH_S = 1_000


class Hook:
    """What came, in order."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.port = free_port()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.keys.append(self.headers["Idempotency-Key"])
                hook.messages.append(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)  # noqa: TID251 - the server's
        self._thread.start()

    @property
    def items(self) -> list[tuple[str, str]]:
        """(state, key) of every alert told, in order."""
        return [(i["state"], ",".join(map(str, i["key"]))) for m in self.messages for i in m["items"]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def told(folder: Path, rules: str = RULE) -> Iterator[tuple[Running, Hook]]:
    """A service with these rules whose channel ``ops`` is the hook; started."""
    hook = Hook()
    running = Running(folder / "data", config=f'{rules}\n[notify.ops]\nurl = "json://127.0.0.1:{hook.port}/hook"\n', sources=QUIET)
    try:
        yield running.start(), hook
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()
        hook.close()


def write(running: Running, *lines: str, after: float = 0) -> None:
    """Line protocol, times in seconds after ``T0`` and ``after``."""
    body = "\n".join(_dated(line, after) for line in lines)
    status, said = running.request("POST", "/write?db=x&precision=ms", body=body.encode())
    assert status == 204, said


def _dated(line: str, after: float) -> str:
    head, _, second = line.rpartition(" ")
    return f"{head} {int((T0 + after + float(second)) * 1000)}"


def stretches() -> Iterator[int]:
    """Beginnings, to be said as ``after``: each test on a shared service has a stretch of event time that is later than all before."""
    return itertools.count(0, STRETCH_S)


def alerts(running: Running) -> list[dict[str, Any]]:
    """What is shown now."""
    status, said = running.request("GET", "/api/alerts")
    assert status == 200, said
    found: list[dict[str, Any]] = json.loads(said)["alerts"]
    return found


def wait_phase(running: Running, phase: str, *, device: str = "d1", rule: str | None = None) -> dict[str, Any]:
    """The alert of a device, of any rule or of one, once it is in a phase."""

    def look() -> dict[str, Any] | None:
        mine = (a for a in alerts(running) if a["key"].get("device") == device and rule in {None, a["rule"]})
        return next((a for a in mine if a["phase"] == phase), None)

    found: dict[str, Any] = wait_for(look, what=f"{rule or 'a rule'} of {device} to be {phase}")
    return found


def firing(running: Running, rule: str, device: str | None = None) -> list[dict[str, Any]]:
    """What fires of a rule; of one device if it is said."""
    mine = (a for a in alerts(running) if a["rule"] == rule and a["phase"] == "firing")
    return [a for a in mine if device in {None, a["key"].get("device")}]


def picture(running: Running) -> dict[str, Any]:
    """All of ``/api/alerts``."""
    status, said = running.request("GET", "/api/alerts")
    assert status == 200, said
    found: dict[str, Any] = json.loads(said)
    return found


def rule_row(running: Running, rule: str) -> dict[str, Any]:
    """How a rule does."""
    found: dict[str, Any] = next(r for r in picture(running)["rules"] if r["name"] == rule)
    return found


def steps(running: Running, rule: str, device: str | None = None) -> list[dict[str, Any]]:
    """The transitions of a rule, the oldest first; of one device if it is said."""
    status, said = running.request("GET", f"/api/alerts/history?limit=10000&rule={rule}")
    assert status == 200, said
    return [t for t in reversed(json.loads(said)) if device in {None, t["key"].get("device")}]


def post(running: Running, what: str, body: object, *, status: int = 200) -> Any:
    """An action of ``/api/alerts``."""
    found, said = running.request(
        "POST", f"/api/alerts/{what}", body=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    assert found == status, said
    return json.loads(said)


def reload(running: Running, *, status: int = 200) -> str:
    """``POST /api/reload``; what was said."""
    found, said = running.request("POST", "/api/reload", body=b"{}", headers={"Content-Type": "application/json"})
    assert found == status, said
    return said.decode()
