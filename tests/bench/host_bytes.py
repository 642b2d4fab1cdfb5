"""Bytes a record of the host streams after compaction: ours in the lake, and InfluxDB 1.6's in its TSM files, of the same points.

    python -m tests.bench.host_bytes [--hours N]

The points are those of ``data/samples`` forth and back, with small random walks, every 2 s. Ours are rolled every 5 minutes and
compacted as planned, until the day is over; InfluxDB gets the same lines and compacts what it calls cold, until one file is left.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.records import Batch, Column, Kind, Schema
from appliance.sources.codecs.line_protocol import Precision, parse
from tests.bench.lake_bytes import ROLL_S, Stream
from tests.bench.peers import influxdb
from tests.bench.report import Row, note, show
from tests.running import pause

SAMPLES: Final = Path(__file__).parents[2] / "data" / "samples"
START_US: Final = 20_454 * US_PER_DAY
STEP_S: Final = 2
SEED: Final = 20_261_122
WALK: Final = 0.002
"""A step of the walk, as a share of what the sample's values spread over."""
JITTER_US: Final = 2_000
"""By how much a look at the machine is late, one standard deviation."""
STILL_LOOKS: Final = 10
"""Looks, a second apart, in which InfluxDB's only file stays as it is: then it is done."""
COLD: Final = 'cache-snapshot-write-cold-duration = "1s"\ncompact-full-write-cold-duration = "1s"'
Values = npt.NDArray[np.float64]


def rows(*, hours: int = 6) -> Iterator[Row]:
    """The rows for the table."""
    ticks = list(_ticks(hours * 3600 // STEP_S))
    size = ROLL_S // STEP_S
    blocks = [b"".join(ticks[at : at + size]) for at in range(0, len(ticks), size)]
    count = sum(block.count(b"\n") for block in blocks)
    streams = _ours(blocks)
    note(", ".join(f"{name} {used / records:.2f} bytes of {records:,} records" for name, (used, records) in streams.items()))
    assert sum(records for _, records in streams.values()) == count
    ours, theirs = sum(used for used, _ in streams.values()) / count, _theirs(blocks)
    asked = "InfluxDB is not installed" if theirs is None else f"< {theirs / count:.2f}, InfluxDB 1.6"
    holds = None if theirs is None else ours < theirs / count
    yield Row(f"bytes per record of the host streams after compaction, {hours} h", f"{ours:.2f} of {count:,} records", asked, holds)


@dataclass(frozen=True, slots=True)
class Sample:
    """A short course of one stream."""

    stream: str
    tag: str | None
    values: Mapping[str, pd.DataFrame]
    """By the tag's value; a column a field."""


def _samples() -> list[Sample]:
    net = pd.read_csv(io.BytesIO(gzip.decompress((SAMPLES / "machine_net.csv.gz").read_bytes())))
    memory = pd.DataFrame([json.loads(line) for line in (SAMPLES / "machine_memory.jsonl").read_text().splitlines()])
    batches = parse((SAMPLES / "machine_load.lp").read_bytes(), precision=Precision.NS, now_us=0).batches
    load, disk = (_table(b for b in batches if b.stream == name) for name in ("machine_load", "machine_diskio"))
    return [
        _sample("host_cpu", "cpu", pd.read_csv(SAMPLES / "machine_cpu.csv", dtype={"cpu": str})),
        _sample("host_diskio", "device", disk),
        _sample("host_load", None, load),
        _sample("host_memory", None, memory),
        _sample("host_net", "interface", net),
    ]


def _table(batches: Iterable[Batch]) -> pd.DataFrame:
    """The records without the columns that they never had; what was not known is 0."""
    return pd.concat([b.data.to_pandas() for b in batches], ignore_index=True).dropna(axis="columns", how="all")


def _sample(stream: str, tag: str | None, table: pd.DataFrame) -> Sample:
    plain = table.drop(columns="ts")
    plain = plain.fillna(dict.fromkeys(plain.columns.drop(tag, errors="ignore"), 0))
    if tag is None:
        return Sample(stream, None, {"": plain})
    parts = {str(value): part.drop(columns=tag).reset_index(drop=True) for value, part in plain.groupby(tag)}
    return Sample(stream, tag, parts)


def _ticks(steps: int) -> Iterator[bytes]:
    """The lines of each look at the machine, all streams at one time."""
    rng = np.random.default_rng(SEED)
    late = np.abs(rng.normal(0, JITTER_US, steps)).astype(np.int64) // 1000 * 1000
    times = START_US + np.arange(steps) * STEP_S * US_PER_S + late
    columns: list[list[str]] = []
    for sample in _samples():
        for value, table in sample.values.items():
            key = sample.stream if sample.tag is None else f"{sample.stream},{sample.tag}={value}"
            columns.append([f"{key} {fields}" for fields in _course(table, steps, rng)])
    for at, told in zip(times.tolist(), zip(*columns, strict=True), strict=True):
        yield "".join(f"{line} {at}000\n" for line in told).encode()


def _course(table: pd.DataFrame, steps: int, rng: np.random.Generator) -> Iterator[str]:
    """The fields of each step as line protocol."""
    place = np.arange(steps) % (2 * len(table) - 2)
    place = np.where(place < len(table), place, 2 * len(table) - 2 - place)
    counters = [n for n in table.columns if f"{n}_per_s" in table.columns]
    made: dict[str, Values] = {}
    for name in counters:
        grown = np.round(np.diff(table[name], prepend=table[name].iloc[0])[place] * np.abs(rng.normal(1, 0.05, steps)))
        made[name], made[f"{name}_per_s"] = table[name].iloc[0] + np.cumsum(grown), np.round(grown / STEP_S, 1)
    for name in table.columns:
        if name not in made:
            made[name] = _gauge(table[name].to_numpy(np.float64), place, rng)
    whole = {n for n in table.columns if pd.api.types.is_integer_dtype(table[n])}
    texts = [[f"{n}={int(v)}i" if n in whole else f"{n}={v!r}" for v in made[n].tolist()] for n in table.columns]
    return (",".join(fields) for fields in zip(*texts, strict=True))


def _gauge(base: Values, place: npt.NDArray[np.int64], rng: np.random.Generator) -> Values:
    """As fine as the sample's values are: whole pages, hundredths, or the kernel's 2048ths of a load."""
    walk = np.cumsum(rng.normal(0, WALK * float(np.ptp(base)), len(place)))
    grid = next(g for g in (4096.0, 1.0, 0.01, 1 / 2048, 1e-9) if np.allclose(base / g, np.round(base / g), rtol=0, atol=1e-6))
    found = np.round(np.maximum(0.0, base[place] + walk) / grid)
    return np.asarray(np.round(found * 0.01, 2) if grid == 0.01 else found * grid)


def _ours(blocks: list[bytes]) -> dict[str, tuple[int, int]]:
    """Stream -> its bytes in the lake and its records, when the plan has nothing left to do."""
    found: dict[str, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory(prefix="lake") as folder:
        streams: dict[str, Stream] = {}
        now_us = START_US
        for block in blocks:
            now_us += ROLL_S * US_PER_S
            for batch in _joined(parse(block, precision=Precision.NS, now_us=0).batches):
                stream = streams.setdefault(batch.stream, Stream(Path(folder), batch.stream))
                schema = _schema(batch)
                stream.roll(pa.Table.from_batches([batch.data]).select(schema.arrow.names).cast(schema.arrow), schema)
                stream.compact(now_us - 1)
        over_us = (START_US // US_PER_DAY + 1 + (now_us - START_US) // US_PER_DAY) * US_PER_DAY
        for stream in streams.values():
            for quarter in range(1, 9):
                stream.compact(over_us + quarter * 900 * US_PER_S)
            found[stream.name] = sum(s.bytes for s in stream.segments), sum(s.rows for s in stream.segments)
    return found


def _joined(batches: Iterable[Batch]) -> Iterator[Batch]:
    """One of each stream; all have the same columns."""
    by_stream: dict[str, list[Batch]] = {}
    for batch in batches:
        by_stream.setdefault(batch.stream, []).append(batch)
    for parts in by_stream.values():
        yield parts[0] if len(parts) == 1 else replace(parts[0], data=pa.concat_batches([p.data for p in parts]))


def _schema(batch: Batch) -> Schema:
    names = [n for n in batch.data.schema.names if n != "ts" and n not in batch.tags]
    kinds = {n: Kind.INT if pa.types.is_integer(batch.data.schema.field(n).type) else Kind.FLOAT for n in names}
    return Schema(batch.stream, (*(Column(t, Kind.TAG) for t in batch.tags), *(Column(n, k) for n, k in kinds.items())))


def _theirs(blocks: list[bytes]) -> int | None:
    """Bytes of the one TSM file that InfluxDB ends with; None where it is not installed."""
    with tempfile.TemporaryDirectory(prefix="influx") as folder, influxdb(Path(folder), more=COLD) as url:
        if url is None:
            return None
        to = urlsplit(url)
        connection = http.client.HTTPConnection(to.netloc, timeout=60)
        for block in blocks:
            connection.request("POST", f"{to.path}?{to.query}", body=block)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 204, said
        connection.close()
        return _settled(Path(folder))


def _settled(folder: Path) -> int:
    """Waits until nothing is in the WAL and one file has stood still for a while."""
    still, before = 0, -1
    while still < STILL_LOOKS:
        files = list((folder / "data").rglob("*.tsm"))
        waits = sum(f.stat().st_size for f in (folder / "wal").rglob("*.wal"))
        size = files[0].stat().st_size if len(files) == 1 and not waits else -1
        still = still + 1 if size == before >= 0 else 0
        before = size
        pause(1)
    return before


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.host_bytes", description="Bytes per record of the host streams.")
    parser.add_argument("--hours", type=int, default=6)
    show(rows(hours=parser.parse_args().hours))
