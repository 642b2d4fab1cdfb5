"""Dashboard queries over ten million records of a year, over HTTP, whole requests: kept, and after new records have come."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.report import Row, note, percentile
from tests.bench.views import fill
from tests.bench.views_rewrite import _same
from tests.running import Running, wait_for

CONFIG = "[limits]\ndisk_free_min = 1\n"
HITS, RUNS = 200, 15
HIT_MS, TIMES = 2.0, 20.0
HOSTS, STEP_S = 10, 31
QUESTIONS = (
    ("hourly mean of the year", "SELECT time_bucket(INTERVAL '1 hour', ts) AS h, avg(usage) AS mean FROM cpu GROUP BY h ORDER BY h", True),
    (
        "hourly means of the year of one device",
        "SELECT time_bucket(INTERVAL '1 hour', ts) AS h, avg(usage) AS mean FROM cpu WHERE host = 'host_3' GROUP BY h ORDER BY h",
        False,
    ),
    (
        "daily means of the year by device",
        "SELECT time_bucket(INTERVAL '1 day', ts) AS d, host, avg(usage) AS mean, max(usage) AS peak FROM cpu GROUP BY ALL ORDER BY ALL",
        True,
    ),
    (
        "hourly means of the year by device (87,600 rows)",
        "SELECT time_bucket(INTERVAL '1 hour', ts) AS h, host, avg(usage) AS mean FROM cpu GROUP BY ALL ORDER BY ALL",
        False,
    ),
    ("mean and peak by device", "SELECT host, avg(usage), max(usage), count(*) FROM cpu GROUP BY host ORDER BY host", False),
    ("ninetieth percentile by device", "SELECT host, quantile_cont(usage, 0.9) AS p90 FROM cpu GROUP BY host ORDER BY host", False),
)
"""Name, SQL, and whether it is held against the limit after new records: one of whose answer much less is sent than was read."""


def rows() -> Iterator[Row]:
    """Each question kept, and completed after a record has come, beside what the records take by turns with it."""
    with tempfile.TemporaryDirectory(prefix="cache-bench") as place:
        folder = Path(place) / "data"
        folder.mkdir()
        note("cache: making ten million records")
        count = fill(folder, hosts=HOSTS, step_s=STEP_S)
        service = Running(folder, config=CONFIG, sources="source = []\n", fresh=True)
        try:
            service.start()
            dashboard = Dashboard(service)
            for name, sql, is_held in QUESTIONS:
                yield from dashboard.measured(f"{count / 1e6:.1f} M records: {name}", sql, is_held=is_held)
            seen = json.loads(service.request("GET", "/api/cache")[1])
            yield Row("memory of the cache", f"{seen['bytes'] / 2**20:.1f} MiB", f"<= {seen['bytes_max'] / 2**20:.0f} MiB", None)
        finally:
            service.stop()


class Dashboard:
    """Asks, and writes one record at a time."""

    def __init__(self, service: Running) -> None:
        self._service = service
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
        newest, _, _ = self._ask("SELECT epoch_us(max(ts)) AS t FROM cpu")
        self._newest_us = int(newest[0]["t"])

    def measured(self, what: str, sql: str, *, is_held: bool) -> Iterator[Row]:
        """The rows of one question."""
        self._write()
        parts = self._parts()
        self._ask(sql)
        hits = [self._ask(sql) for _ in range(HITS)]
        is_kept = all(cached == "hit" for _, cached, _ in hits)
        times = [ms for _, _, ms in hits]
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        yield Row(f"{what}, kept: p50", f"{p50:.2f} ms (p99 {p99:.2f}, kept: {is_kept})", f"<= {HIT_MS:g} ms", p50 <= HIT_MS and is_kept)
        has_part = self._has_part(sql, parts)
        found, plain, same = [], [], True
        for _ in range(RUNS):
            self._write()
            answer, _, ms = self._ask(sql)
            truth, _, plain_ms = self._ask(sql, cache=False)
            found.append(ms)
            plain.append(plain_ms)
            same &= _same(answer, truth)
        ratio = percentile(plain, 0.5) / percentile(found, 0.5)
        how = "a kept part" if has_part else "no part: all records"
        figure = f"{ratio:.0f} x ({percentile(found, 0.5):.1f} ms, {percentile(plain, 0.5):.0f} ms uncached; {how})"
        limit = f">= {TIMES:g} x, same numbers" if is_held else "same numbers"
        yield Row(f"{what}, after a record", figure, limit, same and (ratio >= TIMES or not is_held))

    def _has_part(self, sql: str, before: int) -> bool:
        """Whether it gets a part, which is waited for where it can."""
        if "quantile" in sql:
            return False
        self._write()
        wait_for(lambda: self._parts() > before or self._is_completed(sql), what="the part", deadline_s=120)
        return True

    def _is_completed(self, sql: str) -> bool:
        explain, _, _ = self._ask(sql, explain=True)
        return bool(explain["stood_in"])

    def _parts(self) -> int:
        found = json.loads(self._service.request("GET", "/api/cache")[1])
        return sum(row["kind"] == "part" for row in found["rows"])

    def _ask(self, sql: str, **more: Any) -> tuple[Any, str | None, float]:
        """The answer, what the cache says, and the milliseconds of the whole request."""
        begin = time.perf_counter()
        self._connection.request("POST", "/api/query", json.dumps({"sql": sql, **more}))
        answer = self._connection.getresponse()
        body = answer.read()
        taken_ms = (time.perf_counter() - begin) * 1e3
        assert answer.status == 200, body
        return json.loads(body), answer.headers.get("X-Query-Cache"), taken_ms

    def _write(self) -> None:
        self._newest_us += 1_000_000
        self._connection.request("POST", "/write?db=x&precision=us", f"cpu,host=host_1 usage=5,load=2i {self._newest_us}")
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 204, answer.status
