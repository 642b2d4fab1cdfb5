"""When work is due: tables of times, all of a year's changes of the clock in several zones among them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.cold.batch.schedule import Due, Last, When, days_there, due_now, next_due, set_back
from appliance.cron import parse_cron
from tests.examples import examples

H, M = 3_600 * US_PER_S, 60 * US_PER_S


def us(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * US_PER_S)


def shown(at_us: int, zone: str) -> str:
    """Local time with its distance to UTC."""
    return datetime.fromtimestamp(at_us / US_PER_S, ZoneInfo(zone)).isoformat(timespec="minutes")


def times(cron: str, zone: str, since: str, count: int) -> list[str]:
    """The next times after a local one; each is also found looking back."""
    schedule, tz, at_us = parse_cron(cron), ZoneInfo(zone), us(since, zone)
    found = []
    for _ in range(count):
        before, at_us = at_us, schedule.next_after(at_us, tz)
        assert before < at_us
        assert schedule.last_until(at_us, tz) == at_us == schedule.last_until(at_us + 1, tz)
        found.append(shown(at_us, zone))
    return found


# Every change of 2026 in zones that change at night, at midnight, by half an hour, in the other hemisphere, backwards in winter.
EDGES = [
    ("Europe/Berlin", "30 2 * * *", "2026-03-28", ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
    ("Europe/Berlin", "0 6 * * *", "2026-03-28", ["2026-03-28T06:00+01:00", "2026-03-29T06:00+02:00"]),
    ("Europe/Berlin", "30 2 * * *", "2026-10-24", ["2026-10-24T02:30+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    ("Europe/Berlin", "0,30 2,3 * * *", "2026-03-29", ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00", "2026-03-30T02:00+02:00"]),
    ("Europe/Berlin", "*/30 2 * * *", "2026-03-28T12:00", ["2026-03-30T02:00+02:00", "2026-03-30T02:30+02:00"]),
    (
        "Europe/Berlin",
        "*/30 2 * * *",
        "2026-10-25",
        ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00", "2026-10-26T02:00+01:00"],
    ),
    ("Europe/Berlin", "0 * * * *", "2026-03-29T00:30", ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"]),
    (
        "Europe/Berlin",
        "0 * * * *",
        "2026-10-25T01:30",
        ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"],
    ),
    ("America/New_York", "15 2 * * *", "2026-03-08", ["2026-03-08T03:00-04:00", "2026-03-09T02:15-04:00"]),
    ("America/New_York", "15 1 * * *", "2026-11-01", ["2026-11-01T01:15-04:00", "2026-11-02T01:15-05:00"]),
    ("Australia/Lord_Howe", "0 2 * * *", "2026-04-04T12:00", ["2026-04-05T02:00+10:30", "2026-04-06T02:00+10:30"]),
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"]),
    (
        "Australia/Lord_Howe",
        "*/15 1 * * *",
        "2026-04-05T01:20",
        ["2026-04-05T01:30+11:00", "2026-04-05T01:45+11:00", "2026-04-05T01:30+10:30", "2026-04-05T01:45+10:30"],
    ),
    ("Australia/Lord_Howe", "*/15 2 * * *", "2026-04-05", ["2026-04-05T02:00+10:30", "2026-04-05T02:15+10:30"]),
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
    ("Africa/Cairo", "0 0 * * *", "2026-04-23T12:00", ["2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"]),
    ("Africa/Cairo", "0 0 * * *", "2026-10-29T12:00", ["2026-10-30T00:00+02:00", "2026-10-31T00:00+02:00"]),
    ("America/Santiago", "0 0 * * *", "2026-09-05T12:00", ["2026-09-06T01:00-03:00", "2026-09-07T00:00-03:00"]),
    ("America/Santiago", "30 23 * * *", "2026-04-04T12:00", ["2026-04-04T23:30-03:00", "2026-04-05T23:30-04:00"]),
    ("Asia/Kolkata", "30 2 * * *", "2026-03-28", ["2026-03-28T02:30+05:30", "2026-03-29T02:30+05:30"]),
]


@pytest.mark.parametrize(("zone", "cron", "since", "expected"), EDGES)
def test_a_schedule_is_right_where_the_clocks_change(zone: str, cron: str, since: str, expected: list[str]) -> None:
    assert times(cron, zone, since, len(expected)) == expected


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Europe/Dublin"]
)
@pytest.mark.parametrize("clock", ["30 0", "30 1", "30 2", "0 3", "59 23"])
def test_a_fixed_time_comes_once_on_each_day_of_a_year(zone: str, clock: str) -> None:
    tz, cron, at_us = ZoneInfo(zone), parse_cron(f"{clock} * * *"), us("2025-12-31T23:59:59", zone)
    days = []
    while (at_us := cron.next_after(at_us, tz)) < us("2027-01-01", zone):
        days.append(datetime.fromtimestamp(at_us / US_PER_S, tz).date())
    first = datetime(2026, 1, 1, tzinfo=UTC).date()
    assert days == [first + timedelta(days=n) for n in range(365)]


@given(
    st.sampled_from(["*/7 * * * *", "5,35 * * * *", "*/20 1-3 * * *", "0 */2 * * *"]),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/New_York"]),
    st.integers(us("2026-01-01") // M, us("2027-01-01") // M),
)
@settings(max_examples=examples(60), deadline=None)
def test_what_recurs_comes_whenever_the_clock_on_the_wall_shows_it(cron: str, zone: str, at_min: int) -> None:
    """Against looking at each minute of the next hours."""
    tz, schedule, at_us = ZoneInfo(zone), parse_cron(cron), at_min * M
    minutes, hours = cron.split()[:2]

    def matches(us_: int) -> bool:
        wall = datetime.fromtimestamp(us_ / US_PER_S, tz)
        return _in(minutes, wall.minute) and _in(hours, wall.hour)

    found = schedule.next_after(at_us, tz)
    assert matches(found)
    assert not any(matches(m) for m in range(at_us + M, min(found, at_us + 30 * H), M))


def _in(field: str, value: int) -> bool:
    span, _, step = field.partition("/")
    if span == "*":
        return value % int(step or 1) == 0
    if "-" in span:
        low, high = map(int, span.split("-"))
        return low <= value <= high
    return str(value) in span.split(",")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("60 * * * *", "no sense in minute"),
        ("* * * JANUARY *", "no sense in month"),
        ("5 4", "has 2 fields"),
        ("@daily", "has 1 fields"),
    ],
)
def test_a_schedule_that_can_not_be_kept_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_cron(text)


def test_rare_days_come() -> None:
    assert times("0 0 29 2 *", "UTC", "2026-01-01", 2) == ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]
    assert times("0 12 L * *", "UTC", "2026-01-31T13:00", 2) == ["2026-02-28T12:00+00:00", "2026-03-31T12:00+00:00"]
    assert times("0 12 * * MON#1", "UTC", "2026-01-01", 1) == ["2026-01-05T12:00+00:00"]


DAILY, EVERY = When(schedule="0 6 * * *"), When(every_s=300)
SINCE = us("2026-11-20T12:00")


@pytest.mark.parametrize(
    ("when", "due", "now", "expected"),
    [
        # first seen at noon: the next morning, not the one before
        (DAILY, None, "2026-11-20T12:00", None),
        (DAILY, None, "2026-11-21T05:59:59", None),
        (DAILY, None, "2026-11-21T06:00", Due(us("2026-11-21T06:00"), "schedule")),
        (DAILY, "2026-11-21T06:00", "2026-11-21T06:00", None),
        (DAILY, "2026-11-21T06:00", "2026-11-22T06:00:10", Due(us("2026-11-22T06:00"), "schedule")),
        # switched off over it, or for a week: one run
        (DAILY, "2026-11-21T06:00", "2026-11-22T08:00", Due(us("2026-11-22T06:00"), "missed")),
        (DAILY, "2026-11-21T06:00", "2026-11-28T05:00", Due(us("2026-11-27T06:00"), "missed")),
        # an interval begins at once and keeps its pace
        (EVERY, None, "2026-11-20T12:00", Due(SINCE, "every")),
        (EVERY, "2026-11-20T12:00", "2026-11-20T12:04:59", None),
        (EVERY, "2026-11-20T12:00", "2026-11-20T12:05:01", Due(us("2026-11-20T12:05"), "every")),
        (EVERY, "2026-11-20T12:00", "2026-11-20T13:12", Due(us("2026-11-20T13:10"), "missed")),
        (When(), None, "2026-11-21T06:00", None),
        (When(after="other"), None, "2026-11-21T06:00", None),
    ],
)
def test_what_is_due(when: When, due: str | None, now: str, expected: Due | None) -> None:
    last = Last(SINCE, None if due is None else us(due))
    assert due_now(when, last, now_us=us(now), zone=UTC) == expected


@pytest.mark.parametrize(
    ("when", "due", "now", "next_"),
    [
        (DAILY, "2026-11-21T06:00", "2026-11-21T05:00", "2026-11-22T06:00"),  # back by an hour: it has run already
        (DAILY, "2100-01-01T06:00", "2026-11-21T05:00", "2026-11-21T06:00"),  # the clock was wrong
        (EVERY, "2026-11-21T06:00", "2026-11-21T05:00", "2026-11-21T05:05"),
        (EVERY, "2100-01-01T06:00", "2026-11-21T05:00", "2026-11-21T05:05"),
    ],
)
def test_a_clock_that_was_set_back_stops_nothing(when: When, due: str, now: str, next_: str) -> None:
    last = set_back(when, Last(SINCE, us(due)), now_us=us(now))
    assert next_due(when, last, zone=UTC) == us(next_)


DAY = us("2026-11-21") // US_PER_DAY


@pytest.mark.parametrize(
    ("segments", "hot", "now", "expected"),
    [
        ([DAY], [], "2026-11-21T23:59:59", []),
        ([DAY], [], "2026-11-22", [DAY]),
        ([DAY, DAY, DAY - 1], [], "2026-11-22", [DAY - 1, DAY]),
        ([DAY], [("2026-11-21T23:59", "2026-11-22T00:01")], "2026-11-22T00:05", []),
        ([DAY], [("2026-11-22", "2026-11-22T00:01")], "2026-11-22T00:05", [DAY]),
        ([], [], "2026-11-22", []),
    ],
)
def test_a_day_is_there_when_it_is_over_and_in_the_lake(
    segments: list[int], hot: list[tuple[str, str]], now: str, expected: list[int]
) -> None:
    spans = [(us(low), us(high)) for low, high in hot]
    assert days_there(segment_days=segments, hot_spans=spans, now_us=us(now)) == expected


def test_each_day_has_its_run_in_order_and_of_the_past_only_the_newest() -> None:
    when = When(on_day="readings")

    def due(day: int | None, *days: int) -> int | None:
        found = due_now(when, Last(0, day=day), now_us=us("2026-12-01"), zone=UTC, days=days)
        return None if found is None else found.day

    assert due(None) is None
    assert due(None, 1, 2, 3) == 3
    assert due(3, 1, 2, 3) is None
    assert due(3, 1, 2, 3, 4, 5) == 4
    assert due(4, 1, 2, 3, 4, 5) == 5
    assert due_now(when, Last(0, day=DAY - 1), now_us=us("2026-12-01"), zone=UTC, days=[DAY]) == Due(
        us("2026-11-22"), "day 2026-11-21", DAY
    )
