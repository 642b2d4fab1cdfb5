"""Where a session ends: exactly at the gap, exactly at the watermark, by the clock alone."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.hot.stream.sessions.tracker import ROWS_MAX, SessionTracker
from appliance.hot.stream.sessions.values import Closed, SessionAggregate
from appliance.hot.stream.values import I64, Vector
from appliance.hot.stream.windows.aggregates import Function
from appliance.records import Kind
from tests.hot.stream.sessions.model import as_dict
from tests.hot.stream.sessions.rounds import vector

GAP = 10
PEAK = (SessionAggregate("peak", Function.MAX, 0),)


def arrays(*columns: list[int]) -> list[I64]:
    return [np.array(c, dtype=np.int64) for c in columns]


def take(tracker: SessionTracker, ids: list[int], ts: list[int], *, mark: int | None = None, first_seq: int = 0) -> Closed:
    """Values are the times as floats; the watermark is 1,000 behind unless given."""
    keys, times, seqs = arrays(ids, ts, list(range(first_seq, first_seq + len(ids))))
    marks = np.full(len(ids), mark, dtype=np.int64) if mark is not None else np.maximum.accumulate(times) - 1_000
    return tracker.take(keys, times, seqs, (vector([float(t) for t in ts], 0),), marks)


@pytest.mark.parametrize(("apart", "sessions"), [(GAP - 1, 1), (GAP, 2), (GAP + 1, 2)])
def test_a_record_exactly_a_gap_later_starts_the_next(apart: int, sessions: int) -> None:
    for rounds in ([[0, apart]], [[0], [apart]]):
        tracker = SessionTracker(GAP, 1_000, PEAK)
        found = [len(take(tracker, [0] * len(ts), ts)) for ts in rounds]
        assert sum(found) + len(tracker.advance(5_000)) == sessions


def test_the_watermark_closes_exactly_at_the_end_plus_the_gap() -> None:
    tracker = SessionTracker(GAP, 1_000, PEAK)
    take(tracker, [0], [100])
    assert len(tracker.advance(109)) == 0
    assert tracker.open == 1
    closed = tracker.advance(110)
    assert as_dict(closed.rows) == {(0, 100): (100, 1, 0, 0, 100.0)}
    assert closed.rows.duration_s.tolist() == [0.0]
    assert tracker.open == 0
    assert len(tracker.advance(111)) == 0


def test_the_watermark_of_another_key_closes_too() -> None:
    tracker = SessionTracker(GAP, 1_000, PEAK)
    take(tracker, [0, 1], [100, 101])
    closed = take(tracker, [1], [119], mark=110, first_seq=2)
    assert as_dict(closed.rows) == {(0, 100): (100, 1, 0, 0, 100.0), (1, 101): (101, 1, 1, 1, 101.0)}


def test_a_session_that_the_watermark_has_closed_goes_on_when_its_key_only_lags() -> None:
    tracker = SessionTracker(GAP, 1_000, PEAK)
    take(tracker, [0], [100])
    tracker.advance(115)
    closed = take(tracker, [0], [107], mark=116, first_seq=1)
    assert len(closed) == 0
    assert tracker.open == 1
    again = tracker.advance(117)
    assert as_dict(again.rows) == {(0, 100): (107, 2, 0, 1, 107.0)}
    assert again.corrected.tolist() == [True]


def test_what_the_watermark_has_closed_is_not_given_again_when_the_next_begins() -> None:
    tracker = SessionTracker(GAP, 1_000, PEAK)
    take(tracker, [0], [100])
    assert len(tracker.advance(110)) == 1
    assert len(take(tracker, [0, 0], [120, 121], first_seq=1)) == 0
    assert as_dict(tracker.advance(1_000).rows) == {(0, 120): (121, 2, 1, 2, 121.0)}


def test_a_large_round_gives_each_session_once_with_its_last_state() -> None:
    """More rows than are taken at once; the key that lags is closed in each part and goes on in the next."""
    rows = 3 * ROWS_MAX
    ids, seqs = np.arange(rows) % 2, np.arange(rows)
    ts = np.where(ids == 0, seqs * 3, seqs // 2)
    names = [f"t{i % 7}" for i in range(rows)]
    asked = (SessionAggregate("n", Function.COUNT_ALL), SessionAggregate("last", Function.LAST, 0))
    tracker = SessionTracker(GAP, 10**9, asked)
    texts = tuple(dict.fromkeys(names))
    vectors = (Vector(np.array([texts.index(n) for n in names], dtype=np.int32), np.ones(rows, np.bool_), texts),)
    closed = tracker.take(ids, ts, seqs, vectors, np.maximum.accumulate(ts))
    assert as_dict(closed.rows) == {(1, 0): (rows // 2 - 1, rows // 2, 1, rows - 1, rows // 2, names[-1])}
    assert closed.corrected.tolist() == [False]
    assert tracker.open == 1


def test_open_sessions_are_shown_as_they_stand() -> None:
    tracker = SessionTracker(GAP, 1_000, PEAK)
    take(tracker, [2, 0, 2], [100, 101, 105])
    assert as_dict(tracker.open_sessions()) == {(0, 101): (101, 1, 1, 1, 101.0), (2, 100): (105, 2, 0, 2, 105.0)}
    tracker.advance(112)
    assert as_dict(tracker.open_sessions()) == {(2, 100): (105, 2, 0, 2, 105.0)}


def test_a_round_without_records_closes_nothing() -> None:
    tracker = SessionTracker(GAP, 1_000, PEAK)
    assert len(take(tracker, [], [])) == 0
    assert len(tracker.advance(10**15)) == 0
    assert len(tracker.open_sessions()) == 0
    assert tracker.dump() == []


def test_only_keys_that_changed_are_dumped() -> None:
    tracker = SessionTracker(GAP, 1_000, PEAK)
    take(tracker, [0, 1, 2], [100, 101, 102])
    assert [key for key, _ in tracker.dump()] == [0, 1, 2]
    take(tracker, [1], [103], first_seq=3)
    assert tracker.changed.tolist() == [1]
    assert [key for key, _ in tracker.dump()] == [1]
    tracker.advance(110)
    assert [key for key, _ in tracker.dump()] == [0]
    assert [key for key, _ in tracker.dump([2, 7, 1_000])] == [2]


@pytest.mark.parametrize(
    "other",
    [
        SessionTracker(GAP + 1, 1_000, PEAK),
        SessionTracker(GAP, 1_001, PEAK),
        SessionTracker(GAP, 1_000, (SessionAggregate("peak", Function.MIN, 0),)),
        SessionTracker(GAP, 1_000, (SessionAggregate("top", Function.MAX, 0),)),
        SessionTracker(GAP, 1_000, ()),
    ],
)
def test_the_state_of_another_workload_is_not_loaded(other: SessionTracker) -> None:
    tracker = SessionTracker(GAP, 1_000, PEAK)
    take(tracker, [0], [100])
    body = dict(tracker.dump())[0]
    assert not other.load(0, body)
    assert other.open == 0
    with pytest.raises(ValueError, match="not what was stored"):
        other.load(0, "[]")


@pytest.mark.parametrize("function", [f for f in Function if f not in (Function.COUNT_ALL, Function.QUANTILE)])
def test_what_text_can_be_asked_for_is_known_before(function: Function) -> None:
    asked = SessionAggregate("x", function, 0)
    tracker = SessionTracker(GAP, 1_000, (asked,))
    one = np.array([0])
    if (reason := asked.refusal(Kind.TEXT)) is not None:
        assert reason == f"{function} needs numbers, not text"
        with pytest.raises(TypeError, match="needs numbers"):
            tracker.take(one, one, one, (vector(["a"], 2),), one)
    else:
        tracker.take(one, one, one, (vector(["a"], 2),), one)
        found = tracker.open_sessions().vectors[0].at(0)
        assert isinstance(found, str) == (asked.kind_of(Kind.TEXT) is Kind.TEXT)


def test_ints_that_become_floats_are_taken_for_floats() -> None:
    functions = (Function.MIN, Function.MAX, Function.FIRST, Function.LAST, Function.DELTA, Function.DISTINCT, Function.SUM)
    tracker = SessionTracker(GAP, 1_000, [SessionAggregate(f.value, f, 0) for f in functions])
    keys, times, seqs = arrays([0, 0], [100, 101], [0, 1])
    tracker.take(keys, times, seqs, (vector([3, 5], 1),), times - 50)
    assert [v.at(0) for v in tracker.open_sessions().vectors] == [3, 5, 3, 5, 2, 2, 8.0]
    body = dict(tracker.dump())
    for go_on in (tracker, SessionTracker(GAP, 1_000, tracker.aggregates)):
        if go_on is not tracker:
            go_on.load(0, body[0])
        keys, times, seqs = arrays([0, 0, 1, 1], [102, 103, 103, 104], [2, 3, 4, 5])
        go_on.take(keys, times, seqs, (vector([5.0, 1e300, -1e300, 1e300], 0),), times - 50)
        assert [v.at(0) for v in go_on.open_sessions().vectors] == [3.0, 1e300, 3.0, 1e300, 1e300, 3, 1e300]
        assert [v.at(1) for v in go_on.open_sessions().vectors][:2] == [-1e300, 1e300]
        go_on.take(np.array([0]), np.array([104]), np.array([6]), (vector([7], 1),), np.array([54]))
        assert go_on.open_sessions().vectors[3].at(0) == 7.0


def test_what_goes_over_the_range_of_its_type_is_null_and_survives_a_restart() -> None:
    aggregates = [
        SessionAggregate("s", Function.SUM, 0),
        SessionAggregate("sd", Function.STDDEV, 0),
        SessionAggregate("d", Function.DELTA, 1),
    ]
    tracker = SessionTracker(GAP, 1_000, aggregates)
    keys, times, seqs = arrays([0, 0], [100, 101], [0, 1])
    tracker.take(keys, times, seqs, (vector([1.7e308, 1.7e308], 0), vector([-(2**63), 2**63 - 1], 1)), times - 50)
    fresh = SessionTracker(GAP, 1_000, aggregates)
    fresh.load(0, dict(tracker.dump())[0])
    for one in (tracker, fresh):
        assert [v.at(0) for v in one.open_sessions().vectors] == [None, 0.0, None]
        keys, times, seqs = arrays([0], [102], [2])
        one.take(keys, times, seqs, (vector([-1.7e308], 0), vector([None], 1)), times - 50)
        assert [v.at(0) for v in one.open_sessions().vectors] == [None, None, None]
    assert fresh.dump([0]) == tracker.dump([0])
