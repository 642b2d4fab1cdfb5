"""What is found in series that each tell one story, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.hybrid.analysis.numeric.scored import SLOT_BYTES_MAX
from tests.hybrid.analysis.numeric.scenes import AT, COUNT, DAY, RARE, SCENES, scene, scored


@pytest.mark.parametrize(
    "name", ["spike", "shift", "factor", "daily, flat", "daily, night by day", "constant, then another", "far from zero"]
)
def test_what_changes_is_found_within_three_records(name: str) -> None:
    assert scene(name).onsets[AT : AT + 3].max() >= RARE


def test_an_infinite_value_is_found_and_not_learned() -> None:
    assert scene("infinite").scores[AT] >= RARE
    assert scene("infinite").scores[AT + 1 :].max() <= scene("noise").scores.max()


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("noise", 3),
        ("noise of another unit", 3),
        ("random walk", 3),
        ("counts", 3),
        ("daily", 3),
        ("heavy tails", 8),
        ("huge", 3),
        ("tiny", 0),
    ],
)
def test_of_two_thousand_records_as_usual_hardly_one_is_an_onset(name: str, most: int) -> None:
    assert scene(name).rare() <= most


@pytest.mark.parametrize("name", ["constant", "nothing", "single value"])
def test_where_nothing_is_there_or_changes_nothing_is_unusual(name: str) -> None:
    assert not scene(name).scores.any()
    assert not scene(name).onsets.any()


def test_what_lasts_is_one_onset_and_becomes_usual() -> None:
    shifted = scene("shift")
    assert shifted.rare(AT, COUNT) <= 3
    assert np.median(shifted.scores[AT + 100 :]) < 0.5


def test_a_change_of_unit_is_told_at_once_and_learned_within_two_days() -> None:
    factor = scene("factor")
    assert factor.rare(AT, AT + 2 * DAY) <= 4
    assert factor.rare(AT + 2 * DAY, COUNT) <= 2


def test_a_season_that_moves_is_told_and_learned() -> None:
    moved = scene("daily, night by day")
    assert moved.rare(AT, AT + 5) >= 1
    assert moved.rare(AT + DAY, COUNT) <= 2


def test_what_comes_daily_is_usual_at_its_time_alone() -> None:
    assert scene("daily spike").rare(AT, COUNT) == 0
    assert scene("daily spike elsewhere").onsets[AT + 20] >= RARE


def test_missing_values_score_nothing_and_spoil_nothing() -> None:
    gaps = scene("gaps")
    assert not gaps.scores[3 * DAY : 3 * DAY + 50].any()
    assert gaps.rare() <= 3


def test_every_score_is_a_number_from_0_to_1() -> None:
    said, _ = scored()
    for found in (said.score, said.onset):
        assert np.isfinite(found).all()
        assert found.min() >= 0
        assert found.max() <= 1
    assert (said.onset <= said.score).all()


def test_memory_of_a_series_is_bounded_and_stored_smaller() -> None:
    _, scorer = scored()
    assert scorer.nbytes <= len(SCENES) * SLOT_BYTES_MAX / 2
    assert len(scorer.dump()) < scorer.nbytes


def test_a_week_makes_a_series_learned() -> None:
    _, scorer = scored()
    assert scorer.learned(list(SCENES).index("noise")) == 1.0
    assert scorer.learned(list(SCENES).index("single value")) == 0.0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "no value"),
        ("constant", "7.25, as ever"),
        ("constant, then another", "7.75 where it was always 7.25; steepest rise in 15 days"),
        ("single value", "3, with nothing known of this series yet"),
        ("infinite", "an infinite value"),
    ],
)
def test_a_reason_is_words(name: str, said: str) -> None:
    assert scene(name).reason(AT) == said


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("spike", ("times the usual spread", "steepest rise in 15 days")),
        ("daily, flat", ("for Tuesday 10:00", "the newest values together are off their usual level")),
        ("factor", ("more than 1,000 times the usual spread",)),
    ],
)
def test_a_reason_says_how_far_from_what_and_since_when_not(name: str, parts: tuple[str, ...]) -> None:
    said = scene(name).reason(AT)
    assert all(part in said for part in parts), said
