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

from appliance.clock import US_PER_S, SystemClock
from tests.bench.hybrid_told import REFINED_P50_S, REFINED_P99_S, Plant, config_of, following, measured, told_row
from tests.bench.report import Row, note
from tests.running import Running, wait_for

MACHINES = 10
DAYS = 30


def rows() -> Iterator[Row]:
    """BENCH_INCIDENTS (6) of half a minute each."""
    count = int(os.environ.get("BENCH_INCIDENTS", "6"))
    identities = "".join(f'[stream.plant{n}]\ntags = ["machine"]\nidentity = ["machine", "ts"]\n' for n in range(count))
    with tempfile.TemporaryDirectory(prefix="bench") as place:
        running = Running(Path(place) / "data", config=config_of(count) + identities, sources="source = []\n", fresh=True)
        for number in range(count):
            file = _history(Path(place), [m for m in range(MACHINES) if m % count == number])
            done = running.command("ingest", str(file), "--stream", f"plant{number}", "--format", "parquet")
            assert done.returncode == 0, done.stderr
        try:
            running.start()
            wait_for(lambda: _hot(running) < MACHINES * 86_400, what="the history in the lake", deadline_s=600)
            note(f"{DAYS} days of {MACHINES} machines: {DAYS * MACHINES * 86_400:,} records in {count} streams")
            with following(running) as told, Plant(running, streams=count, machines=MACHINES) as plant:
                _, refined = measured(plant, told, count)
        finally:
            running.stop()
    yield told_row(f"incident pushed → refined answer pushed, {DAYS} days at {MACHINES} records/s, p50", refined, 0.5, REFINED_P50_S, count)
    yield told_row("  p99", refined, 0.99, REFINED_P99_S, count)


def _hot(running: Running) -> int:
    return sum(int(s["hot_rows"]) for s in running.status()["streams"] if s["name"].startswith("plant"))


def _history(place: Path, machines: list[int]) -> Path:
    """A file with the month of these machines, each at its usual level with noise, up to ten minutes before now."""
    random = np.random.default_rng(5)
    seconds = DAYS * 86_400
    start_us = SystemClock().now_us() // US_PER_S * US_PER_S - (600 + seconds) * US_PER_S
    ts = start_us + np.repeat(np.arange(seconds, dtype=np.int64), len(machines)) * US_PER_S
    which = np.tile(np.arange(len(machines)), seconds)
    power = 20.0 + np.array(machines)[which] + random.normal(0, 0.5, len(ts))
    names = pa.array([f"m{n}" for n in machines]).take(pa.array(which))
    file = place / f"plant-{machines[0]}.parquet"
    table = pa.table({"ts": pa.array(ts, pa.timestamp("us")), "machine": names, "power": power.round(3)})
    pq.write_table(table, file, row_group_size=100_000)
    return file
