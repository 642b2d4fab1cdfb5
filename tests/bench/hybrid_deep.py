"""From an incident to its refined answer where there is a month of history: ten machines, a record a second each, thirty days.

The history is made as files and ingested before the service starts, which then rolls and compacts it. Then one machine after the other goes
ten times as high, as in ``hybrid_told``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.clock import US_PER_DAY, US_PER_S, SystemClock
from tests.bench.hybrid_told import REFINED_P50_S, REFINED_P99_S, Plant, following, measured, told_row
from tests.bench.report import Row, note
from tests.running import Running, wait_for

MACHINES = 10
DAYS = 30
CONFIG = """[workload.plant]
kind = "analysis"
streams = ["plant"]
[stream.plant]
tags = ["machine"]
identity = ["machine", "ts"]
"""


def rows() -> Iterator[Row]:
    """BENCH_INCIDENTS (6) of half a minute each."""
    count = int(os.environ.get("BENCH_INCIDENTS", "6"))
    with tempfile.TemporaryDirectory(prefix="bench") as place:
        running = Running(Path(place) / "data", config=CONFIG, sources="source = []\n", fresh=True)
        files = list(_history(Path(place)))
        done = running.command("ingest", *(str(file) for file in files), "--stream", "plant", "--format", "parquet")
        assert done.returncode == 0, done.stderr
        try:
            running.start()
            wait_for(lambda: _hot(running) < MACHINES * 86_400, what="the history in the lake", deadline_s=600)
            note(f"{DAYS} days of {MACHINES} machines: {running.query('SELECT count(*) AS n FROM plant')[0]['n']:,} records")
            with following(running) as told, Plant(running, machines=MACHINES) as plant:
                _, refined = measured(plant, told, count, machines=MACHINES)
        finally:
            running.stop()
    yield told_row(f"incident pushed → refined answer pushed, {DAYS} days at {MACHINES} records/s, p50", refined, 0.5, REFINED_P50_S, count)
    yield told_row("  p99", refined, 0.99, REFINED_P99_S, count)


def _hot(running: Running) -> int:
    return sum(int(s["hot_rows"]) for s in running.status()["streams"] if s["name"] == "plant")


def _history(place: Path) -> Iterator[Path]:
    """A file a day, each machine at its usual level with noise, up to ten minutes before now."""
    random = np.random.default_rng(5)
    end_us = SystemClock().now_us() // US_PER_S * US_PER_S - 600 * US_PER_S
    seconds = np.repeat(np.arange(86_400, dtype=np.int64), MACHINES)
    machines = pa.array([f"m{n}" for n in range(MACHINES)]).take(pa.array(np.tile(np.arange(MACHINES), 86_400)))
    for day in range(DAYS):
        ts = end_us - (DAYS - day) * US_PER_DAY + seconds * US_PER_S
        power = 20.0 + np.tile(np.arange(MACHINES), 86_400) + random.normal(0, 0.5, len(ts))
        table = pa.table({"ts": pa.array(ts, pa.timestamp("us")), "machine": machines, "power": power.round(3)})
        file = place / f"day-{day:02}.parquet"
        pq.write_table(table, file)
        yield file
