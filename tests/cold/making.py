"""Records as plain rows, made into segments by the roller and read back: what the tests of the cold path are told in."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck

from appliance.clock import US_PER_DAY
from appliance.cold.files import Publisher, Step, no_step
from appliance.manifest import Segment
from appliance.records import Column, Kind, Schema
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller, RollResult

DAY = 20_000
"""2024-10-04."""
MIDNIGHT = DAY * US_PER_DAY

BUSY = (HealthCheck.too_slow,)
"""A machine that does other things besides is no finding."""

Row = Mapping[str, Any]
"""``ts`` in microseconds, then any columns; what is missing is null."""

READINGS = Schema(
    "readings",
    (
        Column("device", Kind.TAG),
        Column("room", Kind.TAG),
        Column("value", Kind.FLOAT),
        Column("count", Kind.INT),
        Column("ok", Kind.BOOL),
        Column("note", Kind.TEXT),
    ),
)
ALL_TAGS = ("device", "room", "ts")


def hot_table(rows: Sequence[Row], schema: Schema) -> pa.Table:
    """What the hot path hands to a roll."""
    arrays = [pa.array([r.get(f.name) for r in rows], _plain(f.type)).cast(f.type) for f in schema.arrow]
    return pa.table(arrays, schema=schema.arrow)


class Lake:
    """A data folder with one stream, rolled piece by piece; remembers the mark and what was rolled."""

    def __init__(self, root: Path, schema: Schema = READINGS, *, identity: tuple[str, ...] | None = ALL_TAGS, step: Step = no_step) -> None:
        self.root = root
        self.schema = schema
        self.identity = identity
        self.mark = 0
        self.rows: list[dict[str, Any]] = []
        """Every row ever rolled, with its ``_seq``."""
        self.segments: list[Segment] = []
        self._roller = Roller(Publisher(root, owner="roll", step=step), node="box-1")

    def roll(self, rows: Sequence[Row]) -> tuple[Segment, ...]:
        """The next sequences; returns the new segments, which are live at once."""
        result = self.build(rows)
        taken = tuple(replace(s, id=len(self.segments) + 1 + i) for i, s in enumerate(result.segments))
        self.segments += taken
        self.rows += [{**row, "_seq": self.mark + 1 + i} for i, row in enumerate(rows)]
        self.mark = result.mark_to
        return taken

    def build(self, rows: Sequence[Row]) -> RollResult:
        """Written, not committed."""
        step = RollStep(self.schema.stream, self.mark, self.mark + len(rows), Reason.ASKED)
        hot = HotRows(self.mark + 1, hot_table(rows, self.schema), self.schema)
        return self._roller.build(step, folder="readings", identity=self.identity, rows=lambda _step: hot)

    def evolve(self, *columns: Column) -> None:
        """A new version of the schema with these columns, tags first."""
        self.schema = Schema(self.schema.stream, columns, self.schema.version + 1)

    def expected(self, segments: Iterable[Segment] | None = None) -> list[dict[str, Any]]:
        """The rows of these segments as they should be read, in the order of their sequences."""
        taken = self.segments if segments is None else segments
        spans = [(s.first, s.last, s.day) for s in taken]
        held = [r for r in self.rows if any(a <= r["_seq"] <= b and r["ts"] // US_PER_DAY == day for a, b, day in spans)]
        return [completed(r, self.schema) for r in held]


def completed(row: Row, schema: Schema) -> dict[str, Any]:
    """A row with each column of the schema, null where it has none."""
    return {name: row.get(name) for name in schema.lake.names}


def read_rows(root: Path, segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """All rows of the files, each file in its order; times as microseconds."""
    rows: list[dict[str, Any]] = []
    for segment in segments:
        table = pq.ParquetFile(root / segment.path).read()
        rows += table.set_column(0, "ts", table.column("ts").cast(pa.int64())).to_pylist()
    return rows


def by_seq(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda r: r["_seq"])


def files_below(root: Path) -> list[str]:
    """Every file of the lake, relative to the data folder."""
    return sorted(str(p.relative_to(root)) for p in (root / "lake").rglob("*") if not p.is_dir())


def fold_by_hand(rows: Iterable[Row], identity: Sequence[str]) -> list[dict[str, Any]]:
    """The oracle: field by field the highest sequence with a value, one record an identity."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in by_seq(rows):
        record = found.setdefault(tuple(row.get(c) for c in identity), dict(row))
        record.update({k: v for k, v in row.items() if v is not None})
    return list(found.values())


@contextmanager
def small_files(bytes_max: int) -> Iterator[None]:
    """No file of this process, or of one that it starts, can grow beyond that: what a full disk looks like, without one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) else kind
