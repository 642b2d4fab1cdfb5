from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.windows.aggregates import Aggregate, Function
from appliance.hot.stream.windows.sessions import SessionPanes
from tests.examples import examples
from tests.hot.stream.windows.cases import EVERY, X, assert_same_values, columns, cuts, in_order, of_sql, taken
from tests.hot.stream.windows.reference import Point, Record, seen, sorted_points, watermarks
from tests.hot.stream.windows.test_table import LATENESS, all_seen

GAP_US = 30


def new_sessions(lateness_us: int = 0, *, whole_at_end: bool = True) -> SessionPanes:
    return SessionPanes(gap_us=GAP_US, aggregates=EVERY, whole_at_end=whole_at_end, lateness_us=lateness_us, values_max=1_000)


@dataclass
class PlainSessions:
    """Sessions told row by row."""

    lateness_us: int
    open: dict[int, list[Record]] = field(default_factory=dict)
    lag: dict[int, int] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    row: int = 0

    def apply(self, record: Record, watermark: int) -> None:
        self.pass_time(watermark)
        if record.key in self.open and record.ts >= self.open[record.key][-1].ts + GAP_US:
            self.end(record.key)
        session = self.open.setdefault(record.key, [])
        session.append(record)
        self.lag[record.key] = max(0, watermark - (record.ts - self.lateness_us))
        self.points.append(Point(record.key, self.row, record.ts, record.seq, tuple(session)))
        self.row += 1

    def pass_time(self, watermark: int) -> None:
        for key in [k for k, session in self.open.items() if watermark - self.lag[k] >= session[-1].ts + GAP_US]:
            self.end(key)

    def end(self, key: int) -> None:
        session = self.open.pop(key)
        self.points.append(Point(key, self.row, session[-1].ts + GAP_US, -1, tuple(session)))


def expected_points(records: Sequence[Record], lateness_us: int) -> list[Point]:
    plain = PlainSessions(lateness_us)
    for record, watermark in zip(records, watermarks(records, lateness_us), strict=True):
        plain.apply(record, watermark)
    if records:
        plain.pass_time(watermarks(records, lateness_us)[-1])
    return sorted_points(plain.points)


@given(records=in_order(), lateness_us=LATENESS)
@settings(max_examples=examples(80), deadline=None)
def test_points_are_those_of_plain_sessions_with_the_values_of_duckdb(records: list[Record], lateness_us: int) -> None:
    expected = expected_points(records, lateness_us)
    found = taken(new_sessions(lateness_us), records, [], lateness_us)
    assert [p[:4] for p in all_seen(found)] == [(p.key, p.row, p.at_us, p.seq) for p in expected]
    if expected:
        assert_same_values(found[0][1], of_sql(expected), records)


@given(records=in_order(), lateness_us=LATENESS, at=cuts(), whole_at_end=st.booleans())
@settings(max_examples=examples(80), deadline=None)
def test_other_rounds_give_the_same_points_bit_for_bit(records: list[Record], lateness_us: int, at: list[int], whole_at_end: bool) -> None:
    one_by_one = list(range(1, len(records)))
    whole, cut, single = (
        all_seen(taken(new_sessions(lateness_us, whole_at_end=whole_at_end), records, where, lateness_us)) for where in ([], at, one_by_one)
    )
    assert whole == cut
    assert whole == single


@given(records=in_order(), lateness_us=LATENESS, split=st.integers(1, 39))
@settings(max_examples=examples(80), deadline=None)
def test_sessions_that_were_loaded_go_on_like_those_that_ran_all_the_time(records: list[Record], lateness_us: int, split: int) -> None:
    split = min(split, len(records))
    ran, restarted = new_sessions(lateness_us), new_sessions(lateness_us)
    whole = taken(ran, records, [split], lateness_us)
    watermark = np.array(watermarks(records[:split], lateness_us), np.int64)
    if split:
        restarted.load(**columns(records[:split]), watermark=watermark, watermark_us=int(watermark[-1]))
    rest = taken(restarted, records, [], lateness_us, first=split) if 0 < split < len(records) else []
    assert all_seen([part for part in whole if part[0] >= split] if split else []) == all_seen(rest)
    assert seen(restarted.current(np.arange(3))) == seen(ran.current(np.arange(3)))
    assert seen(restarted.advance(10**6)) == seen(ran.advance(10**6))


def test_late_records_are_left_out_when_sessions_are_loaded() -> None:
    sessions = new_sessions()
    records = [Record(0, 100, 1.0, seq=0), Record(0, 50, 2.0, seq=1), Record(0, 100, 3.0, seq=2), Record(1, 40, 4.0, seq=3)]
    watermark = np.array([0, 0, 0, 0], np.int64)
    sessions.load(**columns(records), watermark=watermark, watermark_us=0)
    assert [(p[0], p[2], p[4]) for p in seen(sessions.current(np.array([0, 1])))] == [(0, 100, 2), (1, 40, 1)]


def test_a_session_is_over_once_and_then_empty() -> None:
    sessions = new_sessions(whole_at_end=False)
    taken(sessions, [Record(0, 100, 1.0, seq=0), Record(0, 129, 2.0, seq=1)], [], 0)
    assert len(sessions.advance(158)) == 0
    ended = sessions.advance(159)
    assert [p[:5] for p in seen(ended)] == [(0, 0, 159, -1, 0)]
    assert len(sessions.advance(10_000)) == 0
    assert seen(sessions.current(np.array([0])))[0][4] == 0


def test_what_is_over_by_its_own_time_is_not_taken_up_again() -> None:
    """Key 0 is 100 behind, goes silent for its gap while key 1 moves on, and comes back a little later in its own time."""
    sessions = new_sessions()
    records = [Record(1, 200, seq=0), Record(0, 100, seq=1), Record(1, 231, seq=2), Record(0, 110, seq=3)]
    points = [(p[0], p[2], p[3], p[4]) for p in all_seen(taken(sessions, records, [], 0)) if p[0] == 0]
    assert points == [(0, 100, 1, 1), (0, 130, -1, 1), (0, 110, 3, 1)]


@pytest.mark.parametrize("values_max", [1, 2])
def test_a_session_with_too_many_values_says_so_until_it_is_over(values_max: int) -> None:
    sessions = SessionPanes(gap_us=GAP_US, aggregates=[Aggregate(Function.DISTINCT, X)], values_max=values_max)
    points = taken(sessions, [Record(0, t, float(t), seq=t) for t in range(4)], [2], 0)
    assert [p[4] for p in all_seen(points)] == [1, 2 if values_max == 2 else None, None, None]
    assert sessions.overfull.tolist() == [0]
    sessions.advance(1_000)
    assert sessions.overfull.tolist() == []
    assert sessions.bytes > 0
