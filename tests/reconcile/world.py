"""A box with records on both sides of the mark, something that goes wrong in it, and what it comes to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from appliance.cold.files import Publisher
from appliance.cold.segments import read_segment
from appliance.hot.reader import HotReader
from appliance.reconcile.engine import Repaired, mend
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Hands
from appliance.reconcile.passing import pass_live
from appliance.roll.hot_rows import oldest_run
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller
from tests.clock import NOON_US, FakeClock
from tests.door.batches import batch, open_box, send

DAY_US = 86_400_000_000
STREAM = "readings"
CONFIG = '[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1ms"\ndurability = "crash"\n'


class World:
    """One box: two rolls of two days each are in four segments, four batches are hot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.memo: dict[str, Any] = {}
        self.turn = 0
        folder.mkdir(parents=True)
        (folder / "lake").mkdir()
        self.box = open_box(folder, CONFIG, clock=self.clock)
        for turn in range(2):
            for part in range(2):
                self.comes(turn * 40 + part * 20)
            self.roll()
        for part in range(4):
            self.comes(100 + part * 20)

    def comes(self, at: int, rows: int = 20) -> None:
        """Records of yesterday and today, in turns; each has a value of its own."""
        ts = [NOON_US - (i % 2) * DAY_US + (at + i) * 1_000_000 for i in range(rows)]
        tags = {"device": [f"d{i % 3}" for i in range(rows)]}
        send(self.box, batch(STREAM, ts, tags=tags, value=[float(at + i) for i in range(rows)], note=[f"n{at + i}" for i in range(rows)]))

    def roll(self, until: int | None = None) -> None:
        state = self.box.state.streams[STREAM]
        reader = self.box.reader()
        try:
            result = Roller(Publisher(self.folder, owner="roll"), node="n").build(
                RollStep(STREAM, state.mark, until or state.last_seq, Reason.ASKED),
                folder=state.folder,
                identity=state.identity_columns(),
                rows=lambda s: HotRows(*oldest_run(state, reader, until=s.until), state.schema),
            )
        finally:
            reader.close()
        self.box.commit_roll(STREAM, result.segments, mark=result.mark_to)

    def restart(self) -> None:
        self.box.close()
        self.memo = {}
        self.box = open_box(self.folder, CONFIG, clock=self.clock)

    def close(self) -> None:
        self.box.close()

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """The file from outside, as somebody with ``sqlite3`` has it."""
        with closing(sqlite3.connect(self.folder / "hot.sqlite", isolation_level=None)) as db:
            db.execute("PRAGMA busy_timeout=5000")
            yield db

    def batches(self) -> list[tuple[int, int, int]]:
        """(id, first, last) of the hot batches."""
        with self.sql() as db:
            return db.execute("SELECT id, first, last FROM batch ORDER BY first").fetchall()

    def segments(self) -> list[tuple[int, str]]:
        """(id, path) of the live segments."""
        with self.sql() as db:
            return db.execute("SELECT id, path FROM segment WHERE state = 'live' ORDER BY id").fetchall()

    def look(self, scope: Any = "full") -> list[Finding]:
        self.turn += 1
        return list(pass_live(self.box, scope, memo=self.memo, turn=self.turn).result.findings)

    def found_by_turns(self) -> list[Finding]:
        """What the continuous look finds within as many looks as it needs to see everything."""
        found: dict[tuple[str, str, str], Finding] = {}
        for scope in ("hot", "hot", "newest"):
            found |= {f.name: f for f in self.look(scope)}
        return list(found.values())

    def mend(self, findings: Sequence[Finding]) -> list[Repaired]:
        return mend(findings, Hands(box=self.box))

    def holds(self) -> dict[str, Any]:
        """Everything that there is, whichever way it lies: what a mended box must have in common with its undisturbed twin."""
        state = self.box.state.streams[STREAM]
        with closing(HotReader(self.folder)) as reader:
            stored = reader.load_state().streams[STREAM]
            hot = [
                (chunk.first + i, *row.values())
                for chunk in reader.iterate(stored, after_seq=stored.mark)
                for i, row in enumerate(chunk.data.to_pylist())
            ]
        ring = [(c.first + i, *row.values()) for c in state.ring for i, row in enumerate(c.data.to_pylist())]
        rows = [
            tuple(sorted(row.items()))
            for s in state.segments
            for part in read_segment(self.folder / s.path, tags=("device",), rows=1000)
            for row in part.to_pylist()
        ]
        facts = [(s.path, s.day, s.first, s.last, s.rows, s.ts_min, s.ts_max, s.bytes, s.sha256) for s in stored.segments]
        return {
            "hot": sorted(hot),
            "ring": sorted(r for r in ring if r[0] > state.mark),
            "lake": sorted(rows),
            "segments": sorted(facts),
            "of memory": sorted(s.path for s in state.segments),
            "lost": [s.path for s in stored.lost],
            "mark": (stored.mark, state.mark),
            "last": (stored.last_seq, state.last_seq),
        }


def flip_a_value(path: Path, column: str = "value") -> None:
    """One bit in a page of values of a segment."""
    meta = pq.read_metadata(path)
    at = [meta.schema.column(i).path for i in range(meta.num_columns)].index(column)
    chunk = meta.row_group(0).column(at)
    data = bytearray(path.read_bytes())
    data[(chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 5] ^= 4
    path.write_bytes(bytes(data))
