"""The same words for the same thing in every answer: numbers, sizes, times and names as a person reads them."""

from __future__ import annotations

from datetime import UTC

import pytest

from appliance.hybrid.analysis import phrases


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "nothing"),
        (0.0, "0"),
        (0.5, "0.5"),
        (999.4, "999.4"),
        (999.96, "1,000"),
        (1_000.0, "1,000"),
        (28_671.4, "28,671"),
        (842_191_668.0, "842,191,668"),
        (-28_671.4, "-28,671"),
        (0.000123456, "0.0001235"),
        (1e18, "1e+18"),
        (float("inf"), "inf"),
    ],
)
def test_a_number(value: float, said: str) -> None:
    assert phrases.number(value) == said


@pytest.mark.parametrize(("spreads", "said"), [(4.2, "4.2 times"), (-4.2, "4.2 times"), (1_000.0, "more than 1,000 times")])
def test_how_far_off(spreads: float, said: str) -> None:
    assert phrases.times(spreads) == said


@pytest.mark.parametrize(
    ("spreads", "said"),
    [(4.2, "4.2 spreads above 21.5"), (-2.7, "2.7 spreads below 21.5"), (69_358.7, "more than 1,000 spreads above 21.5")],
)
def test_from_where_and_to_which_side(spreads: float, said: str) -> None:
    assert phrases.off(spreads, 21.5) == said


def test_how_often_and_how_many() -> None:
    assert [phrases.often(n) for n in (0, 1, 2, 1_000)] == ["never", "once", "2 times", "1,000 times"]
    assert [phrases.count(n, "record") for n in (0, 1, 4_112)] == ["0 records", "1 record", "4,112 records"]
    assert phrases.count(2, "more series", "more series") == "2 more series"


@pytest.mark.parametrize(
    ("us", "said"),
    [
        (500_000, "500 ms"),
        (4_000_000, "4 s"),
        (-4_000_000, "4 s"),
        (119_000_000, "119 s"),
        (720_000_000, "12 min"),
        (3 * phrases.HOUR_US, "3 h"),
        (5 * phrases.DAY_US, "5 days"),
    ],
)
def test_a_span(us: int, said: str) -> None:
    assert phrases.span(us) == said


@pytest.mark.parametrize(
    ("us", "said"),
    [
        (-1, "0 minutes of history"),
        (61_000_000, "1 minute of history"),
        (5 * phrases.HOUR_US, "5 hours of history"),
        (30 * phrases.DAY_US, "30 days of history"),
    ],
)
def test_how_much_history(us: int, said: str) -> None:
    assert phrases.history(us) == said


def test_a_moment_that_no_calendar_has_is_a_count_of_seconds() -> None:
    assert phrases.moment(1_795_402_377_617_104, UTC) == "2026-11-23 02:52:57"
    assert phrases.moment(10**18, UTC) == "second 1000000000000"


def test_names_and_lists() -> None:
    assert phrases.series("cpu", "usage", {"host": "web1", "rack": None}) == "cpu usage (host=web1)"
    assert phrases.series("cpu", "usage", {}) == "cpu usage"
    assert phrases.series("c\npu", "usage", {"host": "a\x1b[31m"}) == "c pu usage (host=a [31m)"
    assert [phrases.listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c", "d", "e"])] == [
        "",
        "a",
        "a and b",
        "a, b, c and 2 more",
    ]
