"""Which UTC a local day is, in every zone and on every edge of a year."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.batch_options import Covers
from appliance.clock import US_PER_DAY, US_PER_S
from appliance.cold.batch.reports.period import day_start_us, local_day, period_asked, period_before, period_of
from appliance.errors import UsageRefused

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "America/Havana", "America/Sao_Paulo", "Africa/Cairo")


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * US_PER_S)


@pytest.mark.parametrize(
    ("zone", "day", "since", "hours"),
    [
        ("UTC", "2026-11-21", "2026-11-21T00:00:00+00:00", 24),
        ("Europe/Berlin", "2026-11-21", "2026-11-20T23:00:00+00:00", 24),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00+00:00", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00+00:00", 25),
        ("America/Havana", "2026-03-08", "2026-03-08T05:00:00+00:00", 23),  # midnight itself is skipped: it begins at one
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00+00:00", 25),  # midnight comes twice: it begins at the first
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00", 23),
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00+00:00", 25),
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30:00+00:00", 23.5),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00+00:00", 0),  # a day that Samoa never had
    ],
)
def test_a_day_is_as_long_as_its_zone_has_it(zone: str, day: str, since: str, hours: float) -> None:
    found = period_of(date.fromisoformat(day), covers="day", zone=ZoneInfo(zone))
    assert found.since_us == us(since)
    assert (found.until_us - found.since_us) / 3_600_000_000 == hours


@given(st.sampled_from(ZONES), st.dates(date(1990, 1, 1), date(2037, 12, 30)), st.integers(0, US_PER_DAY - 1))
def test_days_tile_time_and_every_instant_is_in_its_local_day(zone: str, day: date, offset: int) -> None:
    place = ZoneInfo(zone)
    since, until = day_start_us(day, place), day_start_us(day + timedelta(days=1), place)
    assert since <= until
    at = since + offset
    if at < until:
        assert local_day(at, place) == day
    assert local_day(since - 1, place) < day


def test_all_days_of_a_year_sum_to_the_year() -> None:
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    spans = [period_of(d, covers="day", zone=BERLIN) for d in days]
    assert all(a.until_us == b.since_us for a, b in pairwise(spans))
    assert sorted({(s.until_us - s.since_us) // 3_600_000_000 for s in spans}) == [23, 24, 25]


@pytest.mark.parametrize(
    ("covers", "day", "name", "first", "last"),
    [
        ("day", "2026-11-21", "2026-11-21", "2026-11-21", "2026-11-21"),
        ("week", "2026-11-22", "2026-W47", "2026-11-16", "2026-11-22"),
        ("week", "2027-01-01", "2026-W53", "2026-12-28", "2027-01-03"),
        ("month", "2026-02-11", "2026-02", "2026-02-01", "2026-02-28"),
        ("month", "2026-12-31", "2026-12", "2026-12-01", "2026-12-31"),
    ],
)
def test_a_week_begins_on_monday_and_a_month_on_its_first(covers: Covers, day: str, name: str, first: str, last: str) -> None:
    found = period_of(date.fromisoformat(day), covers=covers, zone=BERLIN)
    assert (found.name, found.day.isoformat(), found.last_day.isoformat()) == (name, first, last)


def test_without_a_day_it_is_the_newest_that_is_over() -> None:
    just_after_midnight = us("2026-10-25T23:00:01+00:00")  # 00:00:01 of the 26th in Berlin, after the day of 25 hours
    assert period_before(just_after_midnight, covers="day", zone=BERLIN).name == "2026-10-25"
    assert period_before(just_after_midnight - 2_000_000, covers="day", zone=BERLIN).name == "2026-10-24"
    assert period_before(us("2026-11-01T12:00:00+01:00"), covers="month", zone=BERLIN).name == "2026-10"


@pytest.mark.parametrize(
    ("text", "name"), [("today", "2026-11-22"), ("Yesterday", "2026-11-21"), (" 2026-01-05 ", "2026-01-05"), (None, "2026-11-21")]
)
def test_a_person_names_a_day(text: str | None, name: str) -> None:
    now = round(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * US_PER_S)
    assert period_asked(text, now_us=now, covers="day", zone=BERLIN).name == name


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "2026-11-23", "9999-12-31", "'; DROP TABLE x"])
def test_what_is_no_day_or_has_not_begun_is_refused(text: str) -> None:
    now = round(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * US_PER_S)
    with pytest.raises(UsageRefused, match=r"is no day|has not begun"):
        period_asked(text, now_us=now, covers="day", zone=BERLIN)
