"""Records, rounds and answers for the tests of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from appliance.hot.stream.values import Points
from appliance.hot.stream.windows.aggregates import Aggregate, Function
from appliance.hot.stream.windows.sessions import SessionPanes
from appliance.hot.stream.windows.table import PaneTable
from tests.duck import plain_duckdb
from tests.hot.stream.windows.reference import Point, Record, vector_of, watermarks

X, N, S = 0, 1, 2
"""The input vectors: a float, an int, a text."""
_NUMERIC = (
    Function.COUNT,
    Function.SUM,
    Function.AVG,
    Function.MIN,
    Function.MAX,
    Function.FIRST,
    Function.LAST,
    Function.STDDEV,
    Function.DELTA,
    Function.RATE,
    Function.DISTINCT,
)
_TEXT = (Function.COUNT, Function.FIRST, Function.LAST, Function.DISTINCT)
EVERY = (
    Aggregate(Function.COUNT_ALL),
    *(Aggregate(function, argument) for argument in (X, N) for function in _NUMERIC),
    *(Aggregate(Function.QUANTILE, argument, share) for argument in (X, N) for share in (0.0, 0.5, 0.9)),
    *(Aggregate(function, S) for function in _TEXT),
)
"""Each function of each argument that it can be had of."""
EXACT = frozenset(
    {Function.COUNT_ALL, Function.COUNT, Function.MIN, Function.MAX, Function.FIRST, Function.LAST, Function.DISTINCT, Function.DELTA}
)
FLOATS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, 1e9, 1e-3]), st.floats(-1e6, 1e6), st.just(math.nan), st.just(math.inf))
INTS = st.one_of(st.none(), st.integers(-5, 5), st.integers(-(2**40), 2**40))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "é"]))
_STEPS = st.one_of(st.integers(0, 3), st.integers(0, 25), st.sampled_from([0, 10, 60, 400]))


@st.composite
def in_order(draw: st.DrawFn, *, keys: int = 3, most: int = 40) -> list[Record]:
    """Records of some keys, each in its own order; some keys are behind the others from the start, and may fall behind."""
    times = [draw(st.sampled_from([0, 0, -35, -300])) for _ in range(keys)]
    records = []
    for seq in range(draw(st.integers(0, most))):
        key = draw(st.integers(0, keys - 1))
        times[key] += draw(_STEPS)
        if draw(st.integers(0, 5)) == 0:
            # the device has seen what time it is
            times[key] = max(times)
        records.append(Record(key, times[key], draw(FLOATS), draw(INTS), draw(TEXTS), seq))
    return records


@st.composite
def any_order(draw: st.DrawFn) -> list[Record]:
    """Records in any order of time."""
    times = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 200)), max_size=40))
    return [Record(key, ts, draw(FLOATS), draw(INTS), draw(TEXTS), seq) for seq, (key, ts) in enumerate(times)]


def cuts(most: int = 40) -> st.SearchStrategy[list[int]]:
    """Where rounds begin."""
    return st.lists(st.integers(1, most), max_size=8, unique=True).map(sorted)


def columns(records: Sequence[Record]) -> dict[str, Any]:
    """Arguments of ``take``, but for the watermark."""
    return {
        "ids": np.array([r.key for r in records], np.int64),
        "ts": np.array([r.ts for r in records], np.int64),
        "seqs": np.array([r.seq for r in records], np.int64),
        "vectors": (
            vector_of([r.x for r in records], "float"),
            vector_of([r.i for r in records], "int"),
            vector_of([r.s for r in records], "text"),
        ),
    }


def rounds(records: Sequence[Record], at: Sequence[int]) -> list[tuple[int, Sequence[Record]]]:
    """Stretches of records with the row that each begins with; none is empty."""
    edges = [0, *(c for c in at if c < len(records)), len(records)]
    return [(start, records[start:stop]) for start, stop in pairwise(edges) if stop > start]


def taken(
    table: PaneTable | SessionPanes, records: Sequence[Record], at: Sequence[int], lateness_us: int, first: int = 0
) -> list[tuple[int, Points]]:
    """Gives the records from ``first`` on to a table in rounds; (row that each round begins with, its points)."""
    before = watermarks(records, lateness_us)
    out = []
    for start, part in rounds(records, [first, *at] if first else at):
        if start >= first:
            watermark = np.array(before[start : start + len(part)], np.int64)
            out.append((start, table.take(**columns(part), watermark=watermark, watermark_us=int(watermark[-1]))))
    return out


def of_sql(points: Sequence[Point]) -> list[tuple[Any, ...]]:
    """DuckDB's values of ``EVERY`` over the records of each point, in their order."""
    inside = [(at, r) for at, point in enumerate(points) for r in point.records]
    given = pa.table(
        {
            "point": pa.array([at for at, _ in inside], pa.int64()),
            "seq": pa.array([r.seq for _, r in inside], pa.int64()),
            "ts": pa.array([r.ts for _, r in inside], pa.int64()),
            "x": pa.array([_finite(r.x) for _, r in inside], pa.float64()),
            "i": pa.array([r.i for _, r in inside], pa.int64()),
            "s": pa.array([r.s for _, r in inside], pa.string()),
        }
    )
    names = "".join(f", {_sql(aggregate)}" for aggregate in EVERY)
    every = f"(SELECT unnest(range({len(points)})) AS point) p"
    with plain_duckdb() as connection:
        connection.register("r", given)
        found = connection.execute(f"SELECT p.point{names} FROM {every} LEFT JOIN r USING (point) GROUP BY ALL ORDER BY 1").fetchall()
    return [row[1:] for row in found]


def assert_same_values(points: Points, expected: Sequence[tuple[Any, ...]], records: Sequence[Record]) -> None:
    """The values of ``EVERY`` are those of DuckDB: exact, or within 1e-9 of the size of what goes in."""
    scale = {
        X: max((abs(v) for r in records if (v := _finite(r.x)) is not None), default=0.0),
        N: max((abs(r.i or 0) for r in records), default=0),
    }
    for aggregate, vector, column in zip(EVERY, points.vectors, zip(*expected, strict=True), strict=True):
        found = [vector.at(row) for row in range(len(points))]
        if aggregate.function in EXACT:
            assert found == list(column), aggregate
            continue
        for mine, theirs in zip(found, column, strict=True):
            size = scale[aggregate.argument or 0] * len(records)
            near = mine == theirs if mine is None or theirs is None else math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-12 * size)  # type: ignore[arg-type]
            assert near, (aggregate, mine, theirs)


def renumbered(records: Sequence[Record]) -> list[Record]:
    """With sequences in their order."""
    return [replace(record, seq=seq) for seq, record in enumerate(records)]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _sql(aggregate: Aggregate) -> str:
    if aggregate.argument is None:
        return "count(r.seq)"
    name = "xis"[aggregate.argument]
    first, last = (f"first({name} ORDER BY ts {way}, seq {way}) FILTER ({name} IS NOT NULL)" for way in ("", "DESC"))
    apart = f"((max(ts) FILTER ({name} IS NOT NULL) - min(ts) FILTER ({name} IS NOT NULL)) / 1e6)"
    match aggregate.function:
        case Function.FIRST:
            return first
        case Function.LAST:
            return last
        case Function.DELTA:
            return f"{last} - {first}"
        case Function.RATE:
            return f"CASE WHEN {apart} > 0 THEN ({last} - {first}) / {apart} END"
        case Function.DISTINCT:
            return f"count(DISTINCT {name})"
        case Function.QUANTILE:
            return f"quantile_cont({name}, {aggregate.parameter})"
        case Function.SUM:
            return f"sum({name}::DOUBLE)"
        case _:
            return f"{aggregate.function}({name})"
