"""Search over ten million texts: hot records and a year of the lake, by two words; the size of the index; two other designs beside it.

The texts are lines of 120 made-up kinds with one to four numbers, addresses or names in each, 10 hosts, sorted in the lake as compaction
sorts them. What is measured is ``find`` as the service calls it, in a process that does nothing else.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from appliance.clock import US_PER_DAY, SystemClock
from appliance.cold.files import Publisher
from appliance.cold.segments import SegmentMeta, write_segment
from appliance.hot.ring import measured
from appliance.hot.state import State, StreamState
from appliance.hybrid.search.finding import Place, fields_of, find
from appliance.hybrid.search.fresh import Fresh
from appliance.hybrid.search.sealed.building import Task, build
from appliance.hybrid.search.sealed.shelf import Shelf
from appliance.manifest import Segment
from appliance.observe.search import SearchQuery
from appliance.records import TAG_TYPE, TS_TYPE, Column, Kind, Schema
from tests.bench.report import Row, note, percentile

RECORDS = int(os.environ.get("BENCH_SEARCH_RECORDS", "10_000_000"))
HOT = min(300_000, RECORDS // 10)
MONTHS = 12
SCHEMA = Schema("log", (Column("host", Kind.TAG), Column("message", Kind.TEXT)))
FIRST_DAY = 20_454
QUERIES = 200
_SYLLABLES = (
    "con",
    "nec",
    "ses",
    "sion",
    "clo",
    "ti",
    "me",
    "out",
    "re",
    "try",
    "disk",
    "net",
    "pac",
    "ket",
    "lo",
    "gin",
    "fail",
    "ser",
    "ver",
    "ca",
)
CLOCK = SystemClock()


def rows() -> Iterator[Row]:
    """See the module."""
    rng = random.Random(6)
    words = sorted({"".join(rng.choices(_SYLLABLES, k=rng.choice((1, 2, 2, 3)))) for _ in range(500)})
    kinds = [_kind(rng, words) for _ in range(120)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        start = CLOCK.monotonic_ns()
        segments = _segments(root, kinds)
        note(f"{RECORDS - HOT:,} records in {len(segments)} segments, in {_s(start):.0f} s")
        state = _state(segments, kinds)
        stream = state.streams["log"]
        shelf, start = Shelf(root), CLOCK.monotonic_ns()
        made = build(Task(str(root), tuple(shelf.missing(stream, fields_of(stream, {}))), 256 << 20))
        shelf.forget()
        assert made.failed == {}
        yield Row("search: index of a year built", f"{(RECORDS - HOT) / _s(start):,.0f} records/s", "in batch, at lowest priority", None)
        yield from _size(root, stream, shelf)
        yield from _speed(root, state, shelf, words, rng)


def _size(root: Path, stream: StreamState, shelf: Shelf) -> Iterator[Row]:
    indexes = [i for g in stream.segments if (i := shelf.index(stream, g, ("message",))) is not None]
    ours, texts = sum(i.size for i in indexes), sum(i.facts.text_bytes for i in indexes)
    many = RECORDS - HOT
    asked = f"<= 1.0 x the text in Parquet ({texts / many:.1f} bytes)"
    yield Row("search: index, bytes a record", f"{ours / many:.1f} ({ours / texts:.2f} x)", asked, ours <= texts)
    table = pq.read_table(root / stream.segments[0].path, columns=["message"]).slice(0, 300_000)
    share = sum(i.facts.text_bytes for i in indexes) / many
    for detail in ("none", "column"):
        size = _fts5(table, detail)
        yield Row(f"  beside it: FTS5, contentless, detail={detail}", f"{size:.1f} ({size / share:.2f} x)", "of one month, optimized", None)


def _fts5(table: pa.Table, detail: str) -> float:
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(f"{folder}/x", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=OFF")
        db.execute(f"CREATE VIRTUAL TABLE x USING fts5(t, content='', detail={detail}, columnsize=0, tokenize='ascii')")
        db.execute("BEGIN")
        db.executemany("INSERT INTO x (rowid, t) VALUES (?, ?)", enumerate(table.column("message").to_pylist()))
        db.execute("INSERT INTO x(x) VALUES ('optimize')")
        db.execute("COMMIT")
        db.execute("VACUUM")
        return float(Path(folder, "x").stat().st_size / table.num_rows)


def _speed(root: Path, state: State, shelf: Shelf, words: list[str], rng: random.Random) -> Iterator[Row]:
    stream = state.streams["log"]
    fresh = Fresh(root, fields=lambda s: fields_of(s, {}))
    start = CLOCK.monotonic_ns()
    while fresh.follow(stream):
        continue
    yield Row("search: hot records indexed", f"{HOT / _s(start):,.0f} records/s", "behind the commits; what is not yet is read", None)
    place = Place(
        root=root,
        state=lambda: state,
        reader=lambda: (_ for _ in ()).throw(AssertionError("all hot records are in the ring")),
        options={},
        clock=CLOCK,
        index=shelf.index,
        fresh=fresh.candidates,
    )
    pairs = [" ".join(rng.sample(words, 2)) for _ in range(QUERIES)]
    lines = pc.take(
        stream.ring[0].data.column("message"), pa.array([rng.randrange(stream.ring[0].rows) for _ in range(QUERIES)])
    ).to_pylist()
    near = [" ".join(rng.sample([w for w in line.replace("=", " ").split() if w.isalpha()][:8], 2)) for line in lines]
    rare = [f"{rng.choice(words)} {rng.randrange(10**6)}" for _ in range(QUERIES)]
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    for what, asked in (("two words of one line", near), ("any two words", pairs), ("a word and a number", rare)):
        times, cpu_ms, found, whole = list[float](), list[float](), 0, 0
        for text in asked:
            start, used_s = CLOCK.monotonic_ns(), time.process_time()
            hits, _, is_whole, _ = find(place, SearchQuery(text=text))
            times.append(_s(start) * 1e3)
            cpu_ms.append((time.process_time() - used_s) * 1e3)
            found, whole = found + bool(hits), whole + is_whole
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        figure = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        note(
            f"{what}: {found} of {len(asked)} found something, {whole} counted to the end, longest {max(times):.0f} ms;"
            f" of a processor p50 {percentile(cpu_ms, 0.5):.0f} ms, p99 {percentile(cpu_ms, 0.99):.0f} ms"
        )
        yield Row(f"search: {RECORDS:,} texts, {what}", figure, "p50 <= 50 ms, p99 <= 300 ms", p50 <= 50 and p99 <= 300)
    grown = (process.memory_info().rss - before) / 1e6
    yield Row("search: memory that searching adds", f"{grown:.0f} MB", "bounded", None)


def _kind(rng: random.Random, words: list[str]) -> list[str]:
    """Words with places for what varies between them."""
    parts = rng.sample(words, rng.randrange(4, 10))
    for place in rng.sample(range(1, len(parts) + 1), rng.choice((1, 1, 2, 2, 3))):
        parts.insert(place, rng.choice(("#number", "#number", "#address", "#id", "#small")))
    return parts


def _lines(kinds: list[list[str]], count: int, rng: np.random.Generator) -> Any:
    """Texts, by column: of each kind so many as Zipf would have it."""
    share = 1 / np.arange(1, len(kinds) + 1)
    which = rng.choice(len(kinds), count, p=share / share.sum())
    pieces, order = [], []
    for number, kind in enumerate(kinds):
        at = np.flatnonzero(which == number)
        if not len(at):
            continue
        columns = [_varied(part, len(at), rng) if part.startswith("#") else pa.scalar(part) for part in kind]
        pieces.append(pc.binary_join_element_wise(*columns, " ") if len(columns) > 1 else columns[0])
        order.append(at)
    place = np.empty(count, np.int64)
    place[np.concatenate(order)] = np.arange(count)
    return pa.concat_arrays(pieces).take(pa.array(place))


def _varied(part: str, count: int, rng: np.random.Generator) -> Any:
    def numbers(most: int) -> Any:
        return pa.array(rng.integers(0, most, count)).cast(pa.string())

    if part == "#address":
        return pc.binary_join_element_wise("10.0", numbers(8), numbers(250), ".")
    if part == "#id":
        return pc.binary_join_element_wise("blk", numbers(10**9), "_")
    return numbers(100 if part == "#small" else 10**5)


def _records(kinds: list[list[str]], *, first_us: int, last_us: int, count: int, seed: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    ts = np.linspace(first_us, last_us, count).astype(np.int64)
    hosts = pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 10, count).astype(np.int32)), pa.array([f"host{i}" for i in range(10)]))
    return pa.array(ts).cast(TS_TYPE), hosts, _lines(kinds, count, rng)


def _segments(root: Path, kinds: list[list[str]]) -> list[Segment]:
    """A file a month, sorted by host and time."""
    publisher, found, first, count = Publisher(root, owner="bench"), list[Segment](), 1, (RECORDS - HOT) // MONTHS
    months = [int(np.datetime64(f"2026-{m:02}", "D").astype(np.int64)) for m in range(1, 13)] + [FIRST_DAY + 365]
    for number, (day, after) in enumerate(itertools.pairwise(months)):
        many = count if number < MONTHS - 1 else RECORDS - HOT - count * (MONTHS - 1)
        ts, hosts, texts = _records(kinds, first_us=day * US_PER_DAY, last_us=after * US_PER_DAY - 1, count=many, seed=number)
        table = pa.table({"ts": ts, "host": hosts, "message": texts, "_seq": pa.array(np.arange(first, first + many))})
        order = np.lexsort((np.arange(many), hosts.indices.to_numpy()))
        table = table.take(pa.array(order))
        meta = SegmentMeta(SCHEMA, "bench", day, 2, ("host", "ts"), after - day)
        pieces = (table.slice(at, 400_000) for at in range(0, many, 400_000))
        segment = write_segment(pieces, publisher=publisher, folder="log", meta=meta)
        found.append(segment)
        first += many
    return found


def _state(segments: list[Segment], kinds: list[list[str]]) -> State:
    mark, day = RECORDS - HOT, FIRST_DAY + 365
    ts, hosts, texts = _records(kinds, first_us=day * US_PER_DAY, last_us=day * US_PER_DAY + 10**10, count=HOT, seed=99)
    data = pa.RecordBatch.from_arrays([ts, hosts.cast(TAG_TYPE), texts], schema=SCHEMA.arrow)
    ring = []
    for at in range(0, HOT, 8_192):
        piece = data.slice(at, 8_192)
        times = piece.column(0).cast(pa.int64())
        ring.append(measured(mark + 1 + at, piece, ts_min=pc.min(times).as_py(), ts_max=pc.max(times).as_py(), schema_version=1))
    stream = StreamState(
        id=1,
        schema=SCHEMA,
        schemas=MappingProxyType({1: SCHEMA}),
        identity=None,
        folder="log",
        mark=mark,
        last_seq=RECORDS,
        ring=tuple(ring),
        segments=tuple(segments),
    )
    return State(MappingProxyType({"log": stream}))


def _s(start_ns: int) -> float:
    return (CLOCK.monotonic_ns() - start_ns) / 1e9
