"""What the whole service needs: memory, CPU, time to start, time to recover, bytes written, latency. Rows for the table."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

from tests.bench.load_http import load
from tests.bench.report import Row, cpu_seconds, note, percentile, resident_mb, written_bytes
from tests.bench.tsbs import blocks
from tests.running import QUIET, Running, pause, wait_for

HOST = '\n[[source]]\nkind = "host"\nevery = "1s"\n'
IDLE_S = 20
LINES_BLOCK = 5_000
FILES_MAX = 4
"""Of one day; the records are of two, of which the second needs no compaction yet."""


@contextmanager
def service(config: str = "", sources: str = "") -> Iterator[Running]:
    """A service on a folder of its own that ends afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        running = Running(Path(folder) / "data", config=config, sources=sources, fresh=True)
        try:
            yield running.start()
        finally:
            if running.process is not None and running.process.poll() is None:
                running.stop()


def pid_of(running: Running) -> int:
    assert running.process is not None
    return running.process.pid


def idle() -> Iterator[Row]:
    """Memory and CPU with the host source alone."""
    with service(sources=HOST) as running:
        running.stop()  # the first start migrates the store, which no later one pays for
        running.start()
        pid = pid_of(running)
        wait_for(lambda: any(s["records"] > 10 for s in running.status()["streams"]), what="the host source")
        before, at = cpu_seconds(pid), time.monotonic()
        pause(IDLE_S)
        share = (cpu_seconds(pid) - before) / (time.monotonic() - at)
        memory = resident_mb(pid)
    yield Row("resident memory, idle headless, host source at 1 s", f"{memory:.0f} MB", "<= 130 MB", memory <= 130)
    yield Row("CPU idle with the host source at 1 s", f"{share * 100:.1f} % of a core", "<= 3 %", share <= 0.03)


def starting() -> Iterator[Row]:
    """``--help`` and ``run`` until ready; medians of five."""
    command = [sys.executable, "-m", "appliance", "--help"]
    spent = []
    for _ in range(6):
        at = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        spent.append(time.perf_counter() - at)
    helped = median(spent[1:])
    yield Row("appliance --help", f"{helped:.3f} s", "<= 0.25 s", helped <= 0.25)
    spent = []
    with service() as running:
        running.stop()
        for _ in range(5):
            at = time.perf_counter()
            running.start(wait=False)
            wait_for(running.is_ready, what="ready")
            spent.append(time.perf_counter() - at)
            running.stop()
        ready = median(spent)
    yield Row("appliance run until ready", f"{ready:.2f} s", "<= 2 s", ready <= 2)


def recovery() -> Iterator[Row]:
    """Ready after ``kill -9`` with a million hot records."""
    with service('[roll]\nevery = "1h"\nrows_max = 100_000_000\n', "") as running:
        for body in blocks(hosts=100, lines=1_000_000, block=LINES_BLOCK):
            status, said = running.request("POST", "/write?db=x", body=body)
            assert status == 204, said
        running.kill()
        at = time.perf_counter()
        running.start(wait=False)
        wait_for(running.is_ready, what="ready")
        spent = time.perf_counter() - at
        hot = sum(s["hot_rows"] for s in running.status()["streams"])
    yield Row(f"ready after kill -9 with {hot:,} hot records", f"{spent:.2f} s", "<= 3 s", spent <= 3)


def full_ingest() -> Iterator[Row]:
    """Memory at full ingest with a 64 MiB ring, and bytes written from ingest through compaction."""
    config = f'[roll]\nevery = "5s"\nrows_max = 200_000\n[compact]\nfiles_max = {FILES_MAX}\n'
    with service(config, QUIET) as running, tempfile.TemporaryDirectory(prefix="bench") as folder:
        bodies = list(blocks(hosts=100, lines=1_500_000, block=LINES_BLOCK))
        sent = sum(len(b) for b in bodies)
        pid = pid_of(running)
        peak = together = 0.0
        for start in range(0, len(bodies), 10):
            load(f"http://127.0.0.1:{running.port}/write?db=x", bodies[start : start + 10], lines_each=LINES_BLOCK)
            peak, together = max(peak, resident_mb(pid, children=False)), max(together, resident_mb(pid))
        note(f"{sent / 1e6:.0f} MB of line protocol sent into {folder}")
        wait_for(lambda: all(s["hot_rows"] == 0 for s in running.status()["streams"]), what="the last roll", deadline_s=120)
        wait_for(lambda: _segments(running, "cpu") <= 1 + FILES_MAX, what="compaction", deadline_s=120)
        written = written_bytes(pid)
        status = running.status()
    share = written / sent
    yield Row("resident memory at full ingest, 64 MiB ring (peak of the service)", f"{peak:.0f} MB", "<= 350 MB", peak <= 350)
    yield Row("  with the process that compacts", f"{together:.0f} MB", "its own limit: 256 MiB", None)
    lake = status["lake"]
    note(f"lake: {lake['segments']} segments, {lake['bytes'] / lake['rows']:.2f} bytes a record as the run left it")
    yield Row("bytes written, ingest through compaction, per byte of LP", f"{share:.3f}", "<= 0.30", share <= 0.30)


def _segments(running: Running, stream: str) -> int:
    return next(int(s["segments"]) for s in running.status()["streams"] if s["name"] == stream)


def latency() -> Iterator[Row]:
    """5,000 records a second in batches of 100 for 20 s: acknowledgement, and acknowledged until a query sees it."""
    with service() as running:
        acks, seen = _paced(running, seconds=20)
    p50, p99 = percentile(acks, 0.5), percentile(acks, 0.99)
    yield Row("acknowledgement, 5,000 records/s in batches of 100, p99", f"{p99:.1f} ms (p50 {p50:.1f})", "<= 50 ms", p99 <= 50)
    v50, v99 = percentile(seen, 0.5), percentile(seen, 0.99)
    yield Row("acknowledged until visible to a query, p99", f"{v99:.1f} ms (p50 {v50:.1f}, {len(seen)} queries)", "<= 100 ms", v99 <= 100)


def _paced(running: Running, *, seconds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each acknowledgement, and of each first query that saw its batch."""
    writer = http.client.HTTPConnection("127.0.0.1", running.port)
    asker = http.client.HTTPConnection("127.0.0.1", running.port)
    acks: list[float] = []
    seen: list[float] = []
    begin = time.monotonic()
    for number in range(seconds * 50):
        pause(max(0.0, begin + number / 50 - time.monotonic()))
        lines = "\n".join(f"paced,lane=l{i} n={number}i,v={i}.5 {1_760_000_000_000_000 + number * 20_000 + i}" for i in range(100))
        at = time.perf_counter()
        writer.request("POST", "/write?db=x&precision=us", body=lines.encode())
        answer = writer.getresponse()
        answer.read()
        assert answer.status == 204
        acked = time.perf_counter()
        acks.append((acked - at) * 1e3)
        if number % 10 == 9:
            _until_seen(asker, number)
            seen.append((time.perf_counter() - acked) * 1e3)
    return acks, seen[1:]  # the first query starts the worker


def _until_seen(asker: http.client.HTTPConnection, number: int) -> None:
    """Asks until a query sees the batch; the first should."""
    path = "/api/v3/query_sql?" + urlencode({"q": "SELECT max(n) AS n FROM paced", "format": "json"})
    while True:
        asker.request("GET", path)
        rows = json.loads(asker.getresponse().read())
        if rows and rows[0]["n"] is not None and rows[0]["n"] >= number:
            return
