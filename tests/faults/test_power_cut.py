"""Acknowledged means kept through a power cut: an ext4 disk that loses whatever was not synced, more than a hundred times."""

from __future__ import annotations

import hashlib
import os
import random
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from appliance.errors import StoreDamaged
from appliance.hot.reader import HotReader
from tests.faults.cut_program import ROWS
from tests.faults.disk import Disk, why_not
from tests.nursery import SERVICE, Forked, nursery
from tests.running import environment, pause

CUTS = 100
"""Past the first wrap of the WAL."""
CUTS_UNTIL_FOUND = 60
SHORT, LONG = 25, 100
"""Commits until a cut, at most; the WAL wraps every ten or so."""
COMMIT_S, START_S = 0.02, 0.4
UNSURE = 1_000

pytestmark = [pytest.mark.skipif(why_not() is not None, reason=why_not() or ""), pytest.mark.timeout(900)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.remove()


class Box:
    """The program under load, and what it has acknowledged: runs of numbers, each of one life of the process."""

    def __init__(self, disk: Disk, *extra: str) -> None:
        self.disk = disk
        self.extra = extra
        self.runs: list[range] = []
        self.next_number = 0
        self._read: dict[bytes, NDArray[np.int64]] = {}

    def run_until_cut(self, rng: random.Random) -> None:
        """Starts it, lets it work for a while (or not even until it has recovered), cuts, and brings the power back."""
        first = self.next_number
        arguments = ["tests.faults.cut_program", str(self.disk.root / "data"), str(first), *self.extra]
        process = nursery(SERVICE).start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        assert process.stdout is not None
        said = b""
        if rng.random() < 0.8:
            commits = rng.randrange(SHORT if rng.random() < 0.7 else LONG)
            while said.count(b"\n") <= commits:  # the first line says that it is ready
                said += self._next(process)
            pause(rng.uniform(0.0, COMMIT_S))
        else:
            pause(rng.uniform(0.0, START_S))  # into start and recovery
        while select.select([process.stdout], [], [], 0)[0]:
            said += self._next(process)
        self.disk.cut()
        process.kill()
        process.communicate()
        numbers = [int(line) for line in said.split(b"\n")[:-1] if line.isdigit()]
        if numbers:
            self.runs.append(range(first, numbers[-1] + 1))
            self.next_number = numbers[-1] + 1
        self.next_number += UNSURE  # what was under way is never sent again, so no number may be there twice
        self.disk.remount()

    def _next(self, process: Forked) -> bytes:
        assert process.stdout is not None
        got = os.read(process.stdout.fileno(), 65536)
        if not got:
            raise AssertionError(f"did not start or go on by itself: {process.communicate()[1].decode()}")
        return got

    def has_wrapped(self) -> bool:
        """Whether the WAL has begun anew at least once: its header counts (https://www.sqlite.org/fileformat2.html#walformat)."""
        wal = self.disk.root / "data" / "hot.sqlite-wal"
        return wal.exists() and int.from_bytes(wal.read_bytes()[12:16], "big") > 0

    def wrong(self) -> list[str]:
        """Acknowledged numbers that are missing, and numbers that are there twice; nothing is opened for writing."""
        folder = self.disk.root / "data"
        if not (folder / "hot.sqlite").exists():
            return ["there is no hot store"] if self.runs else []
        reader = HotReader(folder)
        try:
            with reader.pinned():
                state = reader.load_state().get("load")
                if state is None:
                    return ["there is no stream"] if self.runs else []
                parts = [c.data.column("n").to_numpy() for c in reader.iterate(state, after_seq=state.mark)]
        except StoreDamaged as e:  # the power went while the first start made its tables; the next start has to make them
            return [] if not self.runs and "no such table" in str(e) else [str(e)]
        finally:
            reader.close()
        absent = [s.path for s in (*state.segments, *state.lost) if not (folder / s.path).exists()]
        if absent:
            return [f"{absent[0]} is registered and missing"]
        parts += [self._numbers_in((folder / s.path).read_bytes()) for s in state.segments]
        there, counts = np.unique(np.concatenate(parts), return_counts=True) if parts else (np.empty(0, np.int64), np.empty(0, np.int64))
        acknowledged = np.concatenate([np.arange(r.start, r.stop) for r in self.runs]) if self.runs else np.empty(0, np.int64)
        lost = np.setdiff1d(acknowledged, there)
        found = [f"{len(lost)} of {len(acknowledged)} acknowledged records are missing, e.g. {lost[0]}"] if len(lost) else []
        twice = there[counts > 1]
        return found + ([f"{len(twice)} records are there twice, e.g. {twice[0]}"] if len(twice) else [])

    def _numbers_in(self, segment: bytes) -> NDArray[np.int64]:
        """Those of a segment; the same bytes are decoded once."""
        key = hashlib.blake2b(segment).digest()
        if key not in self._read:
            self._read[key] = pq.ParquetFile(pa.BufferReader(segment)).read(["n"], use_threads=False).column("n").to_numpy()
        return self._read[key]


def test_what_was_acknowledged_survives_power_cuts(disk: Disk) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng, box = random.Random(seed), Box(disk)
    cuts = wrapped = 0
    while wrapped < CUTS:
        box.run_until_cut(rng)
        cuts += 1
        wrapped += box.has_wrapped()
        assert box.wrong() == [], f"after cut {cuts}; seed {seed}"
    assert sum(map(len, box.runs)) > CUTS * ROWS


def test_without_the_sync_of_the_folder_power_cuts_lose_records(disk: Disk) -> None:
    rng, box = random.Random(1), Box(disk, "--no-folder-sync")
    for _ in range(CUTS_UNTIL_FOUND):
        box.run_until_cut(rng)
        if box.wrong():
            return
    raise AssertionError("the test above would not notice a missing fsync")
