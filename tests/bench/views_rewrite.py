"""Aggregates over ten million records that a view can answer, with and without it, in a real service."""

from __future__ import annotations

import http.client
import json
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.report import Row, note
from tests.bench.views import fill
from tests.running import Running, wait_for

HOURLY = (
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS bucket, host, count(*) AS n, sum(usage) AS total, count(usage) AS present,"
    " max(usage) AS peak, sum(load) AS load FROM cpu GROUP BY ALL"
)
CONFIG = f'[workload.hourly]\nkind = "view"\nbucket = "1h"\nsql = "{HOURLY}"\nevery = "1d"\n[limits]\ndisk_free_min = 1\n'
RUNS = 9
SHAPES = ((10, 31, 20.0), (100, 315, None))
"""Devices, seconds between their records, and how many times faster it has to be."""
NARROW = "SELECT avg(usage) FROM cpu WHERE host = 'host_3' AND ts >= '2025-03-01' AND ts < '2025-03-01 01:00'"
QUESTIONS = (
    ("hourly mean of the year", "SELECT time_bucket(INTERVAL '1 hour', ts) AS h, avg(usage) AS mean FROM cpu GROUP BY h ORDER BY h", True),
    ("mean and peak of each device", "SELECT host, avg(usage), max(usage), count(*) FROM cpu GROUP BY host ORDER BY host", True),
    ("days of the year", "SELECT ts::DATE AS d, sum(load), max(usage) FROM cpu GROUP BY d ORDER BY d", True),
    (
        "days of ten months, bounds within buckets",
        "SELECT date_trunc('day', ts) AS d, host, sum(load), avg(usage) FROM cpu"
        " WHERE ts >= '2025-02-03 04:05:06' AND ts < '2025-12-03 22:23:24' GROUP BY ALL ORDER BY ALL",
        False,
    ),
    (
        "one device, days of the year",
        "SELECT ts::DATE AS d, max(usage), avg(usage) FROM cpu WHERE host = 'host_2' GROUP BY d ORDER BY d",
        False,
    ),
)
"""Name, SQL, and whether it is about all records."""


def rows() -> Iterator[Row]:
    """How many times faster each question is, and what looking for a view costs a narrow one."""
    for hosts, step_s, ratio_min in SHAPES:
        with tempfile.TemporaryDirectory(prefix="rewrite-bench") as place:
            folder = Path(place) / "data"
            folder.mkdir()
            note("views-rewrite: making ten million records")
            count = fill(folder, hosts=hosts, step_s=step_s)
            service = Running(folder, config=CONFIG, sources="source = []\n", fresh=True)
            try:
                service.start()
                yield from _asked(service, f"{count / 1e6:.1f} M records, {3600 // step_s} a row of the view", ratio_min)
            finally:
                service.stop()


def _asked(service: Running, what: str, ratio_min: float | None) -> Iterator[Row]:
    wait_for(lambda: service.request("GET", "/api/views")[1] != b"[]", what="the view")
    status, body = service.request("POST", "/api/views/hourly/refresh")
    assert status == 200, body
    for name, sql, is_of_all in QUESTIONS:
        with_view, without, same = _both(service, sql)
        ratio = without / with_view
        figure = f"{ratio:.0f} x ({with_view:.1f} ms, {without:.0f} ms from the records){'' if same else ', OTHER NUMBERS'}"
        least = ratio_min if is_of_all else None
        limit = "same numbers" if least is None else f">= {least:g} x, same numbers"
        yield Row(f"{what}: {name}", figure, limit, same and ratio >= (least or 0))
    with_views, without, _ = _both(service, NARROW)
    yield Row(f"{what}: narrow question", f"{with_views:.2f} ms", f"{without:.2f} ms without", None)


def _both(service: Running, sql: str) -> tuple[float, float, bool]:
    """Milliseconds with and without, by turns, the best of some runs each; and whether the answers are the same."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    found: dict[bool, list[dict[str, Any]]] = {}
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        for _ in range(RUNS):
            for views in (True, False):
                start = time.perf_counter()
                connection.request("POST", "/api/query", json.dumps({"sql": sql, "views": views, "cache": False}))
                answer = connection.getresponse()
                body = answer.read()
                taken[views].append((time.perf_counter() - start) * 1e3)
                assert answer.status == 200, body
                found[views] = json.loads(body)
    finally:
        connection.close()
    return min(taken[True]), min(taken[False]), _same(found[True], found[False])


def _same(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
    """Numbers but for the last bits, which the order of addition decides."""
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(math.isclose(v, y[k], rel_tol=1e-12) if isinstance(v, float) else v == y[k] for k, v in x.items())
        for x, y in zip(a, b, strict=True)
    )
