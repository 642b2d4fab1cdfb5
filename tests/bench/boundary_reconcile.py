"""How fast both sides are compared: a lake of the shape of TSBS's cpu-only, its newest hour; how soon an injected change is seen.

    python -m tests.bench boundary-reconcile

The full pass decodes every record of every file and sums up its tally, in the process that the service starts for it; days are files as
compaction leaves them, and lie in the page cache. Detection is measured on a service of its own with the default intervals, from the
change to the picture that names it.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute

from appliance.batching.program import own_program
from appliance.clock import US_PER_DAY, US_PER_S, SystemClock
from appliance.cold.files import Publisher
from appliance.cold.segments import GROUP_ROWS, SegmentMeta, write_segment
from appliance.hot import tallies
from appliance.hot.store import HotStore
from appliance.manifest import Segment
from appliance.reconcile.derived.latest import DIFFERS
from appliance.reconcile.folder import pass_folder
from appliance.reconcile.order import Order, Report
from appliance.tally import joined
from tests.bench.query_lake import CPU, cpu_rows, register
from tests.bench.report import Row
from tests.reconcile.world import flip_a_value
from tests.running import Running, pause, wait_for

DAYS = 12
HOSTS = 100
STEP_S = 10
FIRST_US = 20_000 * US_PER_DAY
RATE_MIN = 2_000_000
NEWEST_S_MAX = 1.0
HOT_S_MAX = 10.0
FILE_S_MAX = 300.0
CONFIG = '[roll]\nevery = "1h"\nrows_max = 5000\n[compact]\nenabled = false\n'


def rows() -> Iterator[Row]:
    """Full pass, newest hour, detection."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "data"
        records = make_lake(folder)
        order = Order(data_dir=str(folder), scope="full", now_us=SystemClock().now_us())
        start = time.perf_counter()
        done = subprocess.run(
            own_program("appliance.reconcile.process"), input=msgspec.json.encode(order), stdout=subprocess.PIPE, check=True
        )
        took_s = time.perf_counter() - start
        report = msgspec.json.decode(done.stdout, type=Report)
        assert report.records == records
        assert {f.kind for f in report.findings} <= {DIFFERS}, "this lake was written by itself: no last values were stored beside it"
        speed = records / took_s
        yield Row(f"full reconciliation, {records:,} records", f"{speed:,.0f} records/s", f"at least {RATE_MIN:,}", speed >= RATE_MIN)
    yield from _newest_hour()
    yield from _detection()


def make_lake(folder: Path) -> int:
    """Their records, each counted as often as it is there."""
    first = cpu_rows(hosts=HOSTS, first_us=FIRST_US, steps=86_400 // STEP_S, step_us=STEP_S * US_PER_S)
    times, seqs = first.column("ts").cast(pa.int64()), first.column("_seq")
    segments = []
    folder.mkdir()
    for day in range(DAYS):
        shifted = pa.compute.add(times, day * US_PER_DAY).cast(pa.timestamp("us"))
        table = first.set_column(0, "ts", shifted).set_column(first.num_columns - 1, "_seq", pa.compute.add(seqs, day * first.num_rows))
        segments.append(_segment(folder, table, day=FIRST_US // US_PER_DAY + day))
    _register(folder, segments)
    return len(segments) * int(first.num_rows)


def _segment(folder: Path, table: pa.Table, *, day: int) -> Segment:
    for tag in CPU.tags:
        at = table.schema.get_field_index(tag)
        table = table.set_column(at, tag, table.column(at).dictionary_encode())
    tables = (table.slice(at, GROUP_ROWS) for at in range(0, table.num_rows, GROUP_ROWS))
    meta = SegmentMeta(CPU, "bench", day, level=2, sorted_by=())
    return write_segment(tables, publisher=Publisher(folder, owner="bench"), folder="cpu", meta=meta)


def _register(folder: Path, segments: list[Segment]) -> None:
    register(folder, segments)
    store = HotStore(folder, durability="crash")
    with store.transaction():
        tallies.declare(store.connection, 1, joined(s.tallies or {} for s in segments))
    store.close(clean=True)


def _newest_hour() -> Iterator[Row]:
    """A host a ten seconds, a thousand of them: twelve files of five minutes each."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        segments, records = [], 0
        for part in range(12):
            table = cpu_rows(hosts=1_000, first_us=FIRST_US + part * 300 * US_PER_S, steps=30, step_us=STEP_S * US_PER_S)
            last = table.num_columns - 1
            table = table.set_column(last, "_seq", pa.compute.add(table.column("_seq"), records))
            segments.append(_segment(folder, table, day=FIRST_US // US_PER_DAY))
            records += table.num_rows
        _register(folder, segments)
        start = time.perf_counter()
        done = pass_folder(folder, "newest", now_us=FIRST_US + 3_600 * US_PER_S)
        took_s = time.perf_counter() - start
        assert done.seen.records == records
        assert not done.result.findings, done.result.findings
        yield Row(f"the newest hour, {records:,} records", f"{took_s:.2f} s", f"at most {NEWEST_S_MAX:.0f} s", took_s <= NEWEST_S_MAX)


def _detection() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as home:
        service = Running(Path(home) / "data", config=CONFIG).start()
        try:
            now_us = SystemClock().now_us()
            for part in range(2):
                lines = "\n".join(f"cpu,host=h{i % 50} value={i}.5 {now_us + (part * 5_000 + i) * 1_000}" for i in range(5_000))
                assert service.write(lines) == 204
                if part == 0:
                    wait_for(lambda: service.status()["lake"]["rows"] == 5_000, what="the roll")
            assert service.write(f"cpu,host=h value=1.5 {now_us}") == 204
            pause(5.0)
            yield _seen(service, "a hot batch deleted", lambda: _delete_batch(service.folder), "rows missing", HOT_S_MAX)
            [path, *_] = sorted((service.folder / "lake").rglob("*.parquet"))
            yield _seen(service, "a bit of a new segment flipped", lambda: flip_a_value(path), "segment damaged", FILE_S_MAX)
        finally:
            service.stop()


def _delete_batch(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "hot.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA busy_timeout=5000")
        db.execute("DELETE FROM batch WHERE id = (SELECT min(id) FROM batch)")


def _seen(service: Running, what: str, change: Callable[[], None], kind: str, limit_s: float) -> Row:
    change()
    start = time.perf_counter()

    def named() -> bool:
        return any(f["kind"] == kind for f in json.loads(service.request("GET", "/api/consistency")[1])["open"])

    wait_for(named, what=kind, deadline_s=limit_s * 2)
    took_s = time.perf_counter() - start
    return Row(f"detection: {what}", f"{took_s:.1f} s", f"at most {limit_s:.0f} s", took_s <= limit_s)
