"""What a report says of the box itself: the forecast of its disk is the one of the status."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.batching.report_box import box_table
from tests.tui.fake import NOON_US, FakeClient, FakeClock

DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"bytes_per_day": 2048, "full_us": NOON_US + DAY_US, "trim_us": None, "eater": "cpu"},
            {"the lake grows a day by": "2.0 KiB, most of it cpu", "full, if that goes on": "2026-11-23"},
        ),
        ({"bytes_per_day": 1, "full_us": NOON_US - 1}, {"full, if that goes on": "today"}),
        (
            {"bytes_per_day": 1, "full_us": None, "trim_us": NOON_US + DAY_US},
            {"full, if that goes on": "not within ten years", "the oldest days go ([retention] disk_max)": "2026-11-23"},
        ),
        (
            {"bytes_per_day": 0, "full_us": None, "eater": None},
            {"the lake grows a day by": "–", "full, if that goes on": "not known yet: there is no whole day to foretell from"},
        ),
    ],
)
def test_the_disk_of_the_daily_report_is_foretold_as_everywhere(given: dict[str, Any], told: dict[str, str]) -> None:
    status = FakeClient(FakeClock()).status()
    table = box_table("disk", msgspec.structs.replace(status, lake=msgspec.structs.replace(status.lake, **given)))
    found = {str(row[0]): row[1] for row in table.rows}
    assert {name: found[name] for name in told} == told
    assert ("the oldest days go ([retention] disk_max)" in found) is (given.get("trim_us") is not None)
