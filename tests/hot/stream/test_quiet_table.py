"""Tables that look only at what may make a rule speak: the signals are those of tables that look at everything."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream import quiet_table, waiting
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.plan import PlanOptions, StreamPlan, make_plan
from appliance.hot.stream.quiet_table import QuietTable
from appliance.hot.stream.rules import parse_rule
from appliance.hot.stream.values import Rows, Signal
from appliance.records import Column, Kind, Schema
from appliance.workload_options import AlertOptions
from tests.examples import examples

SCHEMA = Schema("readings", (Column("device", Kind.TAG), Column("t", Kind.FLOAT), Column("n", Kind.INT)), 1)
T0 = 1_760_000_000_000_000
S = 1_000_000
DEVICES = 6
LOOKING_AT_ALL = patch("appliance.hot.stream.window_groups.may_hold", lambda *_: None)
RULES: tuple[dict[str, Any], ...] = (
    {"when": "avg(t) > 75"},
    {"when": "avg(t) > 75", "clear": "avg(t) < 50", "for_s": 3.0, "nodata_s": 7.0},
    {"when": "max(t) > 90 and count(*) > 2"},
    {"when": "min(t) < 0 or sum(n) > 300"},
    {"when": "stddev(t) > 30", "nodata_s": 5.0},
    {"when": "delta(t) > 60 and last(n) = 3"},
    {"when": "count(t) >= 8"},
    {"when": "rate(t) > 40"},
    {"when": "first(t) between 80 and 95"},
)
VALUES = st.one_of(st.floats(20, 30), st.floats(20, 30), st.sampled_from([None, 60.0, 85.0, 100.0, -5.0, float("nan"), float("inf")]))
RECORDS = st.lists(
    st.tuples(
        st.integers(0, DEVICES - 1),
        st.sampled_from([0.0, 0.0, 0.1, 0.1, 0.5, 0.5, 1.0, 3.0, 12.0]),
        st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.0, -2.0, -20.0]),
        VALUES,
        st.one_of(st.none(), st.integers(0, 5), st.just(200)),
    ),
    min_size=1,
    max_size=60,
)


def rows(records: list[tuple[int, float, float, float | None, int | None]]) -> Rows:
    """(device, seconds since the one before, how much the device is behind, values), in the order of their sequences."""
    at = np.cumsum([after for _, after, _, _, _ in records]) + [behind for _, _, behind, _, _ in records]
    columns = [
        pa.array(T0 + (at * S).astype(np.int64)).cast(pa.timestamp("us")),
        pa.array([f"d{device}" for device, *_ in records]).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string())),
        pa.array([t for *_, t, _ in records], pa.float64()),
        pa.array([n for *_, n in records], pa.int64()),
    ]
    return Rows(pa.RecordBatch.from_arrays(columns, schema=SCHEMA.arrow), np.arange(1, len(records) + 1))


def plan_of(chosen: list[int], *, over_s: float, lateness_us: int) -> StreamPlan:
    """Every other rule is over three times as long a window: a table of its own, with the same keys."""
    parsed = [
        parse_rule(f"rule{i}", AlertOptions(stream="readings", by=("device",), over_s=over_s * (1, 3)[number % 2], **RULES[i]))
        for number, i in enumerate(chosen)
    ]
    plan = make_plan(SCHEMA, parsed, PlanOptions(lateness_us, 100, None, Baselines(), lambda *_: ()))
    assert not plan.refused
    return plan


def signals(plan: StreamPlan, whole: Rows, at: list[int], idle_s: list[int]) -> list[Signal]:
    found: list[Signal] = []
    edges = sorted({0, *(c for c in at if c < len(whole)), len(whole)})
    for number, (start, stop) in enumerate(pairwise(edges)):
        part = Rows(whole.data.slice(start, stop - start), whole.seqs[start:stop])
        now_ns = (number + 1) * 1_000_000_000
        found += plan.take(part, now_us=T0 + 3_600 * S, now_ns=now_ns)
        if idle_s:
            found += plan.idle(now_ns=now_ns + idle_s[number % len(idle_s)] * 1_000_000_000)
    return found


@given(
    records=RECORDS,
    at=st.lists(st.integers(1, 59), max_size=20, unique=True),
    chosen=st.lists(st.integers(0, len(RULES) - 1), min_size=1, max_size=3, unique=True),
    over_s=st.sampled_from([2.0, 10.0, 30.0]),
    lateness_us=st.sampled_from([0, 1_000_000, 5_000_000]),
    idle_s=st.lists(st.sampled_from([0, 1, 8]), max_size=2),
    rows_max=st.sampled_from([4, 16_384]),
    awake=st.sampled_from([0, 2]),
    share=st.sampled_from([0.5, 1.0]),
    flood=st.sampled_from([1, 3, 4_096]),
    waits=st.sampled_from([1, 10]),
)
@settings(max_examples=examples(250), deadline=None)
def test_looking_only_where_a_rule_may_speak_changes_no_signal(
    records: list[Any],
    at: list[int],
    chosen: list[int],
    over_s: float,
    lateness_us: int,
    idle_s: list[int],
    rows_max: int,
    awake: int,
    share: float,
    flood: int,
    waits: int,
) -> None:
    whole = rows(records)
    with LOOKING_AT_ALL:
        plain = plan_of(chosen, over_s=over_s, lateness_us=lateness_us)
    assert not any(isinstance(w.table, QuietTable) for k in plain.keyed.values() for w in k.windows)
    quiet = plan_of(chosen, over_s=over_s, lateness_us=lateness_us)
    assert all(isinstance(w.table, QuietTable) for k in quiet.keyed.values() for w in k.windows)
    with (
        patch.object(quiet_table, "ROWS_MAX", rows_max),
        patch.object(quiet_table, "AWAKE_ROUNDS", awake),
        patch.object(quiet_table, "LOUD_SHARE", share),
        patch.object(waiting, "FLOOD_ROWS", flood),
        patch.object(waiting, "FLOOD_WAITS", waits),
    ):
        assert signals(quiet, whole, at, idle_s) == signals(plain, whole, at, idle_s)


def told(when: str, records: list[Any], at: list[int], *, rows_max: int = 16_384, **options: Any) -> list[tuple[str, float, int]]:
    """Of a rule over ten seconds: device, second and level of each signal, which are the same with a table that looks at everything."""
    found = []
    for quiet in (True, False):
        with nullcontext() if quiet else LOOKING_AT_ALL:
            parsed = parse_rule("rule", AlertOptions(stream="readings", by=("device",), over_s=10.0, when=when, **options))
            plan = make_plan(SCHEMA, [parsed], PlanOptions(S, 100, None, Baselines(), lambda *_: ()))
        with (
            patch.object(quiet_table, "LOUD_SHARE", 1.0),
            patch.object(quiet_table, "AWAKE_ROUNDS", 0),
            patch.object(quiet_table, "ROWS_MAX", rows_max),
        ):
            found.append(signals(plan, rows(records), at, []))
    assert found[0] == found[1]
    return [(str(s.key[0]), (s.at_us - T0) / S, s.level) for s in found[0]]


def test_a_device_that_comes_back_with_its_old_clock_has_its_old_records_in_its_window() -> None:
    others = [(1, 1.0, 0.0, 20.0, 3)] * 60
    back = [(0, 0.0, -54.0, 20.0, 3)]
    records = [(0, 0.0, 0.0, -50.0, 1), *others, *back, *others[:20]]
    found = told("delta(t) > 60 and last(n) = 3", records, list(range(1, len(records))))
    assert found[:1] == [("d0", 6.0, 1)]


def test_a_rule_between_its_border_and_its_clearing_goes_on_after_what_stood_out_has_left() -> None:
    spike, middling, usual = (0, 1.0, 0.0, 100.0, None), (0, 1.0, 0.0, 60.0, None), (0, 1.0, 0.0, 20.0, None)
    others = [(1, 0.0, 0.0, 60.0, None), (2, 0.0, 0.0, 20.0, None)]
    records = [r for one in [middling, *[spike] * 8, *[middling] * 20, *[usual] * 15] for r in (one, *others)]
    found = [
        (at, level)
        for device, at, level in told("avg(t) > 75", records, list(range(1, len(records))), clear="avg(t) < 50")
        if device == "d0"
    ]
    assert [level for _, level in found] == [1, -1]
    assert found[1][0] > 25


def test_records_that_waited_are_in_the_window_when_their_device_gets_loud() -> None:
    few = [(device, 0.1, 0.0, 20.0, 5) for _ in range(5) for device in (0, 1, 2)]
    found = told("avg(t) > 75 and sum(n) >= 30", [*few, (0, 0.1, 0.0, 900.0, 5)], list(range(1, 16)))
    assert [(device, level) for device, _, level in found] == [("d0", 1)]


def test_late_records_that_waited_are_in_the_window_when_their_device_gets_loud() -> None:
    steady = [(device, 0.5, 0.0, 20.0, 5) for _ in range(12) for device in (0, 1)]
    late = [(0, 0.0, -9.3, 20.0, 5), (0, 0.0, -7.3, 20.0, 7), (0, 0.0, -4.3, 20.0, 5)]
    records = [*steady, *late, *steady[:6], (0, 0.1, 0.0, 900.0, 5), (0, 0.1, 0.0, 20.0, 5), *steady]
    found = told("max(t) > 75 and sum(n) >= 60", records, [24, 26, 28, 32, 33, 34, *range(35, 58)])
    assert [(device, level) for device, _, level in found][:2] == [("d0", 1), ("d0", -1)]


def test_a_late_record_is_told_of_where_a_window_of_the_past_holds_what_was_large_then() -> None:
    steady = [(device, 0.5, 0.0, 20.0, None) for _ in range(16) for device in (0, 1)]
    late = [(0, 0.0, -11.0, -5.0, None)]
    records = [(0, 0.0, 0.0, 85.0, None), *steady, *late, *steady[:4]]
    for cuts in ([1, 5, 9, 13, 17, 21, 25, 29, 33, 34], list(range(1, 38)), [33]):
        found = told("max(t) > 80 and min(t) < 0", records, cuts, rows_max=4)
        assert ("d0", 1) in [(device, level) for device, _, level in found]
