"""Windows of records in any order of time, repeats among them: the same happens however they are cut into rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.alerting.rehearsal import Rehearsal
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.plan import PlanOptions, make_plan
from appliance.hot.stream.rules import parse_rule
from appliance.hot.stream.stretches import rounds_of_keys, stretches
from appliance.workload_options import AlertOptions
from tests.alerting.hooks_rows import NOW, SCHEMA, T0, S, rehearsed, rows
from tests.examples import examples

RULES: dict[str, dict[str, Any]] = {
    "avg": {"when": "avg(t) > 75", "over_s": 10.0, "every_s": 1.0},
    "avg for": {"when": "avg(t) > 75", "clear": "avg(t) < 50", "over_s": 8.0, "every_s": 2.0, "for_s": 3.0, "nodata_s": 6.0},
    "count": {"when": "count(*) < 3", "over_s": 10.0, "every_s": 5.0},
    "last": {"when": "last(t) > 75 and count(*) > 1", "over_s": 6.0, "every_s": 2.0},
    "delta": {"when": "delta(t) > 25", "over_s": 10.0, "every_s": 5.0, "keep_s": 2.0},
    "median": {"when": "median(t) > 60", "over_s": 6.0, "every_s": 2.0},
    "tumbling": {"when": "avg(t) > 60", "over_s": 5.0, "window": "tumbling"},
    "session": {"when": "count(*) > 2 and avg(t) > 60", "window": "session", "gap_s": 3.0},
    "together": {"when": "avg(t) > 75", "over_s": 10.0, "every_s": 1.0, "by": ()},
}
Records = list[tuple[float, str, float | None]]
STEP = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.0, 3.0, 8.0, 30.0, -0.25, -0.5, -1.0, -4.0, -9.0, -40.0])
VALUE = st.one_of(st.none(), st.sampled_from([20.0, 55.0, 70.0, 90.0, 300.0]))


@st.composite
def disordered(draw: st.DrawFn) -> Records:
    """Devices that jump to and fro in time, and send some records again, as they were or corrected."""
    second = {device: draw(st.sampled_from([100.0, 100.0, 80.0, 40.0])) for device in "ab"}
    records: Records = []
    for step, device, value in draw(st.lists(st.tuples(STEP, st.sampled_from("aab"), VALUE), min_size=2, max_size=25)):
        second[device] += step
        records.append((second[device], device, value))
        if records and draw(st.integers(0, 5)) == 0:
            at, of, had = records[draw(st.integers(0, len(records) - 1))]
            records.append((at, of, draw(st.sampled_from([had, 90.0]))))
    return records


def steps(found: Rehearsal) -> dict[tuple[str | None, ...], list[tuple[Any, ...]]]:
    """All that happened, by key."""
    by_key: dict[tuple[str | None, ...], list[tuple[Any, ...]]] = {}
    for t in found.transitions:
        at = (t.at_us - T0) / S
        by_key.setdefault(t.key, []).append((t.kind.value, t.old.value, t.new.value, at, t.seq, dict(t.values), t.reason, t.fire))
    return by_key


@pytest.mark.parametrize("identity", [None, ("device",)], ids=["all", "repeats"])
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=15, deadline=None)
@given(records=disordered(), cuts=st.lists(st.integers(1, 30), max_size=8))
def test_however_records_in_any_order_are_cut_the_same_happens(
    rule: str, identity: tuple[str, ...] | None, records: Records, cuts: list[int]
) -> None:
    one_by_one = steps(rehearsed(RULES[rule], records, identity=identity))
    assert steps(rehearsed(RULES[rule], records, identity=identity, cuts=[])) == one_by_one
    assert steps(rehearsed(RULES[rule], records, identity=identity, cuts=cuts)) == one_by_one


def test_of_a_key_that_fell_silent_while_its_condition_held_no_late_window_is_told_however_it_is_cut() -> None:
    others = [(100.0, "a", None), (103.0, "a", None), (106.0, "a", None)]
    records: Records = [(100.0, "a", None), (40.0, "b", 90.0), *others, (31.0, "b", 90.0), (106.0, "a", None)]
    one_by_one = steps(rehearsed(RULES["avg for"], records))
    assert [step[:3] for step in one_by_one[("b",)]] == [
        ("change", "ok", "pending"),
        ("change", "pending", "firing"),
        ("change", "firing", "nodata"),
        ("change", "nodata", "firing"),
    ]
    assert steps(rehearsed(RULES["avg for"], records, cuts=[])) == one_by_one


@given(
    given_rows=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2), st.integers(1, 8)), min_size=1, max_size=40),
)
@settings(max_examples=examples(60), deadline=None)
def test_within_a_stretch_no_record_in_order_overtakes_a_late_one_of_its_key(given_rows: list[tuple[int, bool, int, int]]) -> None:
    ids, slow = np.array([r[0] for r in given_rows]), np.array([r[1] for r in given_rows])
    before = np.cumsum([r[2] for r in given_rows])
    passes = before + np.array([r[3] for r in given_rows])
    found = list(stretches(ids, slow, before, passes))
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(given_rows)
    for start, end in found:
        for late in (i for i in range(start, end) if slow[i]):
            assert not [i for i in range(late, end) if ids[i] == ids[late] and not slow[i]]
            assert before[end - 1] < passes[late]
            assert late == start or before[late] == before[late - 1]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_rounds_of_keys_have_each_key_once_and_keep_the_order_of_each(keys: list[int]) -> None:
    ids = np.array(keys)
    found = [r.tolist() for r in rounds_of_keys(ids)]
    assert sorted(i for r in found for i in r) == list(range(len(keys)))
    assert all(len({keys[i] for i in r}) == len(r) for r in found)
    for key in set(keys):
        mine = [i for r in found for i in r if keys[i] == key]
        assert mine == sorted(mine)


def test_late_records_that_make_one_stretch_of_the_past_true_are_told_once() -> None:
    late = [(75.0 + i, "a", 90.0) for i in range(10)]
    records: Records = [(0.0, "a", 20.0), (100.0, "a", 20.0), *late, (101.0, "a", 20.0)]
    found = rehearsed({"when": "avg(t) > 75", "over_s": 30.0, "every_s": 1.0}, records)
    assert [((t.at_us - T0) / S, t.seq) for t in found.transitions if t.kind.value == "late"] == [(76.0, 3)]


def test_late_records_change_nothing_of_a_tumbling_window_that_has_not_ended() -> None:
    records: Records = [(0.0, "a", 90.0), (10.0, "a", 90.0), (9.0, "a", 90.0), (10.5, "a", 90.0), (11.0, "a", 90.0), (20.0, "a", 90.0)]
    found = rehearsed({"when": "count(*) < 2", "over_s": 10.0, "window": "tumbling"}, records)
    assert found.episodes == []


@pytest.mark.parametrize(("rule", "lost"), [("avg", 1), ("delta", 1), ("tumbling", 1), ("session", 2)])
def test_records_that_come_when_their_windows_are_not_kept_any_more_are_counted(rule: str, lost: int) -> None:
    parsed = parse_rule("rule", AlertOptions(stream="readings", **RULES[rule]))
    plan = make_plan(SCHEMA, [parsed], PlanOptions(S, 100, None, Baselines(), lambda *_: ()))
    whole = rows([(1_000.0, "a", 20.0), (0.0, "a", 20.0), (998.0, "a", 20.0), (1_001.0, "a", 20.0)])
    assert plan.take(whole, now_us=NOW, now_ns=0) is not None
    assert [w.too_late for keyed in plan.keyed.values() for w in keyed.windows] == [lost]
