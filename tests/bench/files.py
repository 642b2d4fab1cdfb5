"""How fast files become records: each codec alone, then CSV and JSON lines dropped into a running service, until they are committed.

    python -m tests.bench.files

Records have 1 tag and 3 fields. The peer of a codec is PyArrow's own reader on the same bytes in the same run: what is lost to blocks,
event times, checks and refusals.
"""

from __future__ import annotations

import gzip
import io
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json
from pyarrow import parquet as arrow_parquet

from appliance.clock import SystemClock
from appliance.sources.codecs.content import Content, GzipContent, PlainContent
from appliance.sources.codecs.csv import read_csv
from appliance.sources.codecs.jsonl import read_jsonl
from appliance.sources.codecs.line_protocol import Precision
from appliance.sources.codecs.lp_file import read_lp
from appliance.sources.codecs.parquet import read_parquet
from appliance.sources.codecs.pieces import Pieces, Target
from tests.bench.report import Row, cpu_seconds, show
from tests.running import Running, pause

ROWS = 1_000_000
DROPPED_ROWS = 3_000_000
LIMIT = 500_000
CONFIG = '[limits]\ndisk_free_min = 1\n[stream.csv]\ntags = ["device"]\n[stream.jsonl]\ntags = ["device"]\n'
HEADER = b"ts,device,temperature,count,ok\n"


def csv_bytes(rows: int, *, seed: int = 1) -> bytes:
    """One tag, three fields, a time with microseconds."""
    rng = random.Random(seed)
    lines = (
        b"2026-11-22T%02d:%02d:%02d.%06dZ,device-%02d,%.3f,%d,%s\n"
        % (
            n // 3600 % 24,
            n // 60 % 60,
            n % 60,
            n % 1_000_000,
            n % 50,
            rng.random() * 100,
            rng.randrange(1000),
            b"true" if n % 2 else b"false",
        )
        for n in range(rows)
    )
    return HEADER + b"".join(lines)


def jsonl_bytes(csv: bytes) -> bytes:
    """The same records."""
    form = b'{"ts":"%s","device":"%s","temperature":%s,"count":%s,"ok":%s}\n'
    return b"".join(form % tuple(line.split(b",")) for line in csv.splitlines()[1:])


def lp_bytes(csv: bytes) -> bytes:
    """The same records, one second apart."""
    cells = (line.split(b",") for line in csv.splitlines()[1:])
    form = b"lp,device=%s temperature=%s,count=%si,ok=%s %d\n"
    return b"".join(form % (c[1], c[2], c[3], c[4], 1_795_305_600_000_000_000 + n * 1_000_000) for n, c in enumerate(cells))


def codecs() -> Iterator[Row]:
    """Each codec alone, on one thread of ours."""
    target = Target("s", SystemClock(), tags=("device",))
    csv = csv_bytes(ROWS)
    jsonl = jsonl_bytes(csv)
    table = arrow_csv.read_csv(pa.BufferReader(csv))
    file = io.BytesIO()
    arrow_parquet.write_table(table, file)
    zipped = gzip.compress(csv, 1)
    csv_peer = _rate(lambda: arrow_csv.read_csv(pa.BufferReader(csv)).num_rows)
    json_peer = _rate(lambda: arrow_json.read_json(pa.BufferReader(jsonl)).num_rows)
    yield _row("CSV codec", _rate(lambda: _count(read_csv(_content(csv), target))), csv_peer)
    yield _row("CSV codec, gzip", _rate(lambda: _count(read_csv(GzipContent(_content(zipped), bytes_max=1 << 40), target))), csv_peer)
    yield _row("JSON lines codec", _rate(lambda: _count(read_jsonl(_content(jsonl), target))), json_peer)
    yield _row("Parquet codec", _rate(lambda: _count(read_parquet(file, target, bytes_max=1 << 40))), None)
    lines = lp_bytes(csv)
    yield _row(
        "line protocol codec, from a file", _rate(lambda: _count(read_lp(_content(lines), target.clock, precision=Precision.AUTO))), None
    )
    broken = csv.splitlines(keepends=True)
    broken[1::10_000] = [b"broken\n"] * len(broken[1::10_000])
    dirty = _rate(lambda: _count(read_csv(_content(b"".join(broken)), target)))
    yield Row("CSV codec, every 10,000th line broken", f"{dirty:,.0f} records/s", f"PyArrow refuses the file; clean {csv_peer:,.0f}", None)


def dropped() -> Iterator[Row]:
    """Into a running service: from the rename into the inbox until the file lies in ``done/``, which is after the commit."""
    csv = csv_bytes(DROPPED_ROWS)
    with tempfile.TemporaryDirectory() as name:
        service = Running(Path(name) / "box", config=CONFIG, fresh=True).start()
        assert service.process is not None
        try:
            for notation, data in (("csv", csv), ("jsonl", jsonl_bytes(csv))):
                before = cpu_seconds(service.process.pid)
                seconds = _drop(service.folder / "inbox", f"{notation}.{notation}", data)
                cpu = cpu_seconds(service.process.pid) - before
                memory_mb = psutil.Process(service.process.pid).memory_info().rss / 1e6
                count = service.query(f"SELECT count(*) AS n FROM {notation}")[0]["n"]
                assert count == DROPPED_ROWS
                rate = DROPPED_ROWS / seconds
                yield Row(
                    f"{notation} dropped as a file, committed ({cpu:.1f} s CPU, {memory_mb:.0f} MB)",
                    f"{rate:,.0f} records/s",
                    f"at least {LIMIT:,} records/s",
                    rate >= LIMIT,
                )
        finally:
            service.stop()


def rows() -> Iterator[Row]:
    """All of it."""
    yield from codecs()
    yield from dropped()


def _drop(inbox: Path, name: str, data: bytes) -> float:
    part = inbox / ".part"
    part.write_bytes(data)
    started = time.perf_counter()
    part.rename(inbox / name)
    while not (inbox / "done" / name).exists():
        pause(0.005)
    return time.perf_counter() - started


def _content(data: bytes) -> Content:
    return PlainContent(io.BytesIO(data), size=len(data))


def _count(pieces: Pieces) -> int:
    return sum(piece.rows for piece in pieces)


def _rate(read: Callable[[], int]) -> float:
    """The best of three, in records a second."""
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        count = read()
        best = max(best, count / (time.perf_counter() - started))
    return best


def _row(what: str, rate: float, peer: float | None) -> Row:
    against = f"at least {LIMIT:,} records/s" + (f"; PyArrow alone {peer:,.0f}" if peer else "")
    return Row(what, f"{rate:,.0f} records/s", against, rate >= LIMIT)


if __name__ == "__main__":
    show(rows())
