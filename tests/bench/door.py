"""What the door costs: the writer's thread alone, without protocols.

python -m tests.bench.door [large] [single] [host] [recover]    (all of them without an argument)

* ``large``: 5,000 rows of 10 tags and 10 integers a submission, as TSBS's cpu metrics have them: rows a second.
* ``single``: submissions of one such row, 500 of them waiting at any time: commits and rows a second, CPU a row.
* ``host``: nine small streams in one submission, as the host source sends each second: CPU a commit.
* ``recover``: opening a folder with a million such rows.

Printed beside it, from the same run: the part that is SQLite with its sync alone, which is the floor.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from threading import Event

import numpy as np
import pyarrow as pa

from appliance.box import Box
from appliance.config import load_config
from appliance.hot.store import HotStore
from appliance.records import TAG_TYPE, TS_TYPE, Batch, Format, Submission

ROWS = 5_000
HOSTS = 1_000
START_US = 1_451_606_400_000_000
TAGS = {
    "hostname": HOSTS, "region": 8, "datacenter": 24, "rack": 100, "os": 3, "arch": 2, "team": 4, "service": 20, "service_version": 2,
    "service_environment": 3,
}  # fmt: skip
FIELDS = ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")


def cpu_batches(*, rows: int, seed: int = 123) -> Iterator[Batch]:
    """Rows in the order of time, ``HOSTS`` at each instant, ten seconds apart."""
    rng = np.random.default_rng(seed)
    of_host = {tag: rng.integers(0, count, HOSTS) for tag, count in TAGS.items()}
    of_host["hostname"] = np.arange(HOSTS)
    state = rng.uniform(0, 100, (HOSTS, len(FIELDS)))
    done = 0
    while True:
        hosts = (done + np.arange(rows)) % HOSTS
        instants = (done + np.arange(rows)) // HOSTS
        arrays = [pa.array(START_US + instants * 10_000_000).cast(TS_TYPE)]
        for tag in TAGS:
            codes, used = _compact(of_host[tag][hosts])
            arrays.append(
                pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array([f"{tag}_{v}" for v in used])).cast(TAG_TYPE)
            )
        state[hosts] = np.clip(state[hosts] + rng.normal(0, 1, (rows, len(FIELDS))), 0, 100)
        arrays += [pa.array(state[hosts, i].astype(np.int64)) for i in range(len(FIELDS))]
        yield Batch("cpu", tuple(TAGS), pa.RecordBatch.from_arrays(arrays, names=["ts", *TAGS, *(f"usage_{f}" for f in FIELDS)]))
        done += rows


def _compact(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int32), used


def host_batches(second: int, rng: random.Random) -> tuple[Batch, ...]:
    """Nine streams of the host source on two cores: about thirty rows."""
    shapes = (
        ("cpu", 3, 10),
        ("load", 1, 3),
        ("mem", 1, 8),
        ("swap", 1, 4),
        ("disk", 3, 6),
        ("diskio", 4, 8),
        ("net", 3, 8),
        ("temp", 4, 1),
        ("proc", 1, 3),
    )
    made = []
    for name, rows, fields in shapes:
        arrays = [pa.array([START_US + second * 1_000_000] * rows, TS_TYPE)]
        arrays.append(pa.array(["box"] * rows).dictionary_encode().cast(TAG_TYPE))
        arrays.append(pa.array([f"{name}{i}" for i in range(rows)]).dictionary_encode().cast(TAG_TYPE))
        arrays += [pa.array([rng.random() * 100 for _ in range(rows)]) for _ in range(fields)]
        names = ["ts", "host", "unit", *(f"f{i}" for i in range(fields))]
        made.append(Batch(f"host_{name}", ("host", "unit"), pa.RecordBatch.from_arrays(arrays, names=names)))
    return tuple(made)


def _box(folder: Path, *, commit_every: str = "20ms") -> Box:
    file = folder / "bench.toml"
    file.write_text(f'[hot]\ncommit_every = "{commit_every}"\n')
    box = Box(load_config(data_dir=folder / "box", file=file))
    box.start()
    return box


def _spent(run: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the wall and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def large(folder: Path, *, count: int = 150) -> None:
    made = cpu_batches(rows=ROWS)
    work = [Submission("bench", Format.LP, (next(made),)) for _ in range(count)]
    box = _box(folder, commit_every="1ms")

    def run() -> None:
        for s in work:
            box.door.submit_blocking(s)

    wall, cpu = _spent(run)
    box.close()
    print(f"large   {count * ROWS / wall:12,.0f} rows/s   {cpu / count * 1e3:8.2f} ms CPU for {ROWS:,} rows   one submission a commit")


def single(folder: Path, *, count: int = 20_000, waiting: int = 500) -> None:
    """Many wait at once, then each alone."""
    made = cpu_batches(rows=1)
    work = [Submission("bench", Format.LP, (next(made),)) for _ in range(count)]
    box = _box(folder)

    def together() -> None:
        for i in range(0, count, waiting):
            wait([box.door.put(s) for s in work[i : i + waiting]])

    def one_by_one() -> None:
        for s in work[:300]:
            box.door.submit_blocking(s)

    wall, cpu = _spent(together)
    commits = box.writer.commits
    print(f"single  {count / wall:12,.0f} rows/s   {cpu / count * 1e6:8.1f} us CPU a row, {count / commits:,.0f} rows a commit")
    wall, cpu = _spent(one_by_one)
    box.close()
    print(f"        {300 / wall:12,.0f} rows/s   {cpu / 300 * 1e6:8.1f} us CPU a row, each awaited before the next is sent")


def host(folder: Path, *, count: int = 100, pause_s: float = 0.05) -> None:
    """With pauses, since the caches of the processor are cold when a second has gone by."""
    rng = random.Random(1)
    work = [Submission("host", Format.LP, host_batches(i, rng)) for i in range(count)]
    box = _box(folder, commit_every="1ms")
    silence = Event()

    def run() -> None:
        for s in work:
            box.door.submit_blocking(s)
            silence.wait(pause_s)

    _, cpu = _spent(run)
    box.close()
    print(f"host    {cpu / count * 1e3:8.2f} ms CPU a commit of nine streams: once a second that is {cpu / count * 100:.2f} % of a core")


def recover(folder: Path, *, rows: int = 1_000_000) -> None:
    """Opening a folder with many hot rows, as after a kill."""
    made = cpu_batches(rows=ROWS)
    box = _box(folder, commit_every="1ms")
    for _ in range(rows // ROWS):
        box.door.submit_blocking(Submission("bench", Format.LP, (next(made),)))
    box.close()
    wall, cpu = _spent(lambda: _box(folder).close())
    print(f"recover {wall:12,.2f} s        {cpu:8.2f} s CPU to open a folder with {rows:,} hot rows, and to close it")


def floor(folder: Path, *, count: int = 300) -> None:
    """Transactions of one small row each: what SQLite and the disk take at least."""
    (folder / "floor").mkdir()
    store = HotStore(folder / "floor", durability="power-loss")

    def run() -> None:
        for i in range(count):
            with store.transaction():
                store.set_meta("bench", str(i))

    wall, cpu = _spent(run)
    store.close()
    print(f"floor   {count / wall:12,.0f} commits/s {cpu / count * 1e3:6.2f} ms CPU, of SQLite alone, with its sync")


PARTS: dict[str, Callable[[Path], None]] = {"large": large, "single": single, "host": host, "recover": recover}


def main() -> None:
    """The parts that the command line names, else all."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        floor(Path(folder))
        for name in sys.argv[1:] or PARTS:
            place = Path(folder, name)
            place.mkdir()
            PARTS[name](place)


if __name__ == "__main__":
    main()
