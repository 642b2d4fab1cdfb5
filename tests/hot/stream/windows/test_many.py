"""Windows of many panes over many keys, where the ways that small cases don't take are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from appliance.hot.stream.values import I64, Points, Vector
from appliance.hot.stream.windows.aggregates import Aggregate, Function
from appliance.hot.stream.windows.table import Mode, PaneTable
from tests.duck import plain_duckdb
from tests.hot.stream.windows.reference import seen

PANE_US, PANES, LATENESS_US = 10, 60, 15
WANTED = (
    Aggregate(Function.COUNT_ALL),
    Aggregate(Function.COUNT, 0),
    Aggregate(Function.SUM, 0),
    Aggregate(Function.MIN, 0),
    Aggregate(Function.MAX, 0),
    Aggregate(Function.FIRST, 0),
    Aggregate(Function.LAST, 0),
    Aggregate(Function.STDDEV, 0),
    Aggregate(Function.QUANTILE, 0, 0.9),
    Aggregate(Function.DISTINCT, 0),
)


@dataclass(frozen=True)
class Stream:
    """In-order rows of many keys: some at a steady pace, some seldom, some far behind."""

    ids: I64
    ts: I64
    values: Vector
    watermark: I64

    @classmethod
    def of(cls, seed: int, rows: int, keys: int) -> Stream:
        rng = np.random.default_rng(seed)
        pace = rng.choice([1, 1, 1, 7, 400], keys)
        times, behind = np.zeros(keys, np.int64), rng.choice([0, 0, 0, 5, 250], keys)
        ids, ts = np.empty(rows, np.int64), np.empty(rows, np.int64)
        for row in range(rows):
            key = int(rng.integers(keys))
            now = row * 12 // keys - int(behind[key])
            times[key] = max(times[key], now // int(pace[key]) * int(pace[key]))
            ids[row], ts[row] = key, times[key]
        values = Vector(np.round(rng.normal(50, 9, rows), 1), rng.random(rows) > 0.1)
        return cls(ids, ts, values, np.maximum.accumulate(ts) - LATENESS_US)

    def into(self, table: PaneTable, start: int, stop: int) -> Points:
        part = np.arange(start, stop)
        return table.take(
            self.ids[part], self.ts[part], part, [self.values.take(part)], self.watermark[part], watermark_us=int(self.watermark[stop - 1])
        )


def new_table(mode: Mode, panes: int) -> PaneTable:
    return PaneTable(pane_us=PANE_US, panes=panes, aggregates=WANTED, mode=mode, lateness_panes=3, lateness_us=LATENESS_US)


def in_rounds(stream: Stream, size: int, mode: Mode, panes: int) -> list[tuple[object, ...]]:
    table = new_table(mode, panes)
    out = []
    for start in range(0, len(stream.ids), size):
        out += seen(stream.into(table, start, min(len(stream.ids), start + size)), first_row=start)
    out += seen(table.advance(int(stream.ts.max()) + 10_000), first_row=len(stream.ids))
    return sorted(out, key=lambda point: point[0])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("mode", "panes"), [(Mode.SLIDING, PANES), (Mode.SLIDING, 7), (Mode.TUMBLING, 1)])
def test_small_and_large_rounds_give_the_same_points_bit_for_bit(seed: int, mode: Mode, panes: int) -> None:
    stream = Stream.of(seed, 6_000, 30)
    whole = in_rounds(stream, 6_000, mode, panes)
    for size in (40, 333):
        assert in_rounds(stream, size, mode, panes) == whole


@pytest.mark.parametrize("size", [50, 4_000])
def test_windows_are_those_of_duckdb(size: int) -> None:
    stream = Stream.of(9, 4_000, 25)
    table = new_table(Mode.SLIDING, PANES)
    parts = [(start, stream.into(table, start, start + size)) for start in range(0, 4_000, size)]
    given = pa.table(
        {"seq": np.arange(4_000), "key": stream.ids, "ts": stream.ts, "v": pa.array([stream.values.at(i) for i in range(4_000)])}
    )
    with plain_duckdb() as connection:
        connection.register("r", given)
        expected = connection.execute(
            f"SELECT p.seq, count(r.seq), count(r.v), sum(r.v), min(r.v), max(r.v),"
            f" first(r.v ORDER BY r.ts, r.seq) FILTER (r.v IS NOT NULL), last(r.v ORDER BY r.ts, r.seq) FILTER (r.v IS NOT NULL),"
            f" stddev(r.v), quantile_cont(r.v, 0.9), count(DISTINCT r.v) FROM r p JOIN r ON r.key = p.key AND r.seq <= p.seq"
            f" AND r.ts // {PANE_US} > p.ts // {PANE_US} - {PANES} GROUP BY p.seq ORDER BY 1"
        ).fetchall()
    found = [(int(points.seq[i]), [v.at(i) for v in points.vectors]) for _, points in parts for i in range(len(points))]
    entering = {seq: values for seq, values in found if seq >= 0}
    assert len(entering) == 4_000
    for seq, *theirs in expected:
        for mine, their in zip(entering[seq], theirs, strict=True):
            assert mine == their or (mine is not None and math.isclose(float(mine), their, rel_tol=1e-9, abs_tol=1e-9)), (seq, mine, their)


def test_a_window_of_ten_thousand_panes_is_kept_by_content_alone() -> None:
    table = PaneTable(pane_us=PANE_US, panes=10_000, aggregates=WANTED[:4])
    stream = Stream.of(3, 2_000, 5)
    stream.into(table, 0, 2_000)
    assert table.bytes < 500_000
    assert [p[4] for p in seen(table.current(np.arange(5)))] == np.bincount(stream.ids).tolist()
