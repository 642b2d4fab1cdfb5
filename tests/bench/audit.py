"""How fast evidence is made and checked: a bundle of a lake of the shape of TSBS's cpu-only, and its verification; bytes of lake a second.

    python -m tests.bench audit

Days are files as compaction leaves them. Everything is counted: reading the manifest, hashing, looking for silences, writing. The peer is
``sha256sum`` over the same files in the same run. Files are in the page cache, as those that were just written are.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.reconcile.audit.checking import Vouched, check_data, check_itself, read_bundle
from appliance.reconcile.audit.writing import Asked, write_bundle
from appliance.serving.folder import open_folder
from tests.bench.query_lake import cpu_rows, register, write_segment
from tests.bench.report import Row

DAYS = 24
HOSTS = 100
STEP_S = 10
FIRST_US = 20_000 * US_PER_DAY
LIMIT = 200.0


def rows() -> Iterator[Row]:
    """Bundle and verification."""
    with tempfile.TemporaryDirectory() as home:
        folder, target = Path(home) / "data", Path(home) / "bundle"
        size = make_lake(folder)
        peer = _rate(size, lambda: subprocess.run(["sha256sum", *folder.rglob("*.parquet")], check=True, capture_output=True))
        asked = Asked(since_us=None, until_us=FIRST_US + DAYS * US_PER_DAY, silence_s=3_600, author="bench", node="bench", now_us=FIRST_US)
        wrong: list[str] = []

        def bundle() -> None:
            with open_folder(folder) as (reader, state):
                wrong.extend(write_bundle(folder, target, reader, state, asked).wrong)

        def verify() -> None:
            found = read_bundle(target)
            wrong.extend(check_itself(target, found, Vouched()))
            with open_folder(folder) as (reader, state):
                wrong.extend(check_data(folder, found, reader, state))

        for what, run in (("evidence bundle", bundle), ("its verification", verify)):
            speed = _rate(size, run)
            asked_for = f"at least {LIMIT:.0f} MB/s; sha256sum {peer:.0f} MB/s"
            yield Row(f"{what}, {size / 1e6:.0f} MB of lake", f"{speed:.0f} MB/s", asked_for, speed >= LIMIT and not wrong)


def make_lake(folder: Path) -> int:
    """``DAYS`` files; their bytes."""
    first = cpu_rows(hosts=HOSTS, first_us=FIRST_US, steps=86_400 // STEP_S, step_us=STEP_S * US_PER_S)
    times, seqs = first.column("ts").cast(pa.int64()), first.column("_seq")
    segments = []
    folder.mkdir()
    for day in range(DAYS):
        shifted = pa.compute.add(times, day * US_PER_DAY).cast(pa.timestamp("us"))
        table = first.set_column(0, "ts", shifted).set_column(first.num_columns - 1, "_seq", pa.compute.add(seqs, day * first.num_rows))
        segments.append(write_segment(folder, table, number=day))
    register(folder, segments)
    return sum(s.bytes for s in segments)


def _rate(size: int, run: Callable[[], object]) -> float:
    """MB/s."""
    start = time.perf_counter()
    run()
    return size / 1e6 / (time.perf_counter() - start)
