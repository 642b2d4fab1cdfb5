"""A plant that sends at a steady rate and a webhook that hears of its alerts, with the times of both on one clock."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from appliance.clock import SystemClock
from tests.bench.alert_rules import bodies, hot_line, name_of
from tests.running import pause

CALM_S = 10.0
"""Before the first device gets hot: the stream is made, its windows begin to fill."""

AHEAD_S = 2.0
"""The webhook may have an alert before the sender has its acknowledgement; a device is hot again minutes later only."""


class Arrivals:
    """A webhook that notes when it is told of which fire."""

    def __init__(self) -> None:
        self.at: dict[tuple[str, str], list[float]] = {}
        """(rule, device) -> when it was told each time; of a fire that was over before it was handed over there is one message, its end."""
        found = self.at

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                now = time.perf_counter()
                for item in json.loads(body)["items"]:
                    if item["tells"] in ("firing", "resolved"):
                        found.setdefault((item["rule"], item["key"][0]), []).append(now)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)  # noqa: TID251 - the server's
        self._thread.start()

    @property
    def channel(self) -> str:
        """The channel that tells it, as TOML."""
        return f'[notify.ops]\nurl = "json://127.0.0.1:{self.port}/hook"\nrate_max = 1_000_000\n'

    def close(self) -> None:
        """Hears no more."""
        self._server.shutdown()
        self._server.server_close()


class Plant:
    """Sends on a schedule over a few connections, each device always over the same one; every so often one device is hot for one record."""

    def __init__(self, port: int, *, devices: int, per_s: float, hot_every_s: float | None, connections: int = 2) -> None:
        """Each device sends ``per_s`` records, in batches of as many lines as there are devices; ``hot_every_s`` None: none gets hot."""
        self.devices = devices
        self._port = port
        self._per_s = per_s
        self._hot_every_s = hot_every_s
        self._lines = [body.splitlines(keepends=True) for body in bodies(devices)]
        self._order = np.random.default_rng(2).permutation(devices)
        self._connections = connections
        self._begin = 0.0
        self._begin_us = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)  # noqa: TID251 - the senders of a bench
            for number in range(connections)
        ]
        self.acks_ms: list[float] = []
        self.acked: list[tuple[str, float]] = []
        """(device, when the batch in which it was hot was acknowledged)."""
        self.errors: list[str] = []

    @property
    def records(self) -> int:
        """Acknowledged."""
        return len(self.acks_ms) * self.devices

    def start(self) -> None:
        """From now on."""
        self._begin, self._begin_us = time.perf_counter(), SystemClock().now_us()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after the batches under way."""
        self._stopping = True
        for thread in self._threads:
            thread.join()

    def _run(self, lane: int) -> None:
        """One connection: batch after batch of its own devices, as many records of each as there are connections."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        step, hot_next = 0, CALM_S + lane * (self._hot_every_s or 0)
        while not self._stopping:
            due = (step + self._connections + lane) / self._per_s
            pause(max(0.0, self._begin + due - time.perf_counter()))
            hot = None
            if self._hot_every_s is not None and due >= hot_next:
                hot = self._hot(lane, round((hot_next - CALM_S) / self._hot_every_s))
                hot_next += self._connections * self._hot_every_s
            connection.request("POST", "/write?db=x&precision=us", body=self._body(lane, step, hot))
            answer = connection.getresponse()
            said = answer.read()
            now = time.perf_counter()
            step += self._connections
            if answer.status != 204:
                self.errors.append(f"{answer.status} {said[:200]!r}")
                continue
            self.acks_ms.append((now - self._begin - due) * 1e3)
            if hot is not None:
                self.acked.append((name_of(hot), now))

    def _hot(self, lane: int, number: int) -> int:
        """The devices of a connection in turn, in some order."""
        mine = self._order[self._order % self._connections == lane]
        return int(mine[number // self._connections % len(mine)])

    def _body(self, lane: int, step: int, hot: int | None) -> bytes:
        """The device that is hot is so in the last of its records."""
        parts = []
        for number in range(step, step + self._connections):
            lines = self._lines[number % len(self._lines)][lane :: self._connections]
            if hot is not None and number == step + self._connections - 1:
                at = hot // self._connections
                lines = [*lines[:at], hot_line(hot), *lines[at + 1 :]]
            at_us = self._begin_us + round((number + lane) / self._per_s * 1e6)
            parts.append(b"".join(lines).replace(b"@", str(at_us).encode()))
        return b"".join(parts)


@contextmanager
def sending(
    port: int, *, devices: int = 500, per_s: float = 40.0, hot_every_s: float | None = 0.5, connections: int = 2
) -> Iterator[Plant]:
    """A plant that sends for as long as the block lasts."""
    plant = Plant(port, devices=devices, per_s=per_s, hot_every_s=hot_every_s, connections=connections)
    plant.start()
    try:
        yield plant
    finally:
        plant.stop()
    assert not plant.errors, plant.errors[:3]


def delays_ms(acked: Iterable[tuple[str, float]], arrivals: Arrivals, rules: tuple[str, ...]) -> tuple[list[float], int]:
    """Milliseconds from each acknowledgement until the webhook had the alert (0 where it came first), and how many never came."""
    found, missing = [], 0
    for device, since in acked:
        for rule in rules:
            told = next((at for at in arrivals.at.get((rule, device), ()) if at > since - AHEAD_S), None)
            if told is None:
                missing += 1
            else:
                found.append(max(0.0, (told - since) * 1e3))
    return found, missing


def picture(port: int) -> dict[str, Any]:
    """``GET /api/alerts``."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/api/alerts")
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found
