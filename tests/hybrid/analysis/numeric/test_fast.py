"""A series of many records a second: one look a second, and one for each record that is further away than those before."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from appliance.hybrid.analysis.numeric import views
from appliance.hybrid.analysis.numeric.model import HOURS, Model
from appliance.hybrid.analysis.numeric.scored import F64, I64, Arrays
from appliance.hybrid.analysis.numeric.scorer import Scorer
from appliance.hybrid.analysis.numeric.views import Seen, look
from tests.hybrid.analysis.numeric.scenes import BEGIN_US, DAY, PLACES, STEP_US, noise

SECONDS, A_SECOND = 160, 200


def fast() -> tuple[I64, F64]:
    """Times and values."""
    count = SECONDS * A_SECOND
    return BEGIN_US + np.arange(count) * (1_000_000 // A_SECOND), np.random.default_rng(1).normal(50.0, 1.0, count)


def test_of_many_records_a_second_few_are_looked_at_and_a_spike_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counted(a: Arrays, s: I64, ts_us: I64, x: F64, model: None) -> Seen:
        looked.append(len(s))
        return look(a, s, ts_us, x, model)

    monkeypatch.setattr(views, "look", counted)
    ts_us, values = fast()
    at = (SECONDS - 20) * A_SECOND + 77
    values[at] = 90.0
    scorer = Scorer()
    scorer.grow(1)
    scored = scorer.score(np.zeros(len(values), np.int32), ts_us, values)
    assert scored.onset[at] >= 0.99
    assert (scored.onset >= 0.99).sum() <= 10
    assert SECONDS <= sum(looked) <= 8 * SECONDS


def model() -> Model:
    """That knows of a hundred each Monday from 05:00 to 06:00, of the slots 1 and 2; people found 2 too often unusual."""
    median = np.zeros((2, HOURS), np.float32)
    median[:, 5] = 100.0
    return Model("7", np.array([1, 2], np.int32), median, np.ones((2, HOURS), np.float32), np.array([1.0, 4.0], np.float32))


@functools.cache
def weekly() -> tuple[Scorer, list[F64]]:
    """Scores of a peak on Mondays, by slot."""
    count = 7 * DAY + 40
    values = (noise(1) + 100.0 * (PLACES % (7 * DAY) // 6 == 5))[:count]
    scorer = Scorer()
    scorer.grow(3)
    scorer.with_model(model())
    slots = np.tile(np.arange(3, dtype=np.int32), count)
    scores = scorer.score(slots, BEGIN_US + np.repeat(PLACES[:count], 3) * STEP_US, np.repeat(values, 3)).score
    return scorer, [scores[slot::3] for slot in range(3)]


def test_what_a_model_knows_of_the_week_is_less_unusual() -> None:
    peak = slice(7 * DAY + 30, 7 * DAY + 36)
    scorer, (without, with_model, _) = weekly()
    assert scorer.model == "7"
    assert with_model[peak].max() < 0.9 < without[peak].min()


def test_feedback_makes_a_series_score_lower() -> None:
    _, (_, usual, less) = weekly()
    assert (less <= usual).all()
    assert less.sum() < usual.sum() / 2


def test_a_model_of_another_shape_is_refused() -> None:
    right = model()
    with pytest.raises(ValueError, match="168 hours"):
        Scorer().with_model(Model("8", right.slots, right.median[:, :3], right.spread[:, :3], right.factor))
