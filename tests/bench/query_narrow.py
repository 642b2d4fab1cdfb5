"""The last hour of one series out of five years in 1,800 segments: over HTTP, from a service on a folder with a real manifest."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import duckdb

from appliance.clock import US_PER_DAY, US_PER_S, SystemClock
from tests.bench.query_lake import cpu_rows, register, write_segment
from tests.bench.report import Row, note, percentile
from tests.running import Running

SEGMENTS, HOSTS, STEP_US = 1_800, 10, 600 * US_PER_S
ROUNDS = 100
ASKED_MS = 25.0


def rows() -> Iterator[Row]:
    """Time of the question, and of plain DuckDB over the same files."""
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        end_us = SystemClock().now_us() // US_PER_DAY * US_PER_DAY
        _fill(folder, end_us)
        sql = (
            "SELECT ts, usage_user, usage_system FROM cpu WHERE hostname = 'host_3'"
            f" AND ts >= make_timestamp({end_us - 3600 * US_PER_S}) AND ts < make_timestamp({end_us}) ORDER BY ts"
        )
        running = Running(folder, sources='\n[[source]]\nkind = "drop"\n', fresh=True)
        try:
            running.start()
            p50, p99, first, explain = _ask(running, sql)
        finally:
            running.stop()
        stream = explain["streams"][0]
        note(f"{stream['cold_files']} of {SEGMENTS} files to read; the first question took {first:.0f} ms, with the start of its process")
        plain = _plain(folder, sql)
    yield Row(
        f"last hour of one series out of 5 years in {SEGMENTS:,} segments, p50",
        f"{p50:.1f} ms (p99 {p99:.1f})",
        f"<= {ASKED_MS:g} ms (plain DuckDB over all files: {plain:.0f} ms)",
        p50 <= ASKED_MS,
    )
    yield Row("  files opened for it", f"{stream['cold_files']}", "only those that can matter: 1", stream["cold_files"] == 1)


def _fill(folder: Path, end_us: int) -> None:
    steps = US_PER_DAY // STEP_US
    segments = []
    for number in range(SEGMENTS):
        first_us = end_us - (SEGMENTS - number) * US_PER_DAY
        table = cpu_rows(hosts=HOSTS, first_us=first_us, steps=steps, step_us=STEP_US, first_seq=1 + number * steps * HOSTS)
        segments.append(write_segment(folder, table, number=number + 1))
    register(folder, segments)


def _ask(running: Running, sql: str) -> tuple[float, float, float, dict[str, list[dict[str, int]]]]:
    """p50 and p99 of a warm service, the time of the first question, and how it was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port)
    spent = []
    for _ in range(ROUNDS + 1):
        at = time.perf_counter()
        connection.request("GET", "/api/v3/query_sql?" + urlencode({"q": sql, "format": "json", "cache": "false"}))
        answer = connection.getresponse()
        found = json.loads(answer.read())
        spent.append((time.perf_counter() - at) * 1e3)
        assert answer.status == 200, found
        assert len(found) == 3600 * US_PER_S // STEP_US, found
    connection.request("POST", "/api/query", body=json.dumps({"sql": sql, "explain": True}))
    explain: dict[str, list[dict[str, int]]] = json.loads(connection.getresponse().read())
    connection.close()
    return percentile(spent[1:], 0.5), percentile(spent[1:], 0.99), spent[0], explain


def _plain(folder: Path, sql: str) -> float:
    """Milliseconds of DuckDB over a glob of the lake, warm."""
    with duckdb.connect(config={"threads": 1}) as plain:
        plain.execute(f"CREATE VIEW cpu AS SELECT * FROM read_parquet('{folder}/lake/cpu/**/*.parquet', hive_partitioning = false)")
        spent = []
        for _ in range(3):
            at = time.perf_counter()
            plain.sql(sql).to_arrow_table()
            spent.append((time.perf_counter() - at) * 1e3)
    return min(spent)
