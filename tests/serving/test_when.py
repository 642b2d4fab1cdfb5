"""Moments as people write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from appliance.clock import US_PER_S
from appliance.serving.when import moment

NOW_US = 1_767_355_200_000_000
"""2026-01-02 12:00 in UTC."""
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", 0),
        ("1h", -3600),
        ("90 s", -90),
        ("2d", -172_800),
        ("2026-01-02T12:00:00Z", 0),
        ("2026-01-02 13:00", 0),
        ("2026-01-02T13:00:00+01:00", 0),
        ("2026-01-02T12:00:00.5Z", 0.5),
        ("2026-01-02", -46_800),
        ("2026-07-02 14:00", 86_400 * 181),
    ],
)
def test_a_moment_is_a_duration_ago_or_a_time_in_the_zone_unless_it_names_one(text: str, seconds: float) -> None:
    assert moment(text, now_us=NOW_US, zone=BERLIN) == NOW_US + int(seconds * US_PER_S)


@pytest.mark.parametrize("text", ["", "yesterday", "10m", "2026-13-01", "1h ago", "-1h"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no moment"):
        moment(text, now_us=NOW_US, zone=BERLIN)
