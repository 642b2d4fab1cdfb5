"""Views: built, refreshed and asked, in a real service over a lake of ten million records of a hundred devices over a year."""

from __future__ import annotations

import hashlib
import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.clock import US_PER_DAY, day_name
from appliance.hot.state import ALL_TAGS
from appliance.hot.store import HotStore
from appliance.manifest import Segment
from appliance.records import Column, Kind, Schema
from tests.bench.report import Row, note
from tests.running import Running, pause

SCHEMA = Schema("cpu", (Column("host", Kind.TAG), Column("usage", Kind.FLOAT), Column("load", Kind.INT)), 1)
FIRST_DAY = 20_089
"""2025-01-01."""
DAYS, HOSTS, STEP_S = 365, 100, 315
HOURLY = (
    "SELECT time_bucket(INTERVAL '1 hour', ts) AS bucket, host, count(*) AS n, avg(usage) AS mean, max(usage) AS peak, sum(load) AS load"
    " FROM cpu GROUP BY ALL"
)
CONFIG = f'[workload.hourly]\nkind = "view"\nbucket = "1h"\nsql = "{HOURLY}"\nevery = "1d"\n[limits]\ndisk_free_min = 1\n'
RUNS = 7


def fill(folder: Path, *, hosts: int = HOSTS, step_s: int = STEP_S) -> int:
    """A lake of a year, registered as a clean stop leaves it; the number of records."""
    (folder / "lake/cpu").mkdir(parents=True)
    segments, seq = [], 1
    with duckdb.connect() as maker:
        for day in range(FIRST_DAY, FIRST_DAY + DAYS):
            steps = US_PER_DAY // (step_s * 1_000_000)
            sql = (
                f"SELECT make_timestamp({day * US_PER_DAY} + s * {step_s * 1_000_000}) AS ts, 'host_' || h AS host,"
                f" (hash(s * 1000 + h * 10 + {day}) % 10001) / 100.0 AS usage, (hash(s + h + {day}) % 100)::BIGINT AS load,"
                f" ({seq} + s * {hosts} + h)::BIGINT AS _seq FROM range({steps}) a(s), range({hosts}) b(h) ORDER BY host, ts"
            )
            table: pa.Table = maker.sql(sql).to_arrow_table().cast(SCHEMA.lake)
            path = f"lake/cpu/date={day_name(day)}/{seq:019d}.parquet"
            (folder / path).parent.mkdir(parents=True)
            pq.write_table(table, folder / path, compression="zstd", use_dictionary=["host"])
            content = (folder / path).read_bytes()
            times = table.column("ts").cast(pa.int64()).to_numpy()
            rows, sha = table.num_rows, hashlib.sha256(content).hexdigest()
            segments.append(
                Segment(0, "cpu", day, path, seq, seq + rows - 1, rows, int(times.min()), int(times.max()), len(content), sha, 1, 2)
            )
            seq += rows
    store = HotStore(folder, durability="crash")
    with store.transaction():
        store.add_stream(stream_id=1, name="cpu", folder="cpu", identity=ALL_TAGS, now_us=0)
        store.add_schema(1, SCHEMA)
        store.add_segments(1, segments, now_us=0)
        store.raise_mark(1, seq - 1)
        store.connection.execute("UPDATE stream SET last_seq = ? WHERE id = 1", (seq - 1,))
    store.close(clean=True)
    return seq - 1


def rows() -> Iterator[Row]:
    """Build, refresh with 1 % of the buckets dirty (scattered, and in one piece), and the query of the year."""
    with tempfile.TemporaryDirectory(prefix="views-bench") as place:
        folder = Path(place) / "data"
        folder.mkdir()
        note("views: making ten million records")
        count = fill(folder)
        service = Running(folder, config=CONFIG, sources="source = []\n", fresh=True)
        try:
            service.start()
            yield _row(f"view of {count / 1e6:.1f} M records: build", _refreshed(service), "s", 10)
            pause(5)  # the service's own first refresh finds nothing to do
            _refreshed(service)
            yield from _refreshes(service)
            yield from _queries(service)
        finally:
            service.stop()


def _row(what: str, taken: tuple[float, float], unit: str, limit: float | None) -> Row:
    """``taken``: by the clock, and of the processors, which says more on a machine that others use too."""
    figure, cpu = taken
    shown = f"{figure:.3g} {unit}, {cpu:.3g} {unit} of CPU"
    return Row(what, shown, "" if limit is None else f"<= {limit:g} {unit}", None if limit is None else figure <= limit)


def _refreshes(service: Running) -> Iterator[Row]:
    hours = DAYS * 24
    for name, buckets in (("scattered", range(0, hours, 100)), ("in one piece", range(4000, 4000 + hours // 100))):
        lines = [f"cpu,host=host_7 usage=1,load=1i {FIRST_DAY * US_PER_DAY + h * 3_600_000_000 + 1_234_567}" for h in buckets]
        assert service.write("\n".join(lines)) == 204
        late = _median(service, "SELECT sum(n) FROM hourly")
        yield _row(f"query of a view with 1 % of its buckets dirty, {name}", late, "ms", None)
        yield _row(f"refresh with 1 % of the buckets dirty, {name}", _refreshed(service), "s", 0.5)


def _queries(service: Running) -> Iterator[Row]:
    for name, sql in (
        ("one device, every hour of the year", "SELECT bucket, mean FROM hourly WHERE host = 'host_42' AND bucket >= '2025-01-01'"),
        ("mean of each device over the year", "SELECT host, sum(mean * n) / sum(n) FROM hourly WHERE bucket >= '2025-01-01' GROUP BY host"),
        ("days of the year", "SELECT date_trunc('day', bucket) AS day, max(peak) FROM hourly GROUP BY 1"),
        ("one month", "SELECT host, max(peak) FROM hourly WHERE bucket >= '2025-06-01' AND bucket < '2025-07-01' GROUP BY 1"),
    ):
        yield _row(f"query of a year of the view: {name}", _median(service, sql), "ms", 30)


def _cpu_s(service: Running) -> float:
    assert service.process is not None
    process = psutil.Process(service.process.pid)
    return sum(sum(p.cpu_times()[:2]) for p in (process, *process.children(recursive=True)))


def _refreshed(service: Running) -> tuple[float, float]:
    start, cpu_s = time.perf_counter(), _cpu_s(service)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=600)
    try:
        connection.request("POST", "/api/views/hourly/refresh")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
    finally:
        connection.close()
    note(json.loads(body)["done"])
    return time.perf_counter() - start, _cpu_s(service) - cpu_s


def _median(service: Running, sql: str) -> tuple[float, float]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    taken = []
    cpu_s = _cpu_s(service)
    try:
        for _ in range(RUNS):
            start = time.perf_counter()
            connection.request("GET", "/api/v3/query_sql?" + urlencode({"q": sql, "format": "csv", "cache": "false"}))
            answer = connection.getresponse()
            body = answer.read()
            taken.append((time.perf_counter() - start) * 1e3)
            assert answer.status == 200, body
    finally:
        connection.close()
    return statistics.median(taken), (_cpu_s(service) - cpu_s) / RUNS * 1e3
