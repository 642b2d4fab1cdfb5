"""Posts bodies of line protocol over a few keep-alive connections, and prints records a second up to the last acknowledgement.

python -m tests.bench.load_http URL [--lines 500000] [--each 5000] [--connections 2] [--rate RECORDS_PER_S] [--header 'K: V']

Works against anything that speaks InfluxDB's ``/write``. 429 and 503 are obeyed and tried again; any other status that is not 2xx
ends the run. With ``--rate`` requests leave on a schedule, and the latency is counted from the moment they should have left.
"""

from __future__ import annotations

import argparse
import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench import tsbs

RETRY_S_MAX = 5.0


@dataclass(frozen=True)
class Load:
    """What a run came to."""

    records: int
    """Acknowledged."""
    seconds: float
    latencies_ms: tuple[float, ...]
    """One a request, sorted."""
    retries: int

    @property
    def per_s(self) -> float:
        return self.records / self.seconds

    def percentile(self, share: float) -> float:
        return self.latencies_ms[min(len(self.latencies_ms) - 1, int(len(self.latencies_ms) * share))]

    def __str__(self) -> str:
        return (
            f"records={self.records} seconds={self.seconds:.2f} records_per_s={self.per_s:.0f} p50_ms={self.percentile(0.5):.1f}"
            f" p99_ms={self.percentile(0.99):.1f} max_ms={self.latencies_ms[-1]:.1f} retries={self.retries}"
        )


class Refused(Exception):
    """The server said no for good."""


def load(
    url: str,
    bodies: Sequence[bytes],
    *,
    lines_each: int,
    connections: int = 2,
    rate_per_s: float | None = None,
    headers: dict[str, str] | None = None,
) -> Load:
    """Sends all bodies and returns when each is acknowledged. Raises ``Refused`` for the first that is not."""
    work = _Work(url, bodies, lines_each / rate_per_s if rate_per_s else None, headers or {})
    started = time.perf_counter()
    threads = [threading.Thread(target=work.run) for _ in range(connections)]  # noqa: TID251 - the senders of a bench
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if work.refused:
        raise Refused(work.refused[0])
    return Load(len(work.latencies) * lines_each, seconds, tuple(sorted(work.latencies)), work.retries)


class _Work:
    """The bodies that are left, shared by the connections."""

    def __init__(self, url: str, bodies: Sequence[bytes], every_s: float | None, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connect: Callable[[], http.client.HTTPConnection] = lambda: http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=60
        )
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._headers = headers
        self._next = self._schedule(bodies, every_s)
        self._lock = threading.Lock()
        self.latencies: list[float] = []
        self.retries = 0
        self.refused: list[str] = []

    def run(self) -> None:
        connection = self._connect()
        while not self.refused:
            with self._lock:
                due = next(self._next, None)
            if due is None:
                return
            at, body = due
            wait_s = at - time.perf_counter()
            if wait_s > 0:
                threading.Event().wait(wait_s)
            started = max(at, 0.0) or time.perf_counter()
            if not self._send(connection, body):
                return
            self.latencies.append((time.perf_counter() - started) * 1e3)

    def _send(self, connection: http.client.HTTPConnection, body: bytes) -> bool:
        while True:
            connection.request("POST", self._path, body=body, headers=self._headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status // 100 == 2:
                return True
            if answer.status not in (429, 503):
                self.refused.append(f"{answer.status} {text[:300]!r}")
                return False
            self.retries += 1
            threading.Event().wait(min(float(answer.getheader("Retry-After", "0.05")), RETRY_S_MAX))

    @staticmethod
    def _schedule(bodies: Sequence[bytes], every_s: float | None) -> Iterator[tuple[float, bytes]]:
        """When each body should leave; 0: as soon as a connection is free."""
        started = time.perf_counter()
        for number, body in enumerate(bodies):
            yield (started + number * every_s if every_s else 0.0), body


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.load_http")
    parser.add_argument("url")
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--each", type=int, default=5_000)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--rate", type=float, default=None)
    parser.add_argument("--header", action="append", default=[])
    given = parser.parse_args()
    headers = dict(h.split(": ", 1) for h in given.header)
    bodies = tsbs.bodies(lines_total=given.lines, lines_each=given.each)
    print(load(given.url, bodies, lines_each=given.each, connections=given.connections, rate_per_s=given.rate, headers=headers))


if __name__ == "__main__":
    main()
