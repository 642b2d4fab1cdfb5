from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.values import Points, Vector
from appliance.hot.stream.windows.aggregates import NEVER, Aggregate, Function
from appliance.hot.stream.windows.table import Mode, PaneTable
from appliance.records import Kind
from tests.duck import plain_duckdb
from tests.examples import examples
from tests.hot.stream.windows.cases import EVERY, X, taken
from tests.hot.stream.windows.reference import Record, seen, vector_of
from tests.hot.stream.windows.test_table import all_seen, new_table


def fed(table: PaneTable, values: Sequence[object], kind: str, *, ts: Sequence[int] | None = None, first_seq: int = 0) -> Points:
    """One key, one round."""
    count = len(values)
    times = np.arange(count) + first_seq if ts is None else np.array(ts, np.int64)
    ids, seqs = np.zeros(count, np.int64), np.arange(first_seq, first_seq + count)
    return table.take(ids, times, seqs, [vector_of(values, kind)], np.full(count, NEVER), watermark_us=NEVER)


def one(function: Function, *, panes: int = 1, pane_us: int = 10_000, values_max: int = 100, parameter: float | None = None) -> PaneTable:
    return PaneTable(pane_us=pane_us, panes=panes, aggregates=[Aggregate(function, 0, parameter)], values_max=values_max)


def last(points: Points) -> object:
    return points.vectors[0].at(len(points) - 1)


@given(
    offset=st.sampled_from([0.0, 1e9, -1e9, 1e12]),
    noise=st.lists(st.floats(-1, 1), min_size=2, max_size=30),
    outlier=st.sampled_from([None, 1e9, -3e10]),
    pane_us=st.sampled_from([1, 7, 1_000]),
)
@settings(max_examples=examples(40), deadline=None)
def test_a_deviation_around_a_large_offset_is_right(offset: float, noise: list[float], outlier: float | None, pane_us: int) -> None:
    values = [offset + n for n in noise] + ([] if outlier is None else [outlier])
    found = last(fed(one(Function.STDDEV, panes=1_000, pane_us=pane_us), values, "float"))
    exact = math.sqrt(statistics.variance([Fraction(v) for v in values]))
    assert isinstance(found, float)
    assert math.isclose(found, exact, rel_tol=1e-9, abs_tol=1e-12 * (1 + abs(offset)) if exact < 1e-6 else 0.0)
    with plain_duckdb() as connection:
        theirs = connection.execute("SELECT stddev(v) FROM (SELECT unnest($1::DOUBLE[]) AS v)", [values]).fetchone()
    assert theirs is not None
    assert math.isclose(found, theirs[0], rel_tol=1e-6, abs_tol=1e-3 if abs(offset) > 1e10 else 1e-6)


def test_ints_beyond_the_reach_of_floats_stay_exact() -> None:
    big = 2**60
    for function, expected in ((Function.MIN, big + 1), (Function.MAX, big + 3), (Function.FIRST, big + 3), (Function.DELTA, -2)):
        assert last(fed(one(function), [big + 3, None, big + 1], "int")) == expected
    assert last(fed(one(Function.DELTA), [-(2**62), 2**62], "int")) is None


def test_what_is_too_large_for_a_float_is_null() -> None:
    for function in (Function.SUM, Function.AVG, Function.STDDEV, Function.DELTA):
        assert (
            last(fed(one(function), [1.5e308, 1.5e308] if function in (Function.SUM, Function.AVG) else [-1.5e308, 1.5e308], "float"))
            is None
        )


def test_an_argument_may_get_wider() -> None:
    table = one(Function.FIRST, panes=3)
    assert last(fed(table, [None], "float")) is None
    assert last(fed(table, [True], "bool", first_seq=1)) is True
    assert last(fed(table, [5], "int", first_seq=2)) == 1
    assert last(fed(table, [0.5], "float", first_seq=3)) == 1.0
    assert last(fed(table, [7], "int", first_seq=4)) == 1.0
    for function in (Function.MIN, Function.MAX, Function.LAST, Function.DISTINCT):
        table = one(function, panes=3)
        fed(table, [2, None], "int")
        found = last(fed(table, [None, 2.5], "float", first_seq=2, ts=[20_000, 20_001]))
        assert found == {Function.MIN: 2.0, Function.MAX: 2.5, Function.LAST: 2.5, Function.DISTINCT: 2}[function]


def test_texts_and_numbers_do_not_mix() -> None:
    table = one(Function.LAST)
    fed(table, [1.5], "float")
    assert last(fed(table, [None], "text", first_seq=1)) == 1.5
    with pytest.raises(AssertionError, match="make a new table"):
        fed(table, ["a"], "text", first_seq=2)


@pytest.mark.parametrize("function", [f for f in Function if f not in (Function.COUNT_ALL, Function.QUANTILE)])
def test_what_can_be_had_of_texts_is_said_before(function: Function) -> None:
    table = one(function)
    if Aggregate(function, 0).refusal(Kind.TEXT) is None:
        assert last(fed(table, ["a", "b"], "text")) in (2, "a", "b")
    else:
        with pytest.raises(AssertionError, match="needs numbers"):
            fed(table, ["a"], "text")


def test_texts_that_left_all_windows_are_forgotten() -> None:
    table = PaneTable(
        pane_us=10, panes=2, aggregates=[Aggregate(Function.LAST, 0), Aggregate(Function.FIRST, 0), Aggregate(Function.DISTINCT, 0)]
    )
    for start in range(0, 60_000, 500):
        points = fed(table, [f"text {start + i}" for i in range(500)], "text", first_seq=start)
        assert points.vectors[0].at(499) == f"text {start + 499}"
        assert points.vectors[1].at(499) == f"text {(start + 499) // 10 * 10 - 10}"
        assert points.vectors[2].at(499) == 20
    assert table.bytes < 4_000_000


@pytest.mark.parametrize("function", [Function.DISTINCT, Function.QUANTILE])
def test_too_many_values_give_null_until_there_are_fewer(function: Function) -> None:
    table = one(function, panes=2, pane_us=10, values_max=15, parameter=0.5 if function is Function.QUANTILE else None)
    points = fed(table, [float(i) for i in range(40)], "float", ts=[*range(30), *range(200, 210)])
    valid = points.vectors[0].valid.tolist()
    assert valid == [i < 15 or 20 <= i < 25 or i >= 30 for i in range(40)]
    assert table.overfull.tolist() == []
    fed(table, [0.0] * 20, "float", ts=[300] * 20, first_seq=40)
    assert table.overfull.tolist() == [0]
    table.advance(330)
    assert table.overfull.tolist() == []


def test_memory_is_bounded_by_keys_and_panes() -> None:
    rng = np.random.default_rng(1)
    sizes = []
    table = PaneTable(pane_us=10, panes=6, aggregates=[*EVERY[:12], Aggregate(Function.QUANTILE, 0, 0.5)], lateness_panes=2, values_max=100)
    for number in range(300):
        ids = rng.integers(0, 20, 200)
        ts = number * 50 + np.sort(rng.integers(0, 50, 200))
        vectors = [vector_of([float(v) for v in range(200)], "float"), vector_of(list(range(200)), "int")]
        table.take(ids, ts, np.arange(200) + number * 200, vectors, ts - 5, watermark_us=int(ts[-1] - 5))
        sizes.append(table.bytes)
    assert max(sizes[50:]) <= 1.5 * max(sizes[:50])
    assert max(sizes) < 20 * (16 * 40 * 8 + 4 * 8 * 200 * 2) * 2


def test_a_round_without_rows_is_time_that_goes_on() -> None:
    table = new_table(Mode.TUMBLING, 1)
    taken(table, [Record(0, 5, 1.0, seq=0)], [], 0)
    empty = np.empty(0, np.int64)
    points = table.take(empty, empty, empty, [], empty, watermark_us=10)
    assert [p[:5] for p in seen(points)] == [(0, 0, 10, -1, 1)]
    assert table.watermark_us == 10


def test_a_key_that_is_far_behind_keeps_its_windows() -> None:
    """Key 1 sends at the pace of key 0, hours behind: nothing leaves its windows before it is silent for itself."""
    table = new_table(Mode.SLIDING, 3, lateness_us=5)
    records = [Record(k, 10_000 + 10 * i - 3_600 * k, 1.0, seq=2 * i + k) for i in range(8) for k in (0, 1)]
    found = [p for p in all_seen(taken(table, records, [], 5)) if p[0] == 1]
    assert [p[4] for p in found] == [1, 2, 3, 3, 3, 3, 3, 3]
    assert len(table.advance(10_079)) == 0
    assert [p[2:5] for p in seen(table.advance(10_100)) if p[0] == 1] == [(6_480, -1, 2), (6_490, -1, 1), (6_500, -1, 0)]


def test_times_before_1970_have_panes_too() -> None:
    points = fed(one(Function.COUNT, panes=2, pane_us=10), [1.0, 2.0, 3.0], "float", ts=[-25, -11, -1])
    assert [points.vectors[0].at(i) for i in range(3)] == [1, 2, 2]


def test_a_null_vector_of_any_kind_is_no_value() -> None:
    table = one(Function.AVG)
    nothing = Vector(np.zeros(2, np.int32), np.zeros(2, np.bool_), ())
    zeros, two = np.zeros(2, np.int64), np.arange(2)
    points = table.take(zeros, zeros, two, [nothing], zeros, watermark_us=0)
    assert not points.vectors[0].valid.any()


@pytest.mark.parametrize("x", [X])
def test_a_tumbling_window_is_one_pane(x: int) -> None:
    with pytest.raises(AssertionError, match="one pane"):
        PaneTable(pane_us=1, panes=2, aggregates=[Aggregate(Function.SUM, x)], mode=Mode.TUMBLING)
