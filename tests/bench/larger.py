"""Queries over a lake larger than the memory that they may have, as batch work runs them: do they complete, within the limit?"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from appliance.batching.runner import LimitedRunner, Processes
from appliance.batching.work import Limits
from appliance.clock import US_PER_DAY, US_PER_S, SystemClock
from appliance.errors import ApplianceError
from appliance.hot.reader import HotReader
from appliance.serving.source import Store, pinned_reader
from appliance.serving.state_tables import TABLES
from appliance.units import GIB, MIB
from tests.bench.query_lake import cpu_rows, register, write_segment
from tests.bench.report import Row, note

HOSTS, DAYS, STEPS_A_DAY = 100, 20, 10_000
"""20 million records of 10 tags and 10 fields."""
FIRST_US = 20_454 * US_PER_DAY
MEMORY = 256 * MIB
QUERIES = {
    "group by hour and host, 10 fields": "SELECT date_trunc('hour', ts) AS h, hostname, "
    + ", ".join(f"avg(usage_{f})" for f in ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"))
    + " FROM cpu GROUP BY ALL",
    "group by 20 M keys, counted": "SELECT count(*) FROM (SELECT hostname, ts, max(usage_user) AS u FROM cpu GROUP BY ALL)",
    "every record, to a file": "SELECT * FROM cpu",
    "all sorted by a field, to a file": "SELECT ts, hostname, usage_user FROM cpu ORDER BY usage_user, hostname, ts",
}


@dataclass
class Peak:
    """The largest memory that query processes have held, sampled."""

    bytes: int = 0

    async def watch(self) -> None:
        while True:
            for child in psutil.Process().children():
                try:
                    self.bytes = max(self.bytes, child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            await asyncio.sleep(0.05)


def rows() -> Iterator[Row]:
    """One for each query."""
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        segments = []
        for day in range(DAYS):
            table = cpu_rows(
                hosts=HOSTS,
                first_us=FIRST_US + day * US_PER_DAY,
                steps=STEPS_A_DAY,
                step_us=8 * US_PER_S,
                first_seq=1 + day * HOSTS * STEPS_A_DAY,
            )
            segments.append(write_segment(folder, table, number=day))
        register(folder, segments)
        size = sum(s.bytes for s in segments) >> 20
        note(f"{HOSTS * DAYS * STEPS_A_DAY:,} records, {size} MiB in the lake, memory limit {MEMORY >> 20} MiB")
        yield from asyncio.run(_measure(folder))


async def _measure(folder: Path) -> list[Row]:
    reader = HotReader(folder)
    state = reader.load_state()
    reader.close()
    store = Store(
        state=lambda: state,
        reader=lambda: pinned_reader(folder),
        latest=lambda _stream: None,  # no query asks for it
        tables=TABLES,
        hot_bytes_max=MEMORY,
        damaged=lambda _segment, _reason: None,
    )
    processes = Processes(data_dir=folder, clock=SystemClock(), store=store, jobs_max=1)
    limits = Limits(memory_max=MEMORY, threads=1, time_max_s=600, disk_bytes_max=8 * GIB)
    found: list[Row] = []
    for what, sql in QUERIES.items():
        runner, peak = LimitedRunner(processes, limits, run_id=len(found), tell=lambda _share, _what: None), Peak()
        watch = asyncio.create_task(peak.watch())
        start = time.perf_counter()
        try:
            written = await runner.file(sql, format="parquet")
            told, holds = f"{written.rows:,} rows, {written.bytes >> 20} MiB", True
        except ApplianceError as e:
            told, holds = str(e)[:120], False
        took = time.perf_counter() - start
        watch.cancel()
        runner.close()
        figure = f"{took:.1f} s, {runner.usage.cpu_s:.1f} s of CPU, {peak.bytes >> 20} MiB held: {told}"
        note(f"{what}: {figure}")
        found.append(Row(f"larger than memory: {what}", figure, "completes within the limit", holds))
    await processes.close()
    return found
