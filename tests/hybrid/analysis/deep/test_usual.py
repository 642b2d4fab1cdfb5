"""What is usual for each hour of the week, and what a training makes of what people said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.cold.batch.training.model import Model, decode, encode
from appliance.hybrid.analysis.deep.learning import Learned, Lesson, key_of, learn, name_of
from appliance.hybrid.analysis.deep.usual import HOURS, factors, profile_of
from appliance.hybrid.analysis.refining.swapping import Series, in_slots
from appliance.hybrid.analysis.refining.training import METHOD, judge, model_of
from tests.hybrid.analysis.deep.histories import F64, MONDAY_US, day_wave, source

HALF_HOUR_US = 1_800_000_000
DAY = 48
"""Half hours."""


def cells(days: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return MONDAY_US // HALF_HOUR_US + np.arange(days * DAY)


def of_week(days: int, *, weekend: float, wave: float, seed: int = 1) -> F64:
    at = np.arange(days * DAY)
    noise = np.random.default_rng(seed).normal(0, 0.5, len(at))
    return np.asarray(100 + wave * np.sin(2 * np.pi * at / DAY) - weekend * ((at // DAY) % 7 >= 5) + noise, np.float64)


@pytest.mark.parametrize(
    ("days", "weekend", "wave", "season"),
    [(28, 20.0, 10.0, "week"), (28, 0.0, 10.0, "day"), (28, 0.0, 0.0, "none"), (10, 0.0, 10.0, "day"), (2, 0.0, 10.0, "none")],
)
def test_a_season_is_learned_where_it_says_more_than_the_median(days: int, weekend: float, wave: float, season: str) -> None:
    mean = of_week(days, weekend=weekend, wave=wave)

    found = profile_of(cells(days), mean, mean - 1, mean + 1, np.full(len(mean), 30), step_us=HALF_HOUR_US)

    assert found.season == season
    assert (len(found.median), len(found.spread)) == (HOURS, HOURS)
    if season != "none":
        assert found.error < found.naive_error
        assert abs(found.median[12] - mean[24:26].mean()) < 2
        assert (found.spread[np.isfinite(found.spread)] > 0).all()
    else:
        assert np.isnan(found.median).all()


def test_what_people_dismissed_must_be_more_surprising_and_never_too_much_so() -> None:
    found = factors([("dismiss", ["a", "b"]), ("dismiss", ["a"]), ("confirm", ["b", "c"]), *[("dismiss", ["d"])] * 50])

    assert found["a"] > found["b"] > 1 > found["c"]
    assert found["d"] == 3.0


def learned(folder: Path, **factors: float) -> Learned:
    series = {
        "a": np.tile(day_wave(1_440, noise=0.2), 10),
        "flat": np.full(14_400, 5.0),
        "b": np.tile(day_wave(1_440, seed=2, noise=0.2), 10),
    }
    found = source(folder, "readings", series, since_us=MONDAY_US, step_us=HALF_HOUR_US)
    by_name = {name_of(key_of("readings", "value", {"device": d})): f for d, f in factors.items()}
    return learn(Lesson(sources=(found,), series_max=1_000, factors=by_name))


def test_a_model_has_those_series_of_which_something_is_known_and_survives_its_file(tmp_path: Path) -> None:
    found = learned(tmp_path, flat=1.5)

    assert found.series == 3
    assert {key[2] for key in found.keys} == {'{"device":"a"}', '{"device":"b"}', '{"device":"flat"}'}
    assert found.error is not None
    assert found.naive_error is not None
    assert found.error < found.naive_error
    model = model_of("watch.model", found, sequence=9, since_us=0, now_us=1)
    assert decode(encode(model)) == model
    assert model.method == METHOD


def test_a_model_is_brought_to_the_slots_of_the_series_that_are_followed(tmp_path: Path) -> None:
    model = model_of("watch.model", learned(tmp_path, flat=1.5), sequence=9, since_us=0, now_us=1)
    given = {"new": 0, "b": 4, "a": 2, "flat": -2}
    slots: dict[Series, int] = {("readings", "value", frozenset({("device", d)})): slot for d, slot in given.items()}

    found = in_slots(model, slots)

    assert found.slots.tolist() == [2, 4]
    assert found.median.shape == (2, HOURS)
    assert found.factor.tolist() == [1.0, 1.0]
    assert abs(float(found.median[0, 6]) - 60) < 1.5  # the top of the wave, at six


def test_a_version_that_knows_of_far_fewer_series_is_refused(tmp_path: Path) -> None:
    full = model_of("watch.model", learned(tmp_path), sequence=9, since_us=0, now_us=1)
    empty = Model(**{**{f: getattr(full, f) for f in full.__slots__}, "keys": ()})

    assert judge(full, None, ["readings"]).accepted
    assert judge(full, full, ["readings"]).accepted
    assert not judge(empty, full, ["readings"]).accepted
    assert judge(empty, full, ["others"]).accepted
