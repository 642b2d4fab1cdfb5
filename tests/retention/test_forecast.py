"""On which day the disk will be full, and which stream eats it."""

from __future__ import annotations

import pytest

from appliance.clock import US_PER_DAY
from appliance.cold.retention.forecast import Growth, forecast, forecast_of, growth_of
from tests.retention.test_plan import NOW_US, TODAY, Stream, daily, segment


def day(at_us: int | None) -> int | None:
    """Days from today."""
    return None if at_us is None else at_us // US_PER_DAY - TODAY


@pytest.mark.parametrize(
    ("growths", "room", "disk_max", "full", "trim", "eater"),
    [
        ([], 100, None, None, None, None),
        ([Growth("a", 10, None)], 100, None, 10, None, "a"),
        ([Growth("a", 10, None), Growth("b", 30, None)], 100, None, 2, None, "b"),
        ([Growth("a", 1, None)], 10**6, None, None, None, "a"),  # beyond ten years
        ([Growth("a", 90, 0.0), Growth("b", 10, None)], 100, None, 10, None, "b"),  # a loses as much as it gains
        ([Growth("a", 90, 1.0), Growth("b", 10, None)], 150, None, 6, None, "a"),  # 100 on the first day, then 10 a day
        ([Growth("a", 90, 1.0)], 150, None, None, None, "a"),
        ([Growth("a", 10, None)], 100, 1050, None, 5, "a"),  # history is trimmed before the disk is full
        ([Growth("a", 10, None)], 100, 5000, 10, None, "a"),  # a limit beyond what there is room for helps nobody
        ([Growth("a", 10, None)], -5, None, 0, None, "a"),
    ],
)
def test_the_day_on_which_there_is_no_room(
    growths: list[Growth], room: int, disk_max: int | None, full: int | None, trim: int | None, eater: str | None
) -> None:
    found = forecast(growths, room_bytes=room, lake_bytes=1000, disk_bytes_max=disk_max, now_us=TODAY * US_PER_DAY)
    assert (day(found.full_us), day(found.trim_us), found.stream) == (full, trim, eater)


@pytest.mark.parametrize(
    ("stream", "per_day"),
    [
        (daily("a"), 100),  # nine days, of which seven count
        (daily("a", first=TODAY - 2), 100),  # a young stream
        (daily("a", first=TODAY, last=TODAY), 0),  # today is not over
        (daily("a", first=TODAY - 100, last=TODAY - 50), 0),  # nothing of late
        (Stream("a", (segment("a", TODAY - 20, days=20, size=2000),)), 100),  # a file of several days counts in equal parts
        (Stream("a", (*daily("a").segments, segment("a", TODAY + 30_000, size=10**9))), 100),  # a record of the year 2100
    ],
)
def test_what_a_day_brings(stream: Stream, per_day: int) -> None:
    assert growth_of("a", stream.segments, keep_s=None, now_us=NOW_US).bytes_per_day == per_day


def test_what_lies_beside_segments_grows_with_them() -> None:
    stream = daily("a")
    beside = {segment.path: 30 for segment in stream.segments}
    assert growth_of("a", stream.segments, keep_s=None, now_us=NOW_US, beside=beside).bytes_per_day == 130
    more = {"room_bytes": 10**6, "disk_bytes_max": 9 * 130 + 260, "now_us": TODAY * US_PER_DAY}
    assert day(forecast_of({"a": (stream.segments, None)}, beside=beside, **more).trim_us) == 2


def test_what_is_kept_for_some_days_grows_until_it_is_that_old() -> None:
    stream = daily("a", first=TODAY - 9)
    assert growth_of("a", stream.segments, keep_s=30 * 86_400.0, now_us=NOW_US).days_left == 21
    assert growth_of("a", stream.segments, keep_s=5 * 86_400.0, now_us=NOW_US).days_left == 0
