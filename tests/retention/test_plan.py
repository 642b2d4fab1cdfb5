"""What goes is old or worth least, and never what isn't safely in the lake, clean and no longer needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.batch_options import RetentionOptions
from appliance.clock import US_PER_DAY
from appliance.cold.retention.plan import RetentionPlan, plan_retention, retention_clock
from appliance.manifest import Dirty, Segment
from appliance.options import StreamOptions

TODAY = 20_000
NOW_US = TODAY * US_PER_DAY + US_PER_DAY // 2
LONG_AGO = -(10**17)


@dataclass
class Stream:
    name: str
    segments: tuple[Segment, ...]
    lost: tuple[Segment, ...] = ()
    dirty: Mapping[int, Dirty] = field(default_factory=dict)


def segment(stream: str, day: int, *, days: int = 1, size: int = 100, number: int = 0) -> Segment:
    low = day * US_PER_DAY
    return Segment(number or day, stream, day, f"lake/{stream}/{day}", 1, 9, 10, low, (day + days) * US_PER_DAY - 1, size, "ab", 1, 2, days)


def daily(name: str, *, first: int = TODAY - 9, last: int = TODAY - 1, size: int = 100) -> Stream:
    return Stream(name, tuple(segment(name, day, size=size) for day in range(first, last + 1)))


def plan(
    *streams: Stream, keep_days: float | None = None, disk: int | None = None, own: dict[str, StreamOptions] | None = None, **more: Any
) -> RetentionPlan:
    options = RetentionOptions(keep_s=None if keep_days is None else keep_days * 86_400, disk_bytes_max=disk)
    given: dict[str, Any] = {"hot": {}, "holds": {}, "now_us": NOW_US, **more}
    # the newest record is of now, so that the clock is
    clock = Stream("clock", (replace(segment("clock", TODAY), ts_max=NOW_US, bytes=0),))
    return plan_retention([*streams, clock], options=options, of_streams=own or {}, **given)


def days(found: RetentionPlan) -> list[tuple[str, int]]:
    """What goes, as stream and age in days."""
    return [(r.stream, TODAY - r.day) for r in found.removals]


def test_without_a_limit_nothing_goes() -> None:
    assert not plan(daily("a"))


@pytest.mark.parametrize(("keep_days", "oldest_left"), [(100, 9), (9, 9), (8.6, 9), (8.5, 8), (3, 3), (0.6, 1), (0.5, 0)])
def test_a_day_goes_when_its_last_moment_is_too_old(keep_days: float, oldest_left: int) -> None:
    left = 9 - len(plan(daily("a"), keep_days=keep_days).removals)
    assert left == oldest_left


def test_a_streams_own_keep_goes_before_that_of_all() -> None:
    found = plan(daily("a"), daily("b"), keep_days=8, own={"a": StreamOptions(keep_s=2 * 86_400.0)})
    assert days(found) == [("a", age) for age in range(9, 2, -1)] + [("b", 9)]
    assert "older than 2 days" in str(found.removals[0])


def test_a_file_of_several_days_goes_with_its_last_one() -> None:
    stream = Stream("a", (segment("a", TODAY - 40, days=30),))
    assert not plan(stream, keep_days=11)
    assert days(plan(stream, keep_days=9)) == [("a", 40)]


@pytest.mark.parametrize(
    ("reason", "stream", "more"),
    [
        ("twice", Stream("a", (segment("a", TODAY - 9),), dirty={TODAY - 9: Dirty(TODAY - 9, 0, 1, 5)}), {}),
        ("missing or damaged", Stream("a", (segment("a", TODAY - 9),), lost=(segment("a", TODAY - 9, number=7),)), {}),
        ("not in the lake yet", Stream("a", (segment("a", TODAY - 9),)), {"hot": {"a": [(LONG_AGO, NOW_US)]}}),
        ("view hourly", Stream("a", (segment("a", TODAY - 9),)), {"holds": {"a": [((TODAY - 8) * US_PER_DAY - 1, "view hourly")]}}),
    ],
)
@pytest.mark.parametrize("limit", [{"keep_days": 1}, {"disk": 0}])
def test_what_is_not_safe_stays_and_the_plan_says_why(reason: str, stream: Stream, more: dict[str, Any], limit: dict[str, Any]) -> None:
    found = plan(stream, **limit, **more)
    assert not found
    assert [reason in kept.why for kept in found.kept] == [True]


@pytest.mark.parametrize(
    "more",
    [
        {"hot": {"a": [((TODAY - 8) * US_PER_DAY, NOW_US)]}},
        {"holds": {"a": [((TODAY - 8) * US_PER_DAY, "a view")]}},
        {"hot": {"b": [(0, NOW_US)]}},
    ],
)
def test_what_is_needed_of_other_days_or_streams_holds_nothing(more: dict[str, Any]) -> None:
    assert days(plan(Stream("a", (segment("a", TODAY - 9),)), keep_days=1, **more)) == [("a", 9)]


def test_by_disk_the_oldest_days_of_what_is_worth_least_go_first() -> None:
    own = {"cheap": StreamOptions(worth="low"), "dear": StreamOptions(worth="high")}
    streams = [daily(name, first=TODAY - days) for name, days in (("dear", 3), ("plain", 3), ("cheap", 2), ("other", 2))]
    wanted = [("cheap", 2), ("cheap", 1), ("plain", 3), ("other", 2), ("plain", 2), ("other", 1), ("plain", 1)]
    wanted += [("dear", 3), ("dear", 2), ("dear", 1)]
    for left in range(11):
        found = plan(*streams, disk=1000 - 100 * left, own=own)
        assert days(found) == wanted[:left]
    assert days(plan(*streams, disk=950, other_bytes=100, own=own)) == wanted[:2]


def test_what_lies_beside_segments_counts_and_goes_with_them() -> None:
    stream = daily("a", first=TODAY - 4)
    beside = {segment.path: 50 for segment in stream.segments}
    for disk, gone in ((600, 0), (599, 1), (450, 1), (449, 2)):
        assert len(plan(stream, disk=disk, beside=beside).removals) == gone


def test_today_stays_whatever_the_disk_says_and_the_plan_tells_what_is_over() -> None:
    found = plan(Stream("a", (segment("a", TODAY, size=500),)), disk=100)
    assert (found.removals, found.bytes_over) == ((), 400)


@pytest.mark.parametrize(
    ("spans", "now_us", "clock_us"),
    [
        ([(0, 50)], 100, 50),  # the wall clock ran ahead: the newest record is the time
        ([(0, 150)], 100, 0),  # a file that reaches into the future: only its beginning is certain
        ([(0, 50), (4000, 4100)], 100, 50),  # a record of the year 2100 ages nothing
        ([(0, 100)], 100, 100),
        ([], 100, -(2**63)),
    ],
)
def test_the_clock_of_retention(spans: list[tuple[int, int]], now_us: int, clock_us: int) -> None:
    stream = Stream("a", tuple(replace(segment("a", 0), ts_min=low, ts_max=high) for low, high in spans))
    assert retention_clock([stream], hot={}, now_us=now_us) == clock_us
    assert retention_clock([Stream("a", ())], hot={"a": spans}, now_us=now_us) == clock_us


@given(
    ages=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.integers(1, 5)), min_size=1, max_size=30),
    soiled=st.sets(st.integers(0, 40)),
    hot=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=4),
    held=st.none() | st.integers(0, 40),
    keep=st.none() | st.integers(0, 40),
    disk=st.none() | st.integers(0, 2000),
)
def test_nothing_that_is_dirty_hot_or_needed_ever_goes(
    ages: list[tuple[str, int, int]], soiled: set[int], hot: list[tuple[int, int]], held: int | None, keep: int | None, disk: int | None
) -> None:
    streams = [
        Stream(
            name,
            tuple(segment(name, TODAY - age - n + 1, days=n, number=i + 1) for i, (s, age, n) in enumerate(ages) if s == name),
            dirty={TODAY - age: Dirty(TODAY - age, 0, 0, 1) for age in soiled},
        )
        for name in "abc"
    ]
    spans = [((TODAY - age - n) * US_PER_DAY, (TODAY - age) * US_PER_DAY) for age, n in hot]
    holds = {"a": [((TODAY - held) * US_PER_DAY, "a report")]} if held is not None else {}
    found = plan(*streams, keep_days=keep or None, disk=disk, hot={"b": spans}, holds=holds)
    gone = {(r.stream, day) for r in found.removals for day in range(r.day, r.day + r.days)}
    assert not gone & {(name, TODAY - age) for name in "abc" for age in soiled}
    assert not [d for s, d in gone if s == "b" and any(low < (d + 1) * US_PER_DAY and high >= d * US_PER_DAY for low, high in spans)]
    assert held is None or not [d for s, d in gone if s == "a" and d >= TODAY - held]
