"""Small days of a month that is over lie in one file, and stay so at little cost; deleted records leave each file at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cold.compaction.plan import FINAL, Reason, inputs_max
from appliance.cold.compaction.units import SPAN_ROWS_MAX, month_of, units_of
from appliance.manifest import Deletion
from appliance.records import Column, Kind, Schema
from tests.cold.making import BUSY
from tests.cold.test_plan import DAY, HOUR, Stream
from tests.examples import examples

DAY_S = 86_400
OCTOBER = DAY - 3
"""2024-10-01."""


def month_of_days(rows: int = 20_000, *, days: int = 31, stream: Stream | None = None) -> Stream:
    """A finished day a file; ``DAY`` is the fourth of the month."""
    stream = stream or Stream()
    for day in range(OCTOBER, OCTOBER + days):
        stream.roll(HOUR, rows, day=day)
    return stream


def pass_time(stream: Stream, start: int, hours: int, *, every: int = 1) -> list[tuple[int, Reason]]:
    """What is carried out, by the hour in which it is."""
    return [(hour, plan.reason) for hour in range(0, hours, every) for plan in stream.settle(start + hour * HOUR)]


def test_a_month_that_is_over_becomes_one_file() -> None:
    stream = month_of_days()
    over_at = (28 + 2) * DAY_S
    assert pass_time(stream, over_at - 10 * HOUR, 10) == []
    assert [reason for _, reason in pass_time(stream, over_at, 3)] == [Reason.MONTH]
    (segment,) = stream.segments
    assert (segment.day, segment.days, segment.level) == (OCTOBER, 31, FINAL)
    assert pass_time(stream, over_at + 3 * HOUR, 1000, every=10) == []


def test_five_years_of_a_stream_are_tens_of_files_written_three_times() -> None:
    stream = Stream()
    for day in range(OCTOBER, OCTOBER + 5 * 365):
        for part in range(2):
            stream.roll((day - DAY) * DAY_S + part * HOUR, 4_000)
        stream.settle((day - DAY) * DAY_S + 23 * HOUR)
    rolled = sum(s.rows for s in stream.segments) * 3.75
    assert len(stream.segments) <= 60 + 40
    assert stream.written < 4 * rolled + 4 * 5 * 365 * 6_000 * 2


@pytest.mark.parametrize(("rows", "files"), [(1_000, 1), (400_000, 4), (SPAN_ROWS_MAX // 2, 16), (SPAN_ROWS_MAX, 31)])
def test_days_lie_together_as_long_as_they_are_small(rows: int, files: int) -> None:
    stream = month_of_days(rows)
    pass_time(stream, 40 * DAY_S, 10)
    assert len(stream.segments) == files
    assert all(s.rows <= SPAN_ROWS_MAX for s in stream.segments)


def test_a_wide_stream_comes_there_in_steps() -> None:
    wide = Stream(schema=Schema("s", tuple(Column(f"c{i}", Kind.FLOAT) for i in range(98))))
    month_of_days(stream=wide)
    assert inputs_max(wide.schema) == 10
    done = pass_time(wide, 40 * DAY_S, 400)
    assert len(wide.segments) == 1
    assert len(done) <= 6


def test_a_late_record_waits_the_longer_the_larger_the_file_and_is_merged_into_it() -> None:
    waits = {}
    for rows in (20_000, 120_000):
        stream = month_of_days(rows)
        start = 40 * DAY_S
        pass_time(stream, start, 3)
        assert len(stream.segments) == 1
        stream.roll(start + 3 * HOUR, 100, day=DAY)
        ((hour, reason),) = pass_time(stream, start + 3 * HOUR, 24 * 9)
        assert reason is Reason.LATE
        assert len(stream.segments) == 1
        waits[rows] = hour
    assert waits == {20_000: 24, 120_000: 24}
    stream = month_of_days(1_000)
    stream.segments = (replace(stream.segments[0], bytes=64 << 20), *stream.segments[1:2])
    stream.segments = (replace(stream.segments[0], days=2, level=FINAL), replace(stream.segments[1], level=0))
    assert pass_time(stream, 40 * DAY_S, 24 * 5, every=4) == [(100, Reason.LATE)]


def test_a_twin_in_a_months_file_is_made_one_from_all_that_overlaps() -> None:
    stream = month_of_days()
    pass_time(stream, 40 * DAY_S, 3)
    late = stream.roll(41 * DAY_S, 10, day=DAY)
    stream.soil(HOUR, day=DAY)
    ((_, reason),) = pass_time(stream, 41 * DAY_S, 5)
    assert reason is Reason.TWINS
    assert stream.dirty == {}
    assert late not in stream.segments


def test_a_day_that_waits_for_something_parts_its_neighbours() -> None:
    stream = month_of_days(days=5)
    stream.roll(40 * DAY_S, 10, day=OCTOBER + 2)
    assert stream.look(40 * DAY_S) == ()
    spans = sorted((p.day - OCTOBER, p.days) for p in stream.look(40 * DAY_S + 3_700))
    assert spans == [(0, 2), (2, 1), (3, 2)]


def test_days_outside_the_calendar_stay_alone() -> None:
    far = 4_000_000_000
    assert month_of(far) is None
    stream = Stream()
    for day in (far, far + 1, -far):
        stream.roll(HOUR, 10, day=day)
    assert pass_time(stream, 0, 50) == []


@pytest.mark.parametrize("span", [(None, None), (DAY, DAY + 1)])
def test_what_was_deleted_leaves_each_file_that_may_hold_it_at_once_and_by_itself(span: tuple[int | None, int | None]) -> None:
    stream = month_of_days(days=6)
    since, until = (None if day is None else day * 86_400_000_000 for day in span)
    stream.deletions = (Deletion(3, "s", since, until, {"device": "a"}, up_to_seq=stream.mark),)
    touched = [s for s in stream.segments if stream.deletions[0].concerns(s)]
    assert len(touched) == (6 if since is None else 1)
    plans = stream.look(0)
    assert sorted(p.inputs[0].id for p in plans) == [s.id for s in touched]
    assert {(len(p.inputs), p.reason, p.dedup, p.level) for p in plans} == {(1, Reason.DELETED, False, 0)}
    assert stream.settle(0)
    assert stream.look(0) == ()


@settings(max_examples=examples(40), deadline=None, suppress_health_check=BUSY)
@given(days=st.lists(st.tuples(st.integers(0, 70), st.integers(1, 2_000_000)), min_size=1, max_size=40), hours=st.integers(1, 3000))
def test_any_days_come_to_rest_and_no_record_is_lost(days: list[tuple[int, int]], hours: int) -> None:
    stream = Stream()
    for day, rows in days:
        stream.roll(0, rows, day=DAY - day)
    rows_all = sum(s.rows for s in stream.segments)
    for hour in range(0, hours + 400, 100):
        stream.settle(hour * HOUR)
    assert sum(s.rows for s in stream.segments) == rows_all
    units = units_of(stream.segments)
    assert sum(len(u.segments) for u in units) == len(stream.segments)
    assert all(a.last < b.day for a, b in pairwise(units))
    for unit in units:
        month = month_of(unit.day)
        assert month is not None
        assert unit.last < month.end
