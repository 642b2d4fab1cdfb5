"""Full scans and aggregates over the merged view, against DuckDB on the same rows in one sorted Parquet file, same threads, same run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from statistics import median

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from appliance.clock import US_PER_DAY, US_PER_S, SystemClock
from appliance.hot.reader import HotReader
from appliance.hot.series import fit
from appliance.hot.state import ALL_TAGS, Chunk, State, StreamState
from appliance.serving.engine import Engine
from appliance.serving.question import Question
from appliance.serving.source import StateSource, Store
from tests.bench.query_lake import CPU, cpu_rows, merge_sorted, write_parquet, write_segment
from tests.bench.report import Row, note

HOSTS, DAYS, STEP_US = 100, 10, 10 * US_PER_S
STEPS_A_DAY = US_PER_DAY // STEP_US
HOT_SHARE = 0.02
FIRST_US = 20_454 * US_PER_DAY
ROUNDS = 9
ASKED = 1.3


def _each(function: str) -> str:
    return ", ".join(f"{function}({c.name})" for c in CPU.fields)


QUERIES = {
    "avg and max of 2 fields": "SELECT avg(usage_user), max(usage_system) FROM cpu",
    "avg by host": "SELECT hostname, avg(usage_user) FROM cpu GROUP BY hostname",
    "avg by hour and host": "SELECT date_trunc('hour', ts) AS hour, hostname, avg(usage_user) FROM cpu GROUP BY ALL",
    "avg of 10 fields by hour and host": f"SELECT date_trunc('hour', ts) AS hour, hostname, {_each('avg')} FROM cpu GROUP BY ALL",
    "max of 10 fields by host": f"SELECT hostname, {_each('max')} FROM cpu GROUP BY hostname",
    "distinct racks and regions": "SELECT count(DISTINCT rack), count(DISTINCT region) FROM cpu",
    "rows above a threshold (1 in 100)": "SELECT * FROM cpu WHERE usage_user > 99",
    "quantiles of a field": "SELECT quantile_cont(usage_user, [0.5, 0.99]) FROM cpu",
}
FROM_METADATA = {"count(*)": "SELECT count(*) FROM cpu", "max of a time": "SELECT max(ts) FROM cpu"}
"""What DuckDB answers for a single file without a scan: shown, but no measure of scanning."""


def rows() -> Iterator[Row]:
    """One for each query."""
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        source, hot_rows = _fill(folder)
        threads = 2
        engine = Engine(root=folder, temp=folder / "temp", temp_bytes_max=1 << 30, memory_max=2 << 30, threads=threads, clock=SystemClock())
        plain = duckdb.connect(config={"threads": threads})
        plain.execute(f"CREATE VIEW cpu AS SELECT * FROM read_parquet('{folder}/one.parquet')")
        plain.execute("SET parquet_metadata_cache = true")
        total = HOSTS * DAYS * STEPS_A_DAY
        note(
            f"{total:,} rows of 10 tags and 10 fields in {DAYS} segments, {hot_rows:,} of them hot; {threads} threads; medians of {ROUNDS}"
        )
        for what, sql in QUERIES.items():
            ours, theirs = _race(partial(_ask, engine, source, sql), partial(_plain, plain, sql))
            figure = f"{ours:.1f} ms, {ours / theirs:.2f} x"
            yield Row(f"merged view: {what}", figure, f"<= {ASKED} x DuckDB on one sorted file ({theirs:.1f} ms)", ours <= ASKED * theirs)
        for what, sql in FROM_METADATA.items():
            ours, theirs = _race(partial(_ask, engine, source, sql), partial(_plain, plain, sql))
            yield Row(f"merged view: {what}", f"{ours:.1f} ms", f"DuckDB from the metadata of one file: {theirs:.1f} ms", None)
        plain.close()
        engine.close()


def _race(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Medians in milliseconds, taken in turns so that a busy machine is busy for both."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS + 1):
        for which, call in enumerate((ours, theirs)):
            at = time.perf_counter()
            call()
            spent[which].append((time.perf_counter() - at) * 1e3)
    return median(spent[0][1:]), median(spent[1][1:])


def _ask(engine: Engine, source: Callable[[], StateSource], sql: str) -> pa.Table:
    with engine.answer(Question(sql=sql, id="bench"), source(), now_us=FIRST_US) as answer:
        return pa.Table.from_batches(list(answer.batches()), answer.schema)


def _plain(plain: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    return plain.sql(sql).to_arrow_table()


def _fill(folder: Path) -> tuple[Callable[[], StateSource], int]:
    """The lake, one file with all rows, and the newest part of the last day as hot rows."""
    (folder / "temp").mkdir()
    last_seq = HOSTS * DAYS * STEPS_A_DAY
    mark = int(last_seq * (1 - HOT_SHARE)) // HOSTS * HOSTS
    segments = []
    newest = pa.table({})
    for day in range(DAYS):
        first_us, first_seq = FIRST_US + day * US_PER_DAY, 1 + day * STEPS_A_DAY * HOSTS
        newest = cpu_rows(hosts=HOSTS, first_us=first_us, steps=STEPS_A_DAY, step_us=STEP_US, first_seq=first_seq)
        write_parquet(newest, folder / "all" / f"{day}.parquet")
        segments.append(write_segment(folder, newest.filter(pc.field("_seq") <= mark), number=day + 1))
    merge_sorted(folder / "all", folder / "one.parquet")
    hot = newest.filter(pc.field("_seq") > mark).sort_by("_seq").drop_columns(["_seq"])
    assert hot.num_rows == last_seq - mark, "the hot rows are of the last day"
    state = StreamState(
        id=1,
        schema=CPU,
        schemas={1: CPU},
        identity=ALL_TAGS,
        folder="cpu",
        mark=mark,
        last_seq=last_seq,
        ring=tuple(_chunks(hot, mark)),
        segments=tuple(segments),
    )
    store = Store(
        state=lambda: State({"cpu": state}, 1),
        reader=_no_reader,
        latest=lambda _state: newest,
        tables={},
        hot_bytes_max=1 << 30,
        damaged=lambda segment, reason: note(f"{segment.path} {reason}"),
    )
    return (lambda: StateSource(store)), hot.num_rows


def _chunks(hot: pa.Table, mark: int) -> Iterator[Chunk]:
    """As the ring holds them: about a megabyte each, tags as dictionaries."""
    for start in range(0, hot.num_rows, 8_192):
        piece = hot.slice(start, 8_192).combine_chunks()
        data = fit(_with_dictionaries(piece), CPU)
        times = data.column(0).cast(pa.int64()).to_numpy()
        first = mark + 1 + start
        yield Chunk(first, first + data.num_rows - 1, data, int(times.min()), int(times.max()), data.nbytes, 1)


def _with_dictionaries(table: pa.Table) -> pa.RecordBatch:
    columns = [c.combine_chunks().dictionary_encode() if pa.types.is_string(c.type) else c.combine_chunks() for c in table.columns]
    return pa.RecordBatch.from_arrays(columns, names=table.column_names)


def _no_reader() -> AbstractContextManager[HotReader]:
    raise AssertionError("the ring holds every hot row")
