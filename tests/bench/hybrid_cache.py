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
    (
        "hourly ninetieth percentiles of the year of one device",
        "SELECT time_bucket(INTERVAL '1 hour', ts) AS h, quantile_cont(usage, 0.9) AS p FROM cpu WHERE host = 'host_3'"
        " GROUP BY h ORDER BY h",
        False,
    ),
    ("ninetieth percentile by device", "SELECT host, quantile_cont(usage, 0.9) AS p90 FROM cpu GROUP BY host ORDER BY host", False),
)
"""Name, SQL, and whether it is held against the limit after new records: one of whose answer much less is sent than was read."""


def rows() -> Iterator[Row]:
    """Each question kept, and completed after a record has come, beside what the records take."""
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
        self._ask(sql)
        hits = [self._ask(sql) for _ in range(HITS)]
        is_kept = all(cached == "hit" for _, cached, _ in hits)
        times = [ms for _, _, ms in hits]
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        yield Row(f"{what}, kept: p50", f"{p50:.2f} ms (p99 {p99:.2f}, kept: {is_kept})", f"<= {HIT_MS:g} ms", p50 <= HIT_MS and is_kept)
        how = self._learnt(sql)
        found = [self._after_a_record(sql) for _ in range(RUNS)]
        answer, _, _ = self._ask(sql)
        truth, _, _ = self._ask(sql, cache=False)
        same = _same(answer, truth)
        # apart: a question that takes much memory wears its process out, and the next one waits for another
        plain = [self._ask(sql, cache=False)[2] for _ in range(RUNS)]
        ratio = percentile(plain, 0.5) / percentile(found, 0.5)
        figure = f"{ratio:.0f} x ({percentile(found, 0.5):.1f} ms, {percentile(plain, 0.5):.0f} ms uncached; {how})"
        limit = f">= {TIMES:g} x, same numbers" if is_held else "same numbers"
        yield Row(f"{what}, after a record", figure, limit, same and (ratio >= TIMES or not is_held))

    def _after_a_record(self, sql: str) -> float:
        """The milliseconds of an answer that was not kept."""
        self._write()
        return self._ask(sql)[2]

    def _learnt(self, sql: str) -> str:
        """How it is answered after a record, once that is known, which is waited for where there is a way."""
        if sql.startswith("SELECT host, quantile"):  # which no sums make and no bucket bounds
            return "all records"
        wait_for(lambda: self._way(sql) != "all records", what="the part", deadline_s=120)
        return self._way(sql)

    def _way(self, sql: str) -> str:
        self._write()
        if self._ask(sql)[1] == "completed":
            return "the answer completed"
        explain, _, _ = self._ask(sql, explain=True)
        return "a kept part" if explain["stood_in"] else "all records"

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
