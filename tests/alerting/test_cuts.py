"""The same records give the same transitions, however they are cut into rounds: what makes a rehearsal equal to the live run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.alerting.rehearsal import Rehearsal, rehearse
from appliance.hot.alerts.values import Kind
from appliance.hot.stream.baselines import Baselines
from appliance.hot.stream.rules import parse_rule
from appliance.hot.stream.values import Rows
from appliance.records import Column, Schema
from appliance.records import Kind as ColumnKind
from appliance.workload_options import AlertOptions
from tests.alerting.hooks_rows import happened, rehearsed
from tests.examples import examples

SCHEMA = Schema("readings", (Column("device", ColumnKind.TAG), Column("t", ColumnKind.FLOAT)), 1)
T0 = 1_760_000_000_000_000
S = 1_000_000
NOW = T0 + 10_000 * S

RULES: dict[str, dict[str, Any]] = {
    "record": {"when": "t > 80"},
    "for": {"when": "t > 80", "for_s": 5.0},
    "keep": {"when": "t > 80", "keep_s": 4.0},
    "clear": {"when": "t > 80", "clear": "t < 60", "for_s": 2.0, "keep_s": 3.0},
    "null": {"when": "t > 80", "nodata_s": 7.0},
    "rate": {"when": "rate(t) > 5 or delta(t) < -30"},
    "avg": {"when": "avg(t) > 75", "over_s": 10.0, "every_s": 1.0},
    "avg for": {"when": "avg(t) > 75", "clear": "avg(t) < 50", "over_s": 10.0, "every_s": 2.0, "for_s": 3.0, "nodata_s": 6.0},
    "count": {"when": "count(*) < 3", "over_s": 10.0, "every_s": 1.0},
    "max": {"when": "max(t) - min(t) > 30 and count(*) > 1", "over_s": 6.0, "every_s": 1.0},
    "tumbling": {"when": "avg(t) > 60", "over_s": 5.0, "window": "tumbling"},
    "absent": {"absent_s": 6.0},
    "flapping": {"when": "t > 50", "flap_max": 2, "flap_within_s": 20.0},
}


def rows(records: list[tuple[float, str, float | None]]) -> Rows:
    """(second, device, value), in the order of their sequences."""
    ts = pa.array([T0 + int(s * S) for s, _, _ in records], pa.int64()).cast(pa.timestamp("us"))
    device = pa.array([d for _, d, _ in records], pa.string()).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string()))
    data = pa.RecordBatch.from_arrays([ts, device, pa.array([v for _, _, v in records], pa.float64())], schema=SCHEMA.arrow)
    return Rows(data, np.arange(1, len(records) + 1, dtype=np.int64))


def run(rule: str, whole: Rows, cuts: list[int]) -> Rehearsal:
    parsed = parse_rule(rule, AlertOptions(stream="readings", **RULES[rule]))
    ends = sorted({c for c in cuts if 0 < c < len(whole)} | {len(whole)})
    parts, start = [], 0
    for end in ends:
        parts.append(Rows(whole.data.slice(start, end - start), whole.seqs[start:end]))
        start = end
    return rehearse(
        parsed,
        SCHEMA,
        parts,
        lateness_s=1.0,
        keys_max=100,
        identity=None,
        baselines=Baselines(),
        past=_no_past,
        now_us=NOW,
    )


def _no_past(since_us: int, until_us: int, up_to_seq: int) -> tuple[Rows, ...]:
    raise AssertionError(f"nothing comes late here: {since_us} {until_us} {up_to_seq}")


def steps(found: Rehearsal) -> dict[tuple[str | None, ...], list[tuple[Any, ...]]]:
    """By key what happened, without when it was learned."""
    by_key: dict[tuple[str | None, ...], list[tuple[Any, ...]]] = {}
    for t in found.transitions:
        by_key.setdefault(t.key, []).append((t.kind, t.old, t.new, t.at_us, t.seq, t.values, t.reason, t.fire))
    return by_key


VALUES = st.one_of(st.none(), st.sampled_from([40.0, 55.0, 70.0, 79.5, 85.0, 100.0]))


@st.composite
def in_order(draw: st.DrawFn) -> list[tuple[float, str, float | None]]:
    """Records of a few devices, each device in the order of time."""
    steps = draw(
        st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 1.0, 3.0, 8.0]), st.sampled_from("abc"), VALUES), min_size=1, max_size=40)
    )
    second, found = 0.0, []
    for step, device, value in steps:
        second += step
        found.append((second, device, value))
    return found


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=examples(60), deadline=None)
@given(records=in_order(), cuts=st.lists(st.integers(0, 40), max_size=40))
def test_however_records_are_cut_into_rounds_the_same_happens(
    rule: str, records: list[tuple[float, str, float | None]], cuts: list[int]
) -> None:
    whole = rows(records)
    assert steps(run(rule, whole, cuts)) == steps(run(rule, whole, []))
    assert steps(run(rule, whole, list(range(len(records))))) == steps(run(rule, whole, []))


def test_a_fire_begins_when_the_time_of_for_is_over_and_names_the_record() -> None:
    found = run("for", rows([(0, "a", 90.0), (2, "a", 90.0), (6, "a", 90.0), (7, "a", 20.0)]), [])
    assert [(str(o), str(n), (at - T0) // S, seq) for _, o, n, at, seq, *_ in steps(found)[("a",)]] == [
        ("ok", "pending", 0, 1),
        ("pending", "firing", 5, 1),
        ("firing", "ok", 7, 4),
    ]


def test_missing_data_resolves_nothing() -> None:
    found = run("null", rows([(0, "a", 90.0), (1, "b", 20.0), (60, "b", 20.0), (61, "a", None), (62, "a", 20.0)]), [])
    said = [(str(o), str(n), (at - T0) // S) for _, o, n, at, *_ in steps(found)[("a",)]]
    assert said == [("ok", "firing", 0), ("firing", "nodata", 7), ("nodata", "firing", 61), ("firing", "ok", 62)] or said == [
        ("ok", "firing", 0),
        ("firing", "nodata", 7),
        ("nodata", "ok", 62),
    ]


def test_a_late_record_that_would_have_fired_is_told_apart() -> None:
    found = run("record", rows([(0, "a", 20.0), (100, "a", 20.0), (50, "a", 90.0), (101, "a", 20.0)]), [])
    assert [(t.kind, (t.at_us - T0) // S, t.seq) for t in found.transitions] == [(Kind.LATE, 50, 3)]


@pytest.mark.parametrize("device", ["a", "b"])
def test_time_that_jumps_over_a_gap_fires_nothing_that_could_not_be_known(device: str) -> None:
    """What is pending falls silent before its time is over, also when the next record comes long after both."""
    rule = {"when": "t > 80", "for_s": 1000.0, "nodata_s": 300.0}
    found = rehearsed(rule, [(0, "a", 90.0), (1001, device, 90.0)])
    after = [("change", "pending", 1001.0, 2)] if device == "a" else []
    assert happened(found, "a") == [("change", "pending", 0.0, 1), ("change", "nodata", 300.0, None), *after]


def test_a_window_that_runs_empty_stops_the_waiting_although_time_jumps() -> None:
    rule = {"when": "sum(t) > 75", "over_s": 10.0, "every_s": 1.0, "for_s": 25.0, "nodata_s": 3_000.0}
    for records in ([(0, "a", 90.0), (1000, "b", 1.0)], [(0, "a", 90.0), *((float(i), "b", 1.0) for i in range(1, 1000))]):
        found = rehearsed(rule, records)
        assert [h[1] for h in happened(found, "a")] in (["pending"], ["pending", "ok"])
