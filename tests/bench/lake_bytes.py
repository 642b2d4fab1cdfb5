"""What a day of the TSBS cpu stream takes in the lake, and what writing it cost: rolled every 5 minutes, compacted as planned.

    python -m tests.bench.lake_bytes [--hosts N] [--hours N]

One line per host per 10 s; the rolls and the plans go by the times of the lines, the compactions run in their process. Bytes
written are those of all files that were ever published (reads of them back are not counted).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pyarrow as pa

from appliance.clock import US_PER_DAY, SystemClock
from appliance.cold.compaction.driver import CompactionResult, CompactionTask, Trouble, compact
from appliance.cold.compaction.plan import CompactionPlan, Day, Waiting, observe, plan_compaction
from appliance.cold.files import Publisher
from appliance.cold.lake import delete
from appliance.manifest import Deletion, Dirty, Segment
from appliance.options import CompactOptions
from appliance.records import Column, Kind, Schema
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller
from appliance.sources.codecs.line_protocol import Precision, parse
from tests.bench import tsbs
from tests.bench.report import Row, note, show

ROLL_S = 300
STEP_S = 10
OPTIONS = CompactOptions()


@dataclass
class Stream:
    """A stream with its manifest in memory, and the account of what was written."""

    root: Path
    name: str = "cpu"
    schema: Schema = field(default_factory=lambda: Schema("", ()))
    mark: int = 0
    segments: tuple[Segment, ...] = ()
    dirty: dict[int, Dirty] = field(default_factory=dict)
    deletions: tuple[Deletion, ...] = ()
    waiting: dict[Day, Waiting] = field(default_factory=dict)
    roller: Roller | None = None
    ids: int = 0
    rolled_bytes: int = 0
    compacted_bytes: int = 0
    merged_rows: int = 0
    largest: tuple[int, float] = (0, 1.0)
    """Records and seconds of the largest compaction."""
    merges: int = 0
    memory_bytes: int = 0

    def roll(self, table: pa.Table, schema: Schema) -> None:
        """All rows cross the mark at once."""
        self.schema = schema
        self.roller = self.roller or Roller(Publisher(self.root, owner="roll"), node="bench")
        step = RollStep(self.name, self.mark, self.mark + table.num_rows, Reason.EVERY)
        hot = HotRows(self.mark + 1, table, schema)
        result = self.roller.build(step, folder=self.name, identity=(*schema.tags, "ts"), rows=lambda _step: hot)
        self.mark = result.mark_to
        self.rolled_bytes += result.bytes
        self._take(result.segments)

    def compact(self, now_us: int) -> None:
        """Whatever is due at that time, until nothing is."""
        while True:
            self.waiting = observe(self.waiting, [self], now_ns=now_us * 1000)
            plans = plan_compaction([self], options=OPTIONS, waiting=self.waiting, now_us=now_us, now_ns=now_us * 1000)
            if not plans:
                return
            self._carry_out(plans[0])

    def _carry_out(self, plan: CompactionPlan) -> None:
        task = CompactionTask(plan, self.schema, (*self.schema.tags, "ts"), self.name)
        (outcome,) = compact(
            [task], root=self.root, node="bench", clock=SystemClock(), memory_max_bytes=OPTIONS.memory_max, step=lambda _name: self._weigh()
        )
        if not isinstance(outcome, CompactionResult):
            raise SystemExit(f"{outcome.trouble}: {outcome.reason}" if outcome.trouble is not Trouble.NO_ROOM else "no room on the disk")
        self.merges += 1
        self.compacted_bytes += outcome.bytes
        self.merged_rows += plan.rows
        self.largest = max(self.largest, (plan.rows, outcome.wall_s))
        self.segments = tuple(s for s in self.segments if s not in plan.inputs)
        self._take(outcome.outputs)
        delete(self.root, [s.path for s in plan.inputs])

    def _take(self, segments: tuple[Segment, ...]) -> None:
        for segment in segments:
            self.ids += 1
            self.segments += (replace(segment, id=self.ids),)

    def _weigh(self) -> None:
        """Highest resident memory of the process so far."""
        for child in psutil.Process().children():
            status = Path(f"/proc/{child.pid}/status").read_text()
            high = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
            self.memory_bytes = max(self.memory_bytes, int(high.split()[1]) * 1024)


def rows(*, hosts: int = 100, hours: int = 24) -> Iterator[Row]:
    """The rows for the table."""
    lines_per_roll = hosts * ROLL_S // STEP_S
    lines_total = hosts * hours * 3600 // STEP_S
    lp_bytes = lines = 0
    with tempfile.TemporaryDirectory(prefix="lake") as folder:
        stream = Stream(Path(folder))
        start_us = now_us = tsbs.START_NS // 1000
        for block in tsbs.blocks(hosts=hosts, lines=lines_total, block=lines_per_roll):
            table, schema = _records(block)
            lp_bytes += len(block)
            lines += table.num_rows
            now_us += ROLL_S * 1_000_000
            stream.roll(table, schema)
            stream.compact(now_us - 1)
        day_is_over_us = (start_us // US_PER_DAY + -(-hours // 24)) * US_PER_DAY
        for quarter in range(1, 9):
            stream.compact(max(now_us, day_is_over_us) + quarter * 900_000_000)
        live = sum(s.bytes for s in stream.segments)
        note(
            f"{lines} records in {lines // lines_per_roll} rolls and {stream.merges} compactions; {len(stream.segments)} segments are left"
        )
    times = 1 + stream.merged_rows / lines
    per_record, written = live / lines, (stream.rolled_bytes + stream.compacted_bytes) / lp_bytes
    yield Row(
        "bytes per record in the lake as rolled, TSBS cpu", f"{stream.rolled_bytes / lines:.2f}", f"{lines_per_roll} records a roll", None
    )
    yield Row("bytes per record in the lake after compaction, TSBS cpu", f"{per_record:.2f}", "<= 4.0", per_record <= 4.0)
    yield Row(
        "bytes written by rolls and compactions per byte of line protocol", f"{written:.3f}", "<= 0.30 with the hot store", written <= 0.30
    )
    yield Row("times that a record is written in the lake, first roll included", f"{times:.1f}", "-", None)
    count, seconds = stream.largest
    yield Row(
        f"compaction of the whole day, {count:,} records, start of its process included", f"{count / seconds:,.0f} records/s", "-", None
    )
    memory = stream.memory_bytes / 2**20
    yield Row("compaction, resident memory of its process", f"{memory:.0f} MiB", "<= 256 MiB", memory <= 256)


def _records(block: bytes) -> tuple[pa.Table, Schema]:
    (batch,) = parse(block, precision=Precision.NS, now_us=0).batches
    fields = [n for n in batch.data.schema.names if n != "ts" and n not in batch.tags]
    schema = Schema("cpu", (*(Column(t, Kind.TAG) for t in batch.tags), *(Column(f, Kind.INT) for f in fields)))
    return pa.Table.from_batches([batch.data]).select(schema.arrow.names).cast(schema.arrow), schema


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lake_bytes", description="Bytes and rewrites of a day in the lake.")
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--hours", type=int, default=24)
    given = parser.parse_args()
    show(rows(hosts=given.hosts, hours=given.hours))
