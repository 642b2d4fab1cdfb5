"""A data folder with a lake of any size, registered in a real manifest: what the query benches ask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from appliance.clock import US_PER_DAY, day_name
from appliance.cold.segments import GROUP_ROWS
from appliance.hot.state import ALL_TAGS
from appliance.hot.store import HotStore
from appliance.manifest import Segment
from appliance.records import Column, Kind, Schema

TAGS = (
    "hostname",
    "region",
    "datacenter",
    "rack",
    "os",
    "arch",
    "team",
    "service",
    "service_version",
    "service_environment",
)
FIELDS = tuple(f"usage_{what}" for what in ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"))
CPU = Schema("cpu", (*(Column(t, Kind.TAG) for t in TAGS), *(Column(f, Kind.INT) for f in FIELDS)), 1)
OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": list(TAGS),
    "column_encoding": dict.fromkeys(("ts", "_seq", *FIELDS), "DELTA_BINARY_PACKED"),
}


def cpu_rows(*, hosts: int, first_us: int, steps: int, step_us: int, first_seq: int = 1) -> pa.Table:
    """Rows of the shape of TSBS's cpu-only, in the columns of ``Schema.lake``, sorted by host and time; the same for the same arguments."""
    tags = ", ".join(
        f"'{name}_' || (h % {distinct}) AS {name}" for name, distinct in zip(TAGS[1:], (9, 20, 100, 3, 2, 4, 20, 2, 3), strict=True)
    )
    fields = ", ".join(f"(hash(s * 1000 + h * 10 + {n}) % 101)::BIGINT AS {f}" for n, f in enumerate(FIELDS))
    sql = (
        f"SELECT make_timestamp({first_us} + s * {step_us}) AS ts, 'host_' || h AS hostname, {tags}, {fields},"
        f" ({first_seq} + s * {hosts} + h)::BIGINT AS _seq FROM range({steps}) a(s), range({hosts}) b(h) ORDER BY hostname, ts"
    )
    with duckdb.connect() as maker:
        table: pa.Table = maker.sql(sql).to_arrow_table().cast(CPU.lake)
    return table


def write_parquet(table: pa.Table, path: Path) -> None:
    """As segments are written after compaction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=GROUP_ROWS, **OPTIONS)


def merge_sorted(folder: Path, path: Path) -> None:
    """All rows of the files in ``folder`` as one file, sorted by tags and time."""
    with duckdb.connect(config={"memory_limit": "2GB"}) as merger, pq.ParquetWriter(path, CPU.lake, **OPTIONS) as writer:
        order = ", ".join((*TAGS, "ts"))
        for batch in merger.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet') ORDER BY {order}").to_arrow_reader(GROUP_ROWS):
            writer.write_batch(batch.cast(CPU.lake), row_group_size=GROUP_ROWS)


def write_segment(folder: Path, table: pa.Table, *, number: int) -> Segment:
    """One file of one day in the lake of ``folder``."""
    times, seqs = table.column("ts").cast(pa.int64()).to_numpy(), table.column("_seq").to_numpy()
    day = int(times[0]) // US_PER_DAY
    path = f"lake/cpu/date={day_name(day)}/{number:06d}.parquet"
    write_parquet(table, folder / path)
    content = (folder / path).read_bytes()
    return Segment(
        id=0,
        stream="cpu",
        day=day,
        path=path,
        first=int(seqs.min()),
        last=int(seqs.max()),
        rows=table.num_rows,
        ts_min=int(times.min()),
        ts_max=int(times.max()),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        schema_version=1,
        level=2,
    )


def register(folder: Path, segments: Iterable[Segment]) -> None:
    """A hot store whose manifest holds these segments, as a clean stop leaves it."""
    segments = list(segments)
    store = HotStore(folder, durability="crash")
    mark = max(s.last for s in segments)
    with store.transaction():
        store.add_stream(stream_id=1, name="cpu", folder="cpu", identity=ALL_TAGS, now_us=0)
        store.add_schema(1, CPU)
        store.add_segments(1, segments, now_us=0)
        store.raise_mark(1, mark)
        store.connection.execute("UPDATE stream SET last_seq = ? WHERE id = 1", (mark,))
    store.close(clean=True)
