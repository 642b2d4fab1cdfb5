"""A box under load on a disk whose power is cut: door, housekeeper and compaction, small enough that everything happens often.

usage: python -m tests.faults.cut_program DIR FIRST_NUMBER [--no-folder-sync]

Prints ``ready`` and then the last acknowledged number of each commit, one a line. Never ends by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from appliance.box import Box, no_step
from appliance.clock import SystemClock
from appliance.cold import files
from appliance.cold.lake import Damage
from appliance.config import load_config
from appliance.hot import store
from appliance.reconcile.start import check_lake, put_aside
from appliance.records import TS_TYPE, Batch, Format, Submission
from appliance.roll.keeper import Keeper
from appliance.serving.history import History
from appliance.serving.source import pinned_reader
from tests.faults.oracle import DAY_US, START_US

ROWS = 50
CONFIG = """
source = []
[hot]
commit_every = "1ms"
ring_max = "256KiB"
[roll]
every = "100ms"
rows_max = 500
[compact]
files_max = 2
replaced_keep = "1s"
[limits]
disk_free_min = "1MiB"
"""


def batch_of(first: int) -> Batch:
    """Records ``first`` and on; their times lie on three days and none is the same record as another."""
    numbers = np.arange(first, first + ROWS)
    ts = pa.array(START_US + numbers * 1000 + (numbers % 3) * DAY_US, pa.int64()).cast(TS_TYPE)
    lane = pa.array([f"l{n % 3}" for n in numbers.tolist()]).dictionary_encode()
    return Batch("load", ("lane",), pa.record_batch([ts, lane, pa.array(numbers)], names=["ts", "lane", "n"]))


def main(folder: Path, first: int, *, folder_sync: bool) -> None:
    store.WAL_PAGES_CHECKPOINT = 60  # the WAL wraps several times in each run
    if not folder_sync:
        real = files.sync
        files.sync = lambda path: None if path.is_dir() else real(path)
    config_file = folder.parent / "cut.toml"
    config_file.write_text(CONFIG)
    box = Box(load_config(data_dir=folder, file=config_file))
    box.start_writer()
    check_lake(box)
    box.open_door()
    past = History(
        root=folder, state=lambda: box.state, reader=lambda: pinned_reader(folder), damaged=lambda s, why: put_aside(box, Damage(s, why))
    )
    keeper = Keeper(box, clock=SystemClock(), leased=frozenset, put_aside=lambda d: put_aside(box, d), step=no_step, past=past)
    keeper.start()
    print("ready", flush=True)
    while True:
        box.door.submit_blocking(Submission("load", Format.LP, (batch_of(first),)))
        first += ROWS
        print(first - 1, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), folder_sync="--no-folder-sync" not in sys.argv)
