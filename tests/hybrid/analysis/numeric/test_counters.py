"""Series that count up: found by their values alone, scored by their rate; others are as they were."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hybrid.analysis.numeric.counters import RISES, Counters
from appliance.hybrid.analysis.numeric.scored import F64, Scored
from appliance.hybrid.analysis.numeric.scorer import Scorer

S = 1_000_000
T0 = 1_760_000_000 * S


class House:
    """Some slots."""

    def __init__(self, slots: int = 1) -> None:
        self.scorer, self.counters = Scorer(), Counters()
        self.scorer.grow(slots)
        self.counters.grow(slots)

    def score(self, values: F64, *, first: int = 0, step: int = 1) -> Scored:
        """Of one series, a value each ``step`` seconds."""
        ts = T0 + (first + np.arange(len(values))) * step * S
        return self.counters.score(self.scorer, np.zeros(len(values), np.int32), ts, np.asarray(values, np.float64))

    @property
    def is_counter(self) -> bool:
        return bool(self.counters.are(np.zeros(1, np.int32))[0])


def total(count: int, *, seed: int = 1, rate: float = 100.0) -> F64:
    return np.cumsum(np.random.default_rng(seed).poisson(rate, count)).astype(np.float64)


def test_a_counter_is_scored_by_its_rate_a_second_and_a_jump_of_the_rate_is_found() -> None:
    house, values = House(), total(2_000)
    values[1_500:1_520] += np.arange(20) * 3_000
    values[1_520:] += 19 * 3_000
    scored = house.score(values, step=10)
    assert house.is_counter
    assert np.isclose(scored.values[RISES + 5 : 1_500].mean(), 10.0, rtol=0.05)
    assert scored.expected[1_400] == pytest.approx(10.0, rel=0.3)
    assert scored.score[1_500:1_520].max() > 0.999
    assert scored.score[200:1_500].max() < 0.9999


def test_a_counter_that_begins_anew_has_no_rate_there_and_nothing_unusual() -> None:
    house, values = House(), total(2_000)
    values[1_000:] -= values[1_000]
    scored = house.score(values)
    assert house.is_counter
    assert np.isnan(scored.values[1_000])
    assert scored.score[1_000] == 0
    assert scored.score[1_001:1_100].max() < 0.999


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).normal(50, 5, 500),
        np.round(np.random.default_rng(1).normal(50, 5, 500)),
        np.arange(500) % 7.0,
        np.arange(500) % 50.0,
        np.full(500, 7.0),
        np.arange(500) * 0.5,
        -np.arange(500.0)[::-1],
        np.where(np.arange(500) % 40 == 39, np.inf, np.arange(500.0)),
    ],
)
def test_other_series_are_scored_as_they_are(values: F64) -> None:
    house, plain = House(), Scorer()
    plain.grow(1)
    ts = T0 + np.arange(len(values)) * S
    wanted = plain.score(np.zeros(len(values), np.int32), ts, values)
    found = house.score(values)
    assert not house.is_counter
    np.testing.assert_array_equal(found.score, wanted.score)
    np.testing.assert_array_equal(found.values, values)


def test_what_falls_a_little_is_no_counter_any_more_and_learned_anew() -> None:
    house = House()
    values = np.concatenate((total(300), 30_000 + np.round(np.random.default_rng(2).normal(0, 50, 300))))
    scored = house.score(values)
    assert not house.is_counter
    assert scored.values[599] == values[599]
    assert scored.expected[599] == pytest.approx(30_000, rel=0.02)


def test_records_that_are_late_or_repeated_have_no_rate_and_spoil_none() -> None:
    house, values = House(), total(400)
    ts = T0 + np.arange(400) * S
    order = np.concatenate((np.arange(200), [150, 199, 20], np.arange(200, 400)))
    scored = house.counters.score(house.scorer, np.zeros(403, np.int32), ts[order], values[order])
    assert house.is_counter
    assert np.isnan(scored.values[200:203]).all()
    assert scored.values[203] == values[200] - values[199]


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 1, 1, 3, 3, 3, -1, -500])), min_size=220, max_size=260),
    st.sets(st.integers(1, 259), max_size=5),
    st.sampled_from([1, 1, 0, -3]),
)
def test_scores_do_not_depend_on_cuts_nor_on_restarts(come: list[tuple[int, int]], cuts: set[int], odd_step: int) -> None:
    slots = np.array([slot for slot, _ in come], np.int32)
    values, at = np.zeros(len(come)), {0: 0.0, 1: 0.0, 2: 1e6}
    for i, (slot, change) in enumerate(come):
        at[slot] = max(0.0, at[slot] + (abs(change) if slot else change))
        values[i] = at[slot]
    ts = T0 + np.cumsum(np.where(np.arange(len(come)) % 37 == 36, odd_step, 1)) * S

    def scores(edges: list[int]) -> tuple[F64, F64]:
        house, found = House(3), []
        for a, b in pairwise(edges):
            found.append(house.counters.score(house.scorer, slots[a:b], ts[a:b], values[a:b]))
            again = Counters()
            again.load(house.counters.dump())
            house.counters = again
        return np.concatenate([f.score for f in found]), np.concatenate([f.values for f in found])

    whole, parts = scores([0, len(come)]), scores([0, *sorted(c for c in cuts if c < len(come)), len(come)])
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])
