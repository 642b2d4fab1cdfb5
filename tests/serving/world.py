"""A small data folder whose records lie wherever a test wants them: ring, hot store or segments; and the flat list that they are.

The hot store is real SQLite, the segments are real Parquet files; only who puts the records there is played by the test.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from appliance.clock import US_PER_DAY, US_PER_S, day_name
from appliance.hot.reader import HotReader
from appliance.hot.state import ALL_TAGS, Chunk, State, StreamState
from appliance.hot.store import HotStore
from appliance.manifest import Dirty, Segment
from appliance.records import Column, Kind, Schema
from appliance.serving.source import StateSource, Store, pinned_reader
from appliance.serving.state_tables import TABLES

DAY = 20_454
"""2026-01-01."""
MIDNIGHT = DAY * US_PER_DAY
Row = Mapping[str, Any]
"""``ts`` in microseconds and any columns; what is missing is null."""
FIRST = (Column("device", Kind.TAG), Column("value", Kind.INT))
THEN = (*FIRST[:1], Column("value", Kind.FLOAT), Column("note", Kind.TEXT))
LAST = (*THEN[:1], Column("room", Kind.TAG), *THEN[1:], Column("ok", Kind.BOOL))
VERSIONS = {1: Schema("readings", FIRST, 1), 2: Schema("readings", THEN, 2), 3: Schema("readings", LAST, 3)}
"""An int that becomes a float, a text that comes later, then a tag and a bool."""
COLUMNS = ("ts", "device", "room", "value", "note", "ok", "_seq")


def at(seconds: float, day: int = 0) -> int:
    """Microseconds of a time on a day after ``DAY``."""
    return MIDNIGHT + day * US_PER_DAY + int(seconds * US_PER_S)


def rows_of(schema: Schema, rows: Sequence[Row]) -> pa.RecordBatch:
    """Rows in the columns of a version."""
    arrays = []
    for f in schema.arrow:
        plain = f.type.value_type if pa.types.is_dictionary(f.type) else pa.int64() if pa.types.is_timestamp(f.type) else f.type
        arrays.append(pa.array([r.get(f.name) for r in rows], plain).cast(f.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)


@dataclass
class World:
    """One stream, ``readings``. ``root`` is the data folder; the lake lies in ``lake/<place>`` of it, the hot store in ``place``."""

    root: Path
    place: str
    identity: tuple[str, ...] | None = ALL_TAGS
    versions: Mapping[int, Schema] = field(default_factory=lambda: VERSIONS)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Every record ever committed, in order of its sequence, ``_seq`` among its columns."""
    row_versions: list[int] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    lost: list[Segment] = field(default_factory=list)
    dirty: dict[int, Dirty] = field(default_factory=dict)
    mark: int = 0
    damaged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = self.root / self.place
        template = self.root / "template"
        if not template.exists():
            template.mkdir(parents=True)
            HotStore(template, durability="crash").close()
        shutil.copytree(template, self.home)
        self.store = HotStore(self.home, durability="crash")
        with self.store.transaction():
            self.store.add_stream(stream_id=1, name="readings", folder="readings", identity=self.identity, now_us=0)
            for schema in self.versions.values():
                self.store.add_schema(1, schema)

    def __repr__(self) -> str:
        return f"World({self.place!r})"

    @property
    def schema(self) -> Schema:
        return self.versions[max(self.versions)]

    def commit(self, rows: Sequence[Row], *, version: int | None = None) -> None:
        """One batch, in the columns of a version (None: the newest)."""
        schema = self.versions[version or max(self.versions)]
        first = len(self.rows) + 1
        data = rows_of(schema, rows)
        low, high = min(r["ts"] for r in rows), max(r["ts"] for r in rows)
        with self.store.transaction():
            self.store.add_batch(1, schema, data, first=first, ts_min=low, ts_max=high, boot=1, uptime_us=0, now_us=0)
        self.chunks.append(Chunk(first, first + len(rows) - 1, data, low, high, data.nbytes, schema.version))
        names = {c.name for c in schema.columns} | {"ts"}
        for row in rows:
            self._note_twins(row)
            self.rows.append({**{k: row.get(k) for k in names}, "_seq": len(self.rows) + 1})
            self.row_versions.append(schema.version)

    def roll(self, up_to: int, *, parts: int = 1) -> None:
        """Moves records up to a sequence into segments, ``parts`` files for each day."""
        moved = [r for r in self.rows if self.mark < r["_seq"] <= up_to]
        by_day: dict[int, list[dict[str, Any]]] = {}
        for row in moved:
            by_day.setdefault(row["ts"] // US_PER_DAY, []).append(row)
        for day, of_day in sorted(by_day.items()):
            for part in range(parts):
                if piece := of_day[part::parts]:
                    self.segments.append(self._write(day, sorted(piece, key=lambda r: (str(r["device"]), int(r["ts"])))))
        self.mark = max(self.mark, up_to)
        with self.store.transaction():
            self.store.raise_mark(1, self.mark)

    def state(self, *, ring_from: int | None = None) -> State:
        """The published picture; the ring holds the chunks whose records are all from ``ring_from`` on (None: hot ones)."""
        if ring_from is None:
            ring = tuple(c.after(self.mark) for c in self.chunks if c.last > self.mark)
        else:
            ring = tuple(c for c in self.chunks if c.first >= ring_from)
        stream = StreamState(
            id=1,
            schema=self.schema,
            schemas=self.versions,
            identity=self.identity,
            folder="readings",
            mark=self.mark,
            last_seq=len(self.rows),
            ring=ring,
            segments=tuple(self.segments),
            lost=tuple(self.lost),
            dirty=MappingProxyType(dict(self.dirty)),
        )
        return State({"readings": stream}, 1)

    def store_of(self, state: Callable[[], State], *, hot_bytes_max: int = 1 << 28) -> Store:
        """Where a source of these records reads from."""

        def reader() -> AbstractContextManager[HotReader]:
            return pinned_reader(self.home)

        return Store(
            state=state,
            reader=reader,
            latest=lambda s: latest(self.expected(), s.schema),
            tables=TABLES,
            hot_bytes_max=hot_bytes_max,
            damaged=lambda segment, _reason: self.damaged.append(segment.path),
        )

    def source(self, *, ring_from: int | None = None) -> StateSource:
        """A provider for one query."""
        state = self.state(ring_from=ring_from)
        return StateSource(self.store_of(lambda: state))

    def expected(self, *, hot: bool = True, cold: bool = True) -> list[dict[str, Any]]:
        """The records as one flat list without twins: the highest sequence with a value wins, column by column."""
        shown = [r for r in self.rows if (hot and r["_seq"] > self.mark) or (cold and r["_seq"] <= self.mark)]
        return once(shown, self.identity, self.schema)

    def flat(self, *, hot: bool = True, cold: bool = True) -> pa.Table:
        """``expected`` as a table of ``Schema.lake``."""
        return lake_table(self.expected(hot=hot, cold=cold), self.schema)

    def _note_twins(self, row: Row) -> None:
        if self.identity is None:
            return
        keys = _keys(self.identity, self.schema)
        if any(all(row.get(k) == other.get(k) for k in keys) for other in self.rows):
            self.make_dirty(row["ts"], row["ts"])

    def make_dirty(self, low: int, high: int) -> None:
        """Widens the dirty span of a day."""
        day = low // US_PER_DAY
        span = Dirty(day, low, high, len(self.rows) + 1)
        self.dirty[day] = span if day not in self.dirty else self.dirty[day].merge(span)

    def _write(self, day: int, rows: Sequence[Row]) -> Segment:
        seqs, times = [r["_seq"] for r in rows], [r["ts"] for r in rows]
        known = max(self.row_versions[seq - 1] for seq in seqs)
        schema = self.versions[known]
        number = len(self.segments) + len(self.lost) + 1
        path = f"lake/{self.place}/date={day_name(day)}/{number:04d}.parquet"
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(lake_table(rows, schema), self.root / path, row_group_size=64)
        return Segment(
            id=number,
            stream="readings",
            day=day,
            path=path,
            first=min(seqs),
            last=max(seqs),
            rows=len(rows),
            ts_min=min(times),
            ts_max=max(times),
            bytes=(self.root / path).stat().st_size,
            sha256=hashlib.sha256((self.root / path).read_bytes()).hexdigest(),
            schema_version=known,
            level=0,
        )


def lake_table(rows: Iterable[Row], schema: Schema) -> pa.Table:
    """Rows in the columns of ``Schema.lake``."""
    rows = list(rows)
    arrays = [
        pa.array([r.get(f.name) for r in rows], pa.int64() if pa.types.is_timestamp(f.type) else f.type).cast(f.type) for f in schema.lake
    ]
    return pa.Table.from_arrays(arrays, schema=schema.lake)


def once(rows: Iterable[Row], identity: tuple[str, ...] | None, schema: Schema) -> list[dict[str, Any]]:
    """Twins made one; the slow and obvious way."""
    names = ["ts", *(c.name for c in schema.columns), "_seq"]
    full: list[dict[str, Any]] = [{n: r.get(n) for n in names} for r in rows]
    if identity is None:
        return full
    keys = _keys(identity, schema)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in sorted(full, key=lambda r: r["_seq"]):
        have = found.setdefault(tuple(row[k] for k in keys), row)
        for name in names:
            if row[name] is not None:
                have[name] = row[name]
    return sorted(found.values(), key=lambda r: r["_seq"])


def latest(rows: Iterable[Row], schema: Schema) -> pa.Table:
    """The newest record of each series."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(row[t] for t in schema.tags)
        if key not in found or row["ts"] >= found[key]["ts"]:
            found[key] = row
    return lake_table(found.values(), schema)


def _keys(identity: tuple[str, ...], schema: Schema) -> tuple[str, ...]:
    return (*schema.tags, "ts") if identity == ALL_TAGS else identity
