"""Which segments are compacted: few files, few rewrites, twins only where it is safe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY
from appliance.cold.compaction import plan as planning
from appliance.cold.compaction.plan import CompactionPlan, Day, Reason, Waiting, is_open, observe, pick_tier, plan_compaction
from appliance.manifest import Deletion, Dirty, Segment
from appliance.options import CompactOptions
from appliance.records import Column, Kind, Schema
from tests.cold.making import BUSY, READINGS
from tests.examples import examples

DAY = 20_000
START_S = DAY * 86_400
HOUR = 3_600
BYTES_OF_FILE = 6_000


@dataclass
class Stream:
    """A stream whose compactions are carried out on paper; times in seconds from the midnight of ``DAY``."""

    name: str = "s"
    schema: Schema = READINGS
    mark: int = 0
    segments: tuple[Segment, ...] = ()
    dirty: Mapping[int, Dirty] = field(default_factory=dict)
    deletions: tuple[Deletion, ...] = ()
    files_max: int = 12
    waiting: dict[Day, Waiting] = field(default_factory=dict)
    written: int = 0
    ids: int = 0

    def roll(self, at: int, rows: int = 3000, *, day: int | None = None, span_s: int = 300) -> Segment:
        day = DAY + at // 86_400 if day is None else day
        end = (START_S + at) * 1_000_000 if day == DAY + at // 86_400 else (day + 1) * US_PER_DAY - 1
        return self._add(day, rows, self.mark + 1, self.mark + rows, end - span_s * 1_000_000, end, level=0)

    def soil(self, at: int, *, span_s: int = 600, day: int | None = None) -> None:
        """The newest record is a twin of one within the span before."""
        day = DAY + at // 86_400 if day is None else day
        end = (START_S + at) * 1_000_000
        new = Dirty(day, end - span_s * 1_000_000, end, self.mark)
        self.dirty = {**self.dirty, day: self.dirty[day].merge(new) if day in self.dirty else new}

    def look(self, at: int) -> tuple[CompactionPlan, ...]:
        now_ns = at * 1_000_000_000
        self.waiting = observe(self.waiting, [self], now_ns=now_ns)
        options = CompactOptions(files_max=self.files_max)
        return plan_compaction([self], options=options, waiting=self.waiting, now_us=(START_S + at) * 1_000_000, now_ns=now_ns)

    def carry_out(self, plan: CompactionPlan) -> None:
        assert set(plan.inputs) <= set(self.segments)
        self.segments = tuple(s for s in self.segments if s not in plan.inputs)
        firsts, lasts = [s.first for s in plan.inputs], [s.last for s in plan.inputs]
        spans = [s.ts_min for s in plan.inputs], [s.ts_max for s in plan.inputs]
        first, days = min(s.day for s in plan.inputs), max(s.day_last for s in plan.inputs) - min(s.day for s in plan.inputs) + 1
        assert (plan.day, plan.days) == (first, days)
        purged = max((d.id for d in self.deletions), default=0)
        self._add(first, plan.rows, min(firsts), max(lasts), min(spans[0]), max(spans[1]), level=plan.level, days=days, purged=purged)
        self.dirty = {d: v for d, v in self.dirty.items() if not plan.clears(v)}

    def settle(self, at: int) -> list[CompactionPlan]:
        """Look and carry out until nothing is due."""
        done: list[CompactionPlan] = []
        while plans := self.look(at):
            assert len(done) < 50, f"never ends: {plans[0]}"
            self.carry_out(plans[0])
            done.append(plans[0])
        return done

    def _add(
        self, day: int, rows: int, first: int, last: int, ts_min: int, ts_max: int, *, level: int, days: int = 1, purged: int = 0
    ) -> Segment:
        self.ids += 1
        self.mark = max(self.mark, last)
        size = int(rows * 3.75) + BYTES_OF_FILE
        self.written += size
        added = Segment(self.ids, self.name, day, f"lake/s/{self.ids}", first, last, rows, ts_min, ts_max, size, "", 1, level, days, purged)
        self.segments += (added,)
        return added


def test_today_with_few_segments_is_left_alone() -> None:
    stream = Stream()
    for i in range(12):
        stream.roll(HOUR + i * 300)
        assert stream.look(HOUR + i * 300) == ()


def test_one_segment_too_many_merges_the_small_ones() -> None:
    stream = Stream()
    big = stream.roll(300, 200_000)
    for i in range(12):
        stream.roll(HOUR + i * 300)
    (plan,) = stream.look(3 * HOUR)
    assert plan.reason is Reason.FILES
    assert big not in plan.inputs
    assert len(plan.inputs) == 12
    assert (plan.level, plan.dedup) == (1, False)
    assert str(plan) == f"s 2024-10-04: 12 segments, 36000 records, {plan.bytes} bytes (too many segments)"


def test_a_day_that_is_over_is_rewritten_whole_once_it_is_quiet() -> None:
    stream = Stream()
    for i in range(5):
        stream.roll(20 * HOUR + i * HOUR - 1)
    assert stream.look(24 * HOUR + 60) == ()
    (plan,) = stream.settle(24 * HOUR + 1800)
    assert (plan.reason, plan.level, len(plan.inputs)) == (Reason.CLOSED, 2, 5)
    assert stream.settle(1000 * HOUR) == []


def test_a_day_of_one_rolled_segment_is_final_as_it_is() -> None:
    stream = Stream()
    stream.roll(HOUR)
    assert stream.settle(0) + stream.settle(1000 * HOUR) == []


def test_a_past_day_that_is_still_being_loaded_waits_an_hour_at_most() -> None:
    stream = Stream()
    rewritten_at = []
    stream.roll(0, 50_000, day=DAY - 400)
    for minute in range(5, 120, 5):
        stream.roll(minute * 60, 100, day=DAY - 400)
        rewritten_at += [minute for p in stream.settle(minute * 60) if p.reason is not Reason.FILES]
    assert rewritten_at == [65]


@pytest.mark.parametrize(("late_rows", "after_s"), [(500, 24 * HOUR), (100_000, HOUR)])
def test_a_finished_day_waits_for_more_late_records_the_longer_the_fewer_they_are(late_rows: int, after_s: int) -> None:
    stream = Stream()
    stream.roll(HOUR, 300_000)
    stream.roll(2 * HOUR, 300_000)
    assert len(stream.settle(30 * HOUR) + stream.settle(31 * HOUR)) == 1
    at = 40 * HOUR
    stream.roll(at, late_rows, day=DAY)
    assert stream.settle(at) + stream.settle(at + after_s - 1) == []
    (plan,) = stream.settle(at + after_s)
    assert plan.reason is Reason.LATE


def test_a_twin_in_a_finished_day_is_made_one_within_the_hour_from_all_its_segments() -> None:
    stream = Stream()
    stream.roll(HOUR)
    stream.roll(2 * HOUR)
    stream.settle(30 * HOUR)
    stream.settle(31 * HOUR)
    stream.roll(40 * HOUR, 1, day=DAY)
    stream.soil(2 * HOUR, day=DAY)
    stream.settle(40 * HOUR)
    (plan,) = stream.settle(41 * HOUR)
    assert (plan.reason, plan.dedup, len(plan.inputs), plan.mark) == (Reason.TWINS, True, 2, stream.mark)
    assert not stream.dirty


def test_a_twin_within_a_single_segment_is_made_one_too() -> None:
    stream = Stream()
    stream.roll(HOUR)
    stream.soil(HOUR)
    stream.settle(30 * HOUR)
    (plan,) = stream.settle(31 * HOUR)
    assert plan.dedup
    assert stream.settle(32 * HOUR) == []


def test_a_twin_that_is_still_hot_waits_for_its_roll() -> None:
    stream = Stream()
    stream.roll(HOUR)
    stream.soil(HOUR)
    stream.dirty = {DAY: replace(stream.dirty[DAY], seq=stream.mark + 1)}
    assert stream.settle(30 * HOUR) + stream.settle(100 * HOUR) == []
    stream.mark += 1
    assert stream.settle(100 * HOUR) == []
    assert len(stream.settle(101 * HOUR)) == 1


def test_twins_of_today_are_made_one_among_the_segments_that_can_hold_them() -> None:
    stream = Stream()
    for i in range(6):
        stream.roll(HOUR + i * 300)
    stream.soil(HOUR + 5 * 300)
    stream.settle(HOUR + 5 * 300)
    (plan,) = stream.settle(3 * HOUR)
    assert (plan.dedup, plan.level) == (True, 1)
    assert plan.inputs == stream_tail(plan.inputs, first=3 * 3000 + 1)
    assert not stream.dirty


def stream_tail(segments: Iterable[Segment], *, first: int) -> tuple[Segment, ...]:
    return tuple(s for s in segments if s.first >= first)


def test_a_later_twin_keeps_the_day_dirty() -> None:
    stream = Stream()
    stream.roll(HOUR)
    stream.soil(HOUR)
    stream.settle(HOUR)
    (plan,) = stream.look(31 * HOUR)
    assert plan.clears(stream.dirty[DAY])
    assert not plan.clears(replace(stream.dirty[DAY], seq=plan.mark + 1))
    assert not replace(plan, dedup=False).clears(stream.dirty[DAY])


def test_more_segments_than_can_be_open_at_once_are_merged_step_by_step() -> None:
    stream = Stream()
    for i in range(100):
        stream.roll(i * 60)
    stream.look(30 * HOUR)
    done = stream.settle(31 * HOUR)
    assert max(len(p.inputs) for p in done) == planning.INPUTS_MAX
    assert done[-1].level == 2
    assert len(stream.segments) == 1


def test_of_a_wide_stream_fewer_segments_are_merged_at_once() -> None:
    wide = Schema("s", tuple(Column(f"c{i}", Kind.FLOAT) for i in range(300)))
    stream = Stream(schema=wide)
    for i in range(9):
        stream.roll(i * HOUR)
    stream.look(30 * HOUR)
    done = stream.settle(31 * HOUR)
    assert max(len(p.inputs) for p in done) == planning.inputs_max(wide) == 3
    assert done[-1].level == 2
    assert len(stream.segments) == 1


def test_a_day_too_large_to_rewrite_keeps_its_large_segments() -> None:
    stream = Stream()
    for i in range(20):
        stream.roll(i * HOUR, 3_000_000)
    stream.look(30 * HOUR)
    assert stream.settle(31 * HOUR) == []
    assert stream.waiting.keys() == {("s", DAY)}


def test_days_of_the_far_future_and_of_1970_are_not_held_open() -> None:
    now_us = (START_S + 12 * HOUR) * 1_000_000
    assert [is_open(d, now_us=now_us) for d in (0, DAY - 1, DAY, DAY + 1, DAY + 2, 84_006)] == [False, False, True, True, False, False]


def test_nothing_is_planned_when_compaction_is_off() -> None:
    stream = Stream()
    for i in range(40):
        stream.roll(i * 300)
    waiting = observe({}, [stream], now_ns=0)
    assert plan_compaction([stream], options=CompactOptions(enabled=False), waiting=waiting, now_us=10**18, now_ns=10**18) == ()


def test_what_is_remembered_is_bounded_by_unfinished_days_and_months() -> None:
    stream = Stream()
    for day in range(500):
        stream.roll(HOUR, 10, day=DAY - day)
    stream.roll(HOUR, 10)
    stream.look(HOUR)
    assert ("s", DAY) in stream.waiting
    assert len(stream.waiting) <= 1 + 18


@pytest.mark.parametrize(("files_max", "rewrites_max"), [(24, 2.8), (12, 3.2), (4, 11.0), (1, 11.0)])
def test_a_record_is_rewritten_a_few_times_in_its_first_day_and_never_after(files_max: int, rewrites_max: float) -> None:
    stream = Stream(files_max=files_max)
    rolled = peak = 0
    for step in range(2 * 288):
        rolled += stream.roll(step * 300 + 299, 30_000).bytes
        stream.settle(step * 300 + 299)
        peak = max(peak, sum(s.day == DAY + step // 288 for s in stream.segments))
    for later in range(48 * HOUR, 60 * HOUR, 600):
        stream.settle(later)
    assert (stream.written - rolled) / rolled < rewrites_max
    assert peak <= max(4, files_max)
    assert [s.level for s in stream.segments] == [2, 2]


arrivals = st.lists(
    st.tuples(
        st.sampled_from(["roll", "late", "twin", "late twin", "big"]), st.integers(60, 4 * HOUR), st.integers(1, 50_000), st.integers(0, 3)
    ),
    max_size=40,
)


@settings(max_examples=examples(120), deadline=None, suppress_health_check=BUSY)
@given(arrivals=arrivals, files_max=st.sampled_from([1, 4, 12]))
def test_whatever_arrives_plans_are_sound_and_everything_comes_to_rest(arrivals: list[tuple[str, int, int, int]], files_max: int) -> None:
    stream = Stream(files_max=files_max)
    at = 0
    for what, wait_s, rows, back in arrivals:
        at += wait_s
        day = DAY + at // 86_400 - (back if "late" in what else 0)
        stream.roll(at, rows * (100 if what == "big" else 1), day=day)
        if "twin" in what:
            stream.soil(at if day == DAY + at // 86_400 else (day - DAY) * 86_400 + 86_399, day=day)
        while plans := stream.look(at):
            check_sound(stream, plans)
            stream.carry_out(plans[0])
    for _ in range(60):
        at += HOUR
        while plans := stream.look(at):
            check_sound(stream, plans)
            stream.carry_out(plans[0])
    assert stream.dirty == {}
    assert all(isinstance(place, str) for _, place in stream.waiting), "only months that are not over wait"
    days = {s.day for s in stream.segments}
    assert len(stream.segments) == len(days)


def check_sound(stream: Stream, plans: tuple[CompactionPlan, ...]) -> None:
    """Inputs are live and of the day; twins are made one only with all that can hold them; each plan makes less of something."""
    assert len({(p.stream, p.day) for p in plans}) == len(plans)
    for plan in plans:
        live = [s for s in stream.segments if s.day == plan.day]
        assert set(plan.inputs) <= set(live)
        assert len(set(plan.inputs)) == len(plan.inputs) > 0
        assert (plan.level == 2) == (set(plan.inputs) == set(live)) or plan.reason is Reason.FILES
        if plan.dedup:
            dirty = stream.dirty[plan.day]
            assert dirty.seq <= plan.mark
            assert all(s in plan.inputs for s in live if s.ts_max >= dirty.ts_min and s.ts_min <= dirty.ts_max)
        else:
            assert len(plan.inputs) > 1


@settings(deadline=None, suppress_health_check=BUSY)
@given(sizes=st.lists(st.tuples(st.integers(1, 3_000_000), st.integers(1, 10**7)), max_size=60), files_max=st.integers(4, 40))
def test_a_tier_takes_the_smallest_and_makes_them_fewer(sizes: list[tuple[int, int]], files_max: int) -> None:
    segments = [Segment(i, "s", 0, f"{i}", i, i, rows, 0, 0, size, "", 1, 0) for i, (rows, size) in enumerate(sizes)]
    picked = pick_tier(segments, files_max=files_max)
    small = sorted(s.bytes for s in segments if s.rows <= planning.SEGMENT_ROWS_MAX // 2)
    assert [s.bytes for s in picked] == small[: len(picked)]
    assert not picked or 2 <= len(picked) <= planning.INPUTS_MAX
