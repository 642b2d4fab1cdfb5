"""Records that are not in the order of time: late, from the past, from the future; devices whose clock steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.alerts.values import Kind
from tests.alerting.hooks_rows import DAY_S, HOUR_S, T0, S, happened, rehearsed
from tests.examples import examples

RECORD: dict[str, Any] = {"when": "t > 80"}
WINDOW: dict[str, Any] = {"when": "avg(t) > 75", "over_s": 10.0, "every_s": 0.5}
YEAR_S = 365 * DAY_S
Records = list[tuple[float, str, float | None]]


def test_a_record_within_the_lateness_counts_as_any_other() -> None:
    found = rehearsed(RECORD, [(0, "a", 20.0), (10, "a", 20.0), (9.5, "a", 90.0), (10.5, "a", 20.0)])
    assert happened(found, "a") == [("change", "firing", 9.5, 3), ("change", "ok", 10.5, 4)]


@pytest.mark.parametrize("late_s", [2.0, 3_600.0, DAY_S, YEAR_S])
def test_beyond_the_lateness_it_is_told_apart_and_changes_nothing(late_s: float) -> None:
    found = rehearsed(RECORD, [(0, "a", 20.0), (YEAR_S, "a", 20.0), (YEAR_S - late_s, "a", 90.0), (YEAR_S + 1, "a", 20.0)])
    mine = [h for h in happened(found, "a") if (h[1] != "nodata" and h[2] > 0) or h[0] == "late"]
    assert [h for h in mine if h[0] == "late"] == [("late", "ok", YEAR_S - late_s, 3)]
    assert not [t for t in found.transitions if t.new == "firing"]


@pytest.mark.parametrize("late_s", [2.0, 8.0])
def test_a_late_record_counts_in_the_windows_that_it_belongs_to(late_s: float) -> None:
    found = rehearsed(WINDOW, [(0, "a", 20.0), (10, "a", 20.0), (10 - late_s, "a", 300.0), (11, "a", 20.0)])
    assert [(t.kind, t.seq, t.values) for t in found.transitions if t.kind is Kind.CHANGE] == [(Kind.CHANGE, 3, {"avg(t)": 160.0})]
    assert found.late == 1


def test_late_records_that_are_far_apart_cost_neither_time_nor_memory() -> None:
    far = [(0.0, "a", 20.0), (YEAR_S, "a", 20.0), (10.0, "a", 300.0), (YEAR_S - 1, "a", 300.0), (YEAR_S + 1, "a", 20.0)]
    found = rehearsed(WINDOW, far, cuts=[])
    assert [(t.new, t.seq) for t in found.transitions if t.kind is Kind.CHANGE][-1:] == [("firing", 4)]


def test_of_late_records_in_a_row_the_first_is_told() -> None:
    late = [(50.0 + i, "a", 90.0) for i in range(20)]
    records = [(0.0, "a", 20.0), (100.0, "a", 20.0), *late, (70.0, "a", 20.0), (71.0, "a", 90.0), (101.0, "a", 20.0), (80.0, "a", 90.0)]
    told = [("late", "ok", 50.0, 3), ("late", "ok", 71.0, 24), ("late", "ok", 80.0, 26)]
    for cuts in ([], list(range(len(records))), [7, 23]):
        assert happened(rehearsed(RECORD, records, cuts=cuts), "a") == told


@pytest.mark.parametrize("rule", [RECORD, WINDOW])
def test_a_device_whose_clock_was_set_back_is_heard_and_its_records_told_apart(rule: dict[str, Any]) -> None:
    """It counts as late until its clock is where it was, and at no time as silent: nothing flips to and fro."""
    others = [(float(i), "b", 20.0) for i in range(1000)]
    mine = [(float(i), "a", 20.0) for i in range(10)] + [(i - 1800.0, "a", 90.0) for i in range(10, 1000)]
    found = rehearsed(rule, [r for pair in zip(others, mine, strict=True) for r in pair], cuts=range(0, 2000, 7))
    assert [h[:2] for h in happened(found, "a")] in ([], [("late", "ok")])


def test_an_absent_device_is_back_although_its_clock_was_set_back() -> None:
    others = [(float(i), "b", 20.0) for i in range(0, 300, 10)]
    found = rehearsed({"absent_s": 60.0}, [(0, "a", 1.0), *others, (-1500.0, "a", 1.0), (300.0, "b", 1.0)])
    assert [h[1] for h in happened(found, "a")] == ["firing", "ok"]


def test_an_import_of_old_records_is_no_sign_of_life() -> None:
    others = [(float(i), "b", 20.0) for i in range(0, 300, 10)]
    old = [(i - float(DAY_S), "a", 1.0) for i in range(100)]
    found = rehearsed({"absent_s": 60.0}, [(0, "a", 1.0), *others, *old, (300.0, "b", 1.0)])
    assert [h[1] for h in happened(found, "a")] == ["firing"]


@pytest.mark.parametrize("rule", [RECORD, {**WINDOW, "nodata_s": 300.0}])
def test_a_device_that_sends_what_it_has_kept_comes_back_once(rule: dict[str, Any]) -> None:
    others = [(float(i), "b", 20.0) for i in range(0, HOUR_S, 60)]
    kept = [(float(i), "a", 20.0) for i in range(10, HOUR_S, 10)]
    found = rehearsed(rule, [(0, "a", 20.0), *others, *kept], cuts=range(0, 500, 3))
    assert [h[1] for h in happened(found, "a")] == ["nodata", "ok"]


def test_what_has_been_kept_fires_at_its_own_time_and_is_not_forgotten() -> None:
    others = [(float(i), "b", 20.0) for i in range(0, HOUR_S, 60)]
    kept = [(float(i), "a", 90.0 if 1000 <= i < 1100 else 20.0) for i in range(10, HOUR_S, 10)]
    found = rehearsed(RECORD, [(0, "a", 20.0), *others, *kept])
    assert [h[1:3] for h in happened(found, "a")] == [("nodata", 300.0), ("ok", 10.0), ("firing", 1000.0), ("ok", 1100.0)]


def test_records_from_the_future_end_nothing_and_are_counted() -> None:
    now_us = T0 + 10 * S
    found = rehearsed(WINDOW, [(0, "a", 90.0), (5 * HOUR_S, "a", 20.0), (5 * HOUR_S, "b", 20.0), (2, "a", 90.0)], now_us=now_us)
    assert [h[1:3] for h in happened(found, "a")] == [("firing", 0.0)]
    assert happened(found, "b") == []


STEP = st.sampled_from([0.0, 0.5, 1.0, 3.0, 8.0, 400.0, -0.5, -5.0, -300.0, -2000.0, -90_000.0])


@pytest.mark.parametrize("rule", [RECORD, {"absent_s": 60.0}, {"when": "t > 80", "nodata_s": 30.0, "for_s": 2.0}])
@settings(max_examples=examples(60), deadline=None)
@given(
    steps=st.lists(st.tuples(STEP, st.sampled_from("ab"), st.sampled_from([20.0, 90.0])), min_size=2, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=30),
)
def test_however_disordered_records_are_cut_the_same_happens(
    rule: dict[str, Any], steps: list[tuple[float, str, float]], cuts: list[int]
) -> None:
    second: dict[str, float] = {"a": 100_000.0, "b": 100_000.0}
    records: Records = []
    for step, device, value in steps:
        second[device] += step
        records.append((second[device], device, value))
    whole = rehearsed(rule, records, cuts=[])
    parts = rehearsed(rule, records, cuts=cuts)
    for device in "ab":
        assert changes(happened(parts, device)) == changes(happened(whole, device))
        assert told_late(happened(parts, device)) == told_late(happened(whole, device))
        states = [h[1] for h in happened(whole, device) if h[0] == "change"]
        assert all(a != b for a, b in pairwise(states))


def test_what_the_watermark_has_made_due_is_due_before_a_record_that_comes_later_with_an_older_time() -> None:
    rule: dict[str, Any] = {"when": "t > 80", "nodata_s": 30.0, "for_s": 2.0}
    records = [(0.0, "a", 90.0), (3.0, "b", 20.0), (0.0, "a", 20.0)]
    for cuts in ([], [2], [1, 2]):
        assert [h[1:3] for h in happened(rehearsed(rule, records, cuts=cuts), "a")] == [("pending", 0.0), ("firing", 2.0), ("ok", 0.0)]


def changes(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [h for h in found if h[0] != "late"]


def told_late(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Which late records would have fired. The state that stands beside them is that of the alert when they were looked at, which within
    a round may be before a timer that was due just then."""
    return sorted((h[2], h[3]) for h in found if h[0] == "late")


def test_repeats_from_long_ago_read_no_more_than_what_is_kept_of_windows() -> None:
    asked: list[tuple[int, int]] = []
    again = [(10.0, "a", 20.0), (YEAR_S, "a", 90.0), (YEAR_S, "a", 91.0)]
    found = rehearsed(WINDOW, [(10.0, "a", 20.0), (YEAR_S, "a", 20.0), *again], cuts=[2], identity=("device",), asked=asked)
    assert asked
    assert max(until - since for since, until in asked) < 60 * S
    assert [t.values for t in found.transitions if t.new == "firing"] == [{"avg(t)": 90.0}]
