"""The sessions are those that DuckDB finds with window functions over the same records."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.sessions.tracker import SessionTracker
from appliance.hot.stream.sessions.values import SessionAggregate
from appliance.hot.stream.values import Scalar
from appliance.hot.stream.windows.aggregates import Function
from tests.duck import plain_duckdb
from tests.examples import examples
from tests.hot.stream.sessions.model import Record, Row
from tests.hot.stream.sessions.rounds import FLOAT, INT, TEXT, feed, streams

GAP = 10
AGGREGATES = {
    "count(*)": SessionAggregate("n", Function.COUNT_ALL),
    "count(f)": SessionAggregate("c", Function.COUNT, FLOAT),
    "min(f)": SessionAggregate("min", Function.MIN, FLOAT),
    "max(i)": SessionAggregate("max", Function.MAX, INT),
    "arg_min(f, (ts, seq)) FILTER (f IS NOT NULL)": SessionAggregate("first", Function.FIRST, FLOAT),
    "arg_max(t, (ts, seq)) FILTER (t IS NOT NULL)": SessionAggregate("last", Function.LAST, TEXT),
    "count(DISTINCT f)": SessionAggregate("df", Function.DISTINCT, FLOAT),
    "count(DISTINCT t)": SessionAggregate("dt", Function.DISTINCT, TEXT),
    "sum(f)": SessionAggregate("sum", Function.SUM, FLOAT),
    "avg(i)": SessionAggregate("avg", Function.AVG, INT),
    "stddev_samp(f)": SessionAggregate("sd", Function.STDDEV, FLOAT),
    "quantile_cont(f, 0.95)": SessionAggregate("q", Function.QUANTILE, FLOAT, 0.95),
    "median(f)": SessionAggregate("m", Function.QUANTILE, FLOAT, 0.5),
}
SQL = f"""
    WITH marked AS (
        SELECT *, ts - lag(ts) OVER w >= {GAP} IS NOT FALSE AS starts FROM records WINDOW w AS (PARTITION BY key ORDER BY ts, seq)
    ), numbered AS (
        SELECT *, count(*) FILTER (starts) OVER (PARTITION BY key ORDER BY ts, seq ROWS UNBOUNDED PRECEDING) AS number FROM marked
    )
    SELECT key, min(ts), max(ts), count(*), min(seq), max(seq), {", ".join(AGGREGATES)} FROM numbered GROUP BY key, number
"""


def by_duckdb(records: list[Record]) -> dict[tuple[int, int], Row]:
    columns = [[getattr(r, name) for r in records] for name in ("key", "ts", "seq")]
    floats, ints, texts = ([r.values[a] for r in records] for a in (FLOAT, INT, TEXT))
    floats = [v if v is not None and np.isfinite(float(v)) else None for v in floats]
    arrays = [pa.array(c, pa.int64()) for c in columns]
    arrays += [pa.array(floats, pa.float64()), pa.array(ints, pa.int64()), pa.array(texts, pa.string())]
    with plain_duckdb() as connection:
        connection.register("records", pa.Table.from_arrays(arrays, names=["key", "ts", "seq", "f", "i", "t"]))
        return {(row[0], row[1]): row[2:] for row in connection.execute(SQL).fetchall()}


def alike(have: Scalar, want: Scalar, scale: float) -> bool:
    if isinstance(have, float) and isinstance(want, float):
        return have == pytest.approx(want, rel=1e-9, abs=1e-9 * scale)
    return have == want


def check(found: dict[tuple[int, int], Row], records: list[Record]) -> None:
    wanted = by_duckdb(records)
    assert found.keys() == wanted.keys()
    numbers = (v for r in records for v in (r.values[FLOAT], r.values[INT]) if v is not None)
    scale = max([1.0, *(abs(float(v)) for v in numbers if np.isfinite(float(v)))])  # sums are floats, of ints too
    for identity, row in wanted.items():
        for have, want in zip(found[identity], row, strict=True):
            assert alike(have, want, scale), (identity, found[identity], row)


@settings(max_examples=examples(40), deadline=None)
@given(streams(late=False), st.lists(st.integers(1, 40), max_size=5))
def test_in_order(records: list[Record], cuts: list[int]) -> None:
    fed = feed(SessionTracker(GAP, 10**9, tuple(AGGREGATES.values())), records, 1_000, cuts)
    check(fed.rows, records)


@settings(max_examples=examples(40), deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(1, 300), max_size=5))
def test_out_of_order_by_less_than_the_lateness_and_a_gap(random: object, cuts: list[int]) -> None:
    """As long as no record is late by more than a gap, the two sessions that a key keeps are enough."""
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    ts = np.cumsum(rng.choice([0, 1, 2, 5, 9, 10, 11, 30], 300)) - rng.integers(0, GAP, 300)
    values = rng.normal(20, 5, 300)
    texts = rng.choice(["a", "b", "c"], 300)
    records = [Record(int(i % 3), int(ts[i]), i, (float(values[i]), int(values[i]), str(texts[i]), None)) for i in range(300)]
    fed = feed(SessionTracker(GAP, 10**9, tuple(AGGREGATES.values())), records, GAP, cuts)
    assert not fed.late
    check(fed.rows, records)
