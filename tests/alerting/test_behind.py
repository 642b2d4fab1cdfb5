"""Devices whose clocks are behind those of others: what they send is current for them, and is told at once."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.hot.alerts.values import Kind
from tests.alerting.hooks_rows import happened, rehearsed

BEHIND_S = 600.0
WINDOW: dict[str, Any] = {"when": "avg(t) > 75", "over_s": 10.0, "every_s": 1.0}
Records = list[tuple[float, str, float | None]]


def mixed(mine: Records) -> Records:
    """Records of a device that is ten minutes behind among those of another, one a second each."""
    return [r for pair in zip([(i + BEHIND_S, "b", 20.0) for i in range(len(mine))], mine, strict=True) for r in pair]


@pytest.mark.parametrize("rule", [{"when": "t > 80"}, WINDOW, {**WINDOW, "when": "last(t) > 80"}], ids=["record", "window", "ordered"])
def test_what_a_device_behind_all_others_says_fires_at_its_own_time(rule: dict[str, Any]) -> None:
    mine: Records = [(float(i), "a", 95.0 if i >= 20 else 20.0) for i in range(60)]
    for cuts in (None, [], [7, 50]):
        found = rehearsed({**rule, "nodata_s": 3_000.0}, mixed(mine), cuts=cuts)
        assert [t.kind for t in found.transitions] == [Kind.CHANGE]
        (fired,) = happened(found, "a")
        assert fired[1] == "firing"
        assert 20 <= fired[2] <= 30
        assert fired[3] == 2 * (int(fired[2]) + 1)


def test_a_condition_holds_as_long_as_it_must_by_the_time_of_the_device() -> None:
    """Ten minutes behind, it is not over at once that something held for five seconds."""
    short: Records = [(float(i), "a", 95.0 if 20 <= i < 23 else 20.0) for i in range(60)]
    rule = {"when": "t > 80", "for_s": 5.0, "nodata_s": 3_000.0}
    for cuts in (None, [], [7, 50]):
        assert [h[1:3] for h in happened(rehearsed(rule, mixed(short), cuts=cuts), "a")] == [("pending", 20.0), ("ok", 23.0)]
    long: Records = [(float(i), "a", 95.0 if i >= 20 else 20.0) for i in range(60)]
    for cuts in (None, [], [7, 50]):
        assert [h[1:3] for h in happened(rehearsed(rule, mixed(long), cuts=cuts), "a")] == [("pending", 20.0), ("firing", 25.0)]


def test_time_goes_on_for_a_device_that_says_nothing_more() -> None:
    """It is five seconds after what it said last that the condition has held for five seconds, whatever its clock says."""
    mine: Records = [(0.0, "a", 20.0), (1.0, "a", 95.0)]
    rule = {"when": "t > 80", "for_s": 5.0, "nodata_s": 3_000.0}
    records = [*mixed(mine), *((BEHIND_S + i, "b", 20.0) for i in range(2, 6))]
    assert [h[1:3] for h in happened(rehearsed(rule, records), "a")] == [("pending", 1.0)]
    records += [(BEHIND_S + i, "b", 20.0) for i in range(6, 8)]
    assert [h[1:3] for h in happened(rehearsed(rule, records), "a")] == [("pending", 1.0), ("firing", 6.0)]


def test_an_alert_that_is_kept_ends_by_the_time_of_the_device() -> None:
    mine: Records = [(float(i), "a", 95.0 if i < 5 or i == 7 else 20.0) for i in range(20)]
    rule = {"when": "t > 80", "keep_s": 4.0, "nodata_s": 3_000.0}
    for cuts in (None, [], [7, 20]):
        assert [h[1:3] for h in happened(rehearsed(rule, mixed(mine), cuts=cuts), "a")] == [("firing", 0.0), ("ok", 12.0)]


def test_what_is_older_than_the_newest_of_its_own_key_is_late() -> None:
    mine: Records = [(0.0, "a", 20.0), (30.0, "a", 20.0), (20.0, "a", 95.0), (31.0, "a", 20.0)]
    found = rehearsed({"when": "t > 80", "nodata_s": 3_000.0}, mixed(mine))
    assert happened(found, "a") == [("late", "ok", 20.0, 6)]
