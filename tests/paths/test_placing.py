"""When a workload moves: at once when its needs are changed, by itself only after a while, never to and fro."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.clock import US_PER_S
from appliance.paths.needs import PATHS, Needs, Path
from appliance.paths.placing import SETTLE_S, Measured, Placement, Setting, place
from appliance.paths.rules import PathCost

PANEL = Needs(freshness_s=600.0, staleness_s=600.0, is_complex=True)
ANY = Setting(runs_on=PATHS)
MAKES = replace(ANY, moves="make")
LARGE = Measured(records=2_000_000)
SETTLED_US = round(SETTLE_S * US_PER_S)


def at(seconds: float) -> int:
    return 1_700_000_000_000_000 + round(seconds * US_PER_S)


def placed(needs: Needs = PANEL, measured: Measured = Measured(), setting: Setting = ANY, before: Placement | None = None) -> Placement:  # noqa: B008 - frozen
    return place(needs, measured, setting, before=before, now_us=at(0))


def test_a_change_of_needs_moves_at_once() -> None:
    before = placed()
    after = placed(replace(PANEL, freshness_s=2.0), before=before)
    assert (before.path, after.path, after.rule) == ("cold", "hot", "fresh")
    assert after.wanted is None


def test_a_measured_volume_is_proposed_with_its_reason_and_moves_nothing() -> None:
    fresh = replace(PANEL, freshness_s=2.0)
    first = placed(fresh, LARGE)
    later = place(fresh, LARGE, ANY, before=first, now_us=at(10 * SETTLE_S))
    for found in (first, later):
        assert (found.path, found.wanted and found.wanted.path, found.wanted_us) == ("hot", "hybrid", at(0))
        assert found.wanted is not None
        assert "2,000,000 records" in found.wanted.reason


def test_a_move_by_itself_waits_until_it_was_asked_for_long_enough() -> None:
    fresh = replace(PANEL, freshness_s=2.0)
    first = placed(fresh, LARGE, MAKES)
    almost = place(fresh, LARGE, MAKES, before=first, now_us=at(SETTLE_S - 1))
    moved = place(fresh, LARGE, MAKES, before=almost, now_us=at(SETTLE_S))
    assert [first.path, almost.path, moved.path] == ["hot", "hot", "hybrid"]
    assert (moved.rule, moved.declared, moved.wanted) == ("both", "hot", None)


def test_what_comes_and_goes_begins_to_wait_anew() -> None:
    fresh = replace(PANEL, freshness_s=2.0)
    first = placed(fresh, LARGE, MAKES)
    calm = place(fresh, Measured(records=10), MAKES, before=first, now_us=at(300))
    again = place(fresh, LARGE, MAKES, before=calm, now_us=at(SETTLE_S + 1))
    assert (calm.wanted, again.path, again.wanted_us) == (None, "hot", at(SETTLE_S + 1))


def test_a_move_by_itself_holds_until_the_config_moves_the_workload() -> None:
    fresh = replace(PANEL, freshness_s=2.0)
    moved = Placement(path="hybrid", rule="both", reason="", declared="hot")
    assert place(fresh, Measured(), ANY, before=moved, now_us=at(1)).wanted is not None
    unmeasured = place(fresh, Measured(), ANY, before=moved, now_us=at(1))
    assert unmeasured.path == "hybrid"
    assert place(PANEL, Measured(), ANY, before=moved, now_us=at(1)).path == "cold"


@pytest.mark.parametrize(
    ("costs", "wanted"),
    [
        ({}, None),
        ({"cold": PathCost(10.0)}, None),
        ({"hot": PathCost(1.0)}, None),
        ({"cold": PathCost(10.0), "hot": PathCost(9.0)}, None),
        ({"cold": PathCost(10.0), "hot": PathCost(7.0)}, "hot"),
        ({"cold": PathCost(10.0), "hot": PathCost(7.0), "hybrid": PathCost(2.0)}, "hybrid"),
    ],
)
def test_cost_alone_moves_only_what_is_measured_on_both_sides_and_clearly_cheaper(costs: dict[Path, PathCost], wanted: Path | None) -> None:
    found = placed(replace(PANEL, is_complex=False), Measured(costs=costs))
    assert found.path == "cold"
    assert (None if found.wanted is None else found.wanted.path) == wanted


def test_what_was_measured_gives_the_reason_where_it_moves_nothing() -> None:
    found = placed(PANEL, Measured(records=50_000))
    assert (found.path, found.rule) == ("cold", "batch")
    assert "50,000 records" in found.reason
