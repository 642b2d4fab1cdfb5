"""What decides in the first pass: which streams, what is told, what is passed over, which series there are."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config import Config
from appliance.hot.series import series_hashes
from appliance.hybrid.analysis.live.passing import left_waiting
from appliance.hybrid.analysis.live.series import KeyTable
from appliance.hybrid.analysis.live.telling import Telling, unusual_from
from appliance.hybrid.analysis.live.times import SlotTimes
from appliance.hybrid.analysis.live.wanted import Wanted
from appliance.hybrid_options import AnalysisOptions, WatchOptions, analyses
from appliance.records import TAG_TYPE
from appliance.workload_options import AlertOptions

S = 1_000_000


@pytest.mark.parametrize(
    ("options", "stream", "column", "wanted"),
    [
        ({}, "readings", "t", (True, True)),
        ({}, "_internal", "t", (False, True)),
        ({"streams": ("read*",)}, "Readings", "t", (True, True)),
        ({"streams": ("read*",)}, "bread", "t", (False, True)),
        ({"streams": ("a", "*.b")}, "x.b", "t", (True, True)),
        ({"streams": ("a", "*.b")}, "xyb", "t", (False, True)),
        ({"except_streams": ("host*",)}, "host_cpu", "t", (False, True)),
        ({"columns": ("t", "load*")}, "readings", "LOAD1", (True, True)),
        ({"except_columns": ("*_total",)}, "readings", "bytes_total", (True, False)),
        ({"streams": ()}, "readings", "t", (False, True)),
    ],
)
def test_what_an_analysis_looks_at(options: dict[str, Any], stream: str, column: str, wanted: tuple[bool, bool]) -> None:
    found = Wanted(AnalysisOptions(**options))
    assert (found.stream(stream), found.column(column)) == wanted


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ("Bytes_per_s", "errors")),
        ({"columns": ("bytes", "errors")}, ("bytes", "errors")),
        ({"except_columns": ("*_per_s",)}, ("bytes", "errors")),
    ],
)
def test_a_total_is_left_out_beside_its_rate(options: dict[str, Any], names: tuple[str, ...]) -> None:
    assert Wanted(AnalysisOptions(**options)).fields(["bytes", "Bytes_per_s", "errors"]) == names


@pytest.mark.parametrize(
    ("workloads", "default", "names"),
    [
        ({}, True, ["watch"]),
        ({}, False, []),
        ({"mine": AnalysisOptions()}, True, ["mine"]),
        ({"watch": AlertOptions(stream="a", when="t > 1")}, True, ["_watch"]),
    ],
)
def test_which_analyses_there_are(workloads: dict[str, Any], default: bool, names: list[str]) -> None:
    assert list(analyses(workloads, WatchOptions(default=default))) == names


def test_the_analysis_that_comes_by_itself_is_a_workload_like_any(tmp_path: Any) -> None:
    assert list(Config(data_dir=tmp_path).all_workloads) == ["watch"]


@pytest.mark.parametrize(("sensitivity", "score"), [(1.0, 0.9), (0.5, 0.945), (0.1, 0.981)])
def test_the_more_sensitive_the_less_must_be_unusual(sensitivity: float, score: float) -> None:
    assert unusual_from(sensitivity) == pytest.approx(score)


def test_of_a_storm_each_second_is_told_and_each_new_height() -> None:
    telling: Telling[str] = Telling()
    come = [(0.0, 0.95), (0.1, 0.95), (0.2, 0.97), (0.3, 0.96), (0.9, 0.95), (1.02, 0.95), (1.3, 0.99)]
    assert [telling.take("a", int(at * S), score) for at, score in come] == [1, 0, 2, 0, 0, 3, 1]
    assert telling.take("b", 0, 0.9) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5 * S), st.sampled_from([0.9, 0.95, 0.99]))), st.integers(0, 30))
def test_what_is_told_goes_on_after_a_restart(come: list[tuple[str, int, float]], cut: int) -> None:
    whole: Telling[str] = Telling()
    told = [whole.take(*one) for one in come]
    before: Telling[str] = Telling()
    first = [before.take(*one) for one in come[:cut]]
    after: Telling[str] = Telling()
    after.load(before.dump())
    assert first + [after.take(*one) for one in come[cut:]] == told
    assert sum(told) <= len(come)


@pytest.mark.parametrize(
    ("waiting", "rows_max", "left"),
    [
        ({"a": 5, "b": 3}, 10, {"a": 5, "b": 3}),
        ({"a": 50, "b": 3}, 10, {"a": 7, "b": 3}),
        ({"a": 50, "b": 60}, 10, {"a": 5, "b": 5}),
        ({"a": 50, "b": 60, "c": 0}, 11, {"a": 5, "b": 6, "c": 0}),
        ({}, 10, {}),
    ],
)
def test_the_streams_with_the_most_give_up_theirs(waiting: dict[str, int], rows_max: int, left: dict[str, int]) -> None:
    assert left_waiting(waiting, rows_max) == left


def table(names: list[str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(names, pa.string()).dictionary_encode().cast(TAG_TYPE)], names=["device"])


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1), st.sets(st.integers(1, 30)))
def test_series_have_the_same_numbers_however_records_are_cut(names: list[str | None], cuts: set[int]) -> None:
    whole, parts = KeyTable(), KeyTable()
    data = table(names)
    hashes = series_hashes(data, ("device",))
    wanted = whole.numbers(hashes, data, ("device",), keys_max=3)
    edges = [0, *sorted(c for c in cuts if c < len(names)), len(names)]
    found = [parts.numbers(hashes[a:b], data.slice(a, b - a), ("device",), keys_max=3).tolist() for a, b in pairwise(edges)]
    assert [n for part in found for n in part] == wanted.tolist()
    assert parts.keys == whole.keys
    assert all(n < 0 or dict(whole.keys[n]).get("device") == name for n, name in zip(wanted.tolist(), names, strict=True))
    assert len(whole.over) == len(set(names)) - len(whole)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), min_size=1, max_size=40), st.integers(0, 40))
def test_how_often_a_series_comes_does_not_depend_on_cuts(come: list[tuple[int, int]], cut: int) -> None:
    slots, ts = np.array([s for s, _ in come], np.int32), np.array([t * S for _, t in come], np.int64)

    def steps(edges: list[int]) -> list[tuple[int | None, float]]:
        times, found = SlotTimes(), []
        times.grow(3)
        for a, b in pairwise(edges):
            times.begin(slots[a:b], ts[a:b])
            found += [(times.step_us(slots[a:b], ts[a:b], i), times.learned(int(slots[a + i]), int(ts[a + i]))) for i in range(b - a)]
            times.take(slots[a:b], ts[a:b])
            again = SlotTimes()
            again.load(times.dump())
            times = again
        return found

    assert steps([0, min(cut, len(come)), len(come)]) == steps([0, len(come)])
