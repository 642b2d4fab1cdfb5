"""The last five minutes of one stream over HTTP, beside older segments: read out of memory alone, before and after they are rolled."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

from appliance.clock import US_PER_DAY, US_PER_S, SystemClock
from tests.bench.report import Row, note, percentile
from tests.running import Running, wait_for

DEVICES, SECONDS, DAYS = 10, 300, 3
ROUNDS = 300
WARM = 20
ASKED_MS = 5.0
CONFIG = '[roll]\nevery = "{every}"\n'
QUESTIONS = {
    "one device, raw": "SELECT ts, temperature FROM room WHERE device = 'd3' AND ts >= make_timestamp({since}) ORDER BY ts",
    "mean by minute and device": "SELECT time_bucket(INTERVAL '1 minute', ts) AS t, device, avg(temperature) AS temperature FROM room"
    " WHERE ts >= make_timestamp({since}) GROUP BY ALL ORDER BY ALL",
}


def rows() -> Iterator[Row]:
    """Times of each question, with the newest five minutes hot, and just rolled."""
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        for state, every in (("hot", "1h"), ("just rolled", "2s")):
            running = Running(Path(name) / every, config=CONFIG.format(every=every), sources="source = []\n", fresh=True)
            try:
                running.start()
                since_us = _fill(running, is_rolled=state != "hot")
                for what, sql in QUESTIONS.items():
                    yield from _asked(running, f"last 5 minutes of one stream, {what}, {state}", sql.format(since=since_us))
            finally:
                running.stop()


def _fill(running: Running, *, is_rolled: bool) -> int:
    """Three days and, in commits of a second each, five minutes of ten devices; returns where the five minutes begin."""
    now_us = SystemClock().now_us()
    connection = http.client.HTTPConnection("127.0.0.1", running.port)
    for day in range(DAYS, 0, -1):
        _write(connection, (now_us - day * US_PER_DAY + n * 60 * US_PER_S for n in range(600)))
    since_us = now_us - SECONDS * US_PER_S
    for second in range(SECONDS):
        _write(connection, (since_us + second * US_PER_S,))
    connection.close()
    if is_rolled:
        wait_for(lambda: not running.query("SELECT hot_rows FROM _streams WHERE name = 'room'")[0]["hot_rows"], what="the roll")
    return since_us


def _write(connection: http.client.HTTPConnection, times_us: Iterator[int] | tuple[int, ...]) -> None:
    lines = (f"room,device=d{d} temperature={20 + d + at % 97 / 10},humidity={40 + d} {at + d}" for at in times_us for d in range(DEVICES))
    connection.request("POST", "/write?db=x&precision=us", body="\n".join(lines))
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 204, answer.status


def _asked(running: Running, what: str, sql: str) -> Iterator[Row]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port)
    path = "/api/v3/query_sql?" + urlencode({"q": sql, "format": "json", "cache": "false"})
    spent = []
    before_s = 0.0
    for number in range(WARM + ROUNDS):
        if number == WARM:
            before_s = _cpu_s(running)
        at = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        spent.append((time.perf_counter() - at) * 1e3)
        assert answer.status == 200, body
    cpu_ms = (_cpu_s(running) - before_s) / ROUNDS * 1e3
    connection.request("POST", "/api/query", body=json.dumps({"sql": sql, "explain": True}))
    explain: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    (stream,) = explain["streams"]
    p50 = percentile(spent[WARM:], 0.5)
    note(f"{what}: {explain['rows']} rows out of {stream['hot_rows']}; {cpu_ms:.1f} ms of CPU each, service and worker")
    yield Row(f"{what}, p50", f"{p50:.1f} ms (p99 {percentile(spent[WARM:], 0.99):.1f})", f"<= {ASKED_MS:g} ms", p50 <= ASKED_MS)
    yield Row("  segments opened for it", f"{stream['cold_files']} ({stream['rule']})", "0", stream["cold_files"] == 0)


def _cpu_s(running: Running) -> float:
    """Of the service and its processes so far."""
    assert running.process is not None
    service = psutil.Process(running.process.pid)
    return sum(sum(p.cpu_times()[:2]) for p in (service, *service.children()))
