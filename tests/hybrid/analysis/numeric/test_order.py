"""No score depends on how records are cut into calls, on what other series do, nor on a restart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hybrid.analysis.numeric.scored import F64, I32, I64, Scored
from appliance.hybrid.analysis.numeric.scorer import Scorer
from appliance.hybrid.analysis.numeric.state import StateUnusable

SERIES = 7
FIELDS = ("score", "onset", "expected", "spread", "kind", "records", "seasonal", "followed_us")
Records = tuple[I32, I64, F64]


def records(seed: int, count: int) -> Records:
    """Several a second of some series, seldom ones of others, late ones, missing and infinite values, jumps, constants."""
    rng = np.random.default_rng(seed)
    slots = rng.choice(SERIES, count, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05]).astype(np.int32)
    steps = rng.choice([0, 200_000, 3_000_000, 900_000_000], count, p=[0.4, 0.4, 0.15, 0.05])
    ts_us = 1_700_000_000_000_000 + np.cumsum(steps) - rng.choice([0, 5_000_000], count, p=[0.95, 0.05])
    values = rng.normal(0, 1, count) * np.array([1, 1e-3, 1e6, 1, 0, 5, 1])[slots] + 10.0
    odd = rng.random(count)
    values[odd < 0.03] = np.nan
    values[(odd > 0.03) & (odd < 0.04)] = np.inf
    values[odd > 0.99] *= 50
    return slots, ts_us, values


def run(whole: Records, cuts: list[int], *, restart_at: int | None = None) -> Scored:
    """Scores of all, in parts that end at ``cuts``; with a new scorer from what the old one stored after part ``restart_at``."""
    scorer = Scorer()
    scorer.grow(SERIES)
    count = len(whole[0])
    found = []
    for number, (begin, end) in enumerate(pairwise(sorted({0, *cuts, count}))):
        if number == restart_at:
            stored = scorer.dump()
            scorer = Scorer()
            scorer.load(stored)
        found.append(scorer.score(whole[0][begin:end], whole[1][begin:end], whole[2][begin:end]))
    return Scored(*whole, **{name: np.concatenate([getattr(f, name) for f in found]) for name in FIELDS})


def same(a: Scored, b: Scored) -> None:
    """To the last bit."""
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 400), max_size=20))
def test_scores_do_not_depend_on_how_records_are_cut(seed: int, cuts: list[int]) -> None:
    whole = records(seed, 400)
    same(run(whole, []), run(whole, cuts))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 399), st.integers(1, 2))
def test_a_restart_in_the_middle_changes_no_score(seed: int, cut: int, at: int) -> None:
    whole = records(seed, 400)
    same(run(whole, [cut, 250]), run(whole, [cut, 250], restart_at=at))


def test_record_by_record_is_as_all_at_once() -> None:
    whole = records(1, 200)
    same(run(whole, []), run(whole, list(range(200))))


def test_a_series_scores_the_same_whatever_others_do() -> None:
    slots, ts_us, values = records(2, 700)
    together = run((slots, ts_us, values), [])
    for slot in range(SERIES):
        own = np.flatnonzero(slots == slot)
        alone = run((slots[own], ts_us[own], values[own]), [])
        np.testing.assert_array_equal(together.score[own], alone.score)


def test_a_slot_that_was_forgotten_is_as_new() -> None:
    slots, ts_us, values = records(3, 400)
    scorer = Scorer()
    scorer.grow(SERIES)
    first = scorer.score(slots, ts_us, values)
    scorer.score(slots, ts_us, values * 3)
    scorer.forget(np.arange(SERIES, dtype=np.int32))
    same(first, scorer.score(slots, ts_us, values))


def test_growing_changes_nothing_of_what_is_known() -> None:
    slots, ts_us, values = records(4, 400)
    scorer = Scorer()
    scorer.grow(SERIES)
    found = [scorer.score(slots[:200], ts_us[:200], values[:200])]
    scorer.grow(100)
    scorer.grow(1)
    found.append(scorer.score(slots[200:], ts_us[200:], values[200:]))
    np.testing.assert_array_equal(np.concatenate([f.score for f in found]), run((slots, ts_us, values), []).score)


def test_no_records_are_no_scores() -> None:
    assert len(Scorer().score(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0)).score) == 0


def test_what_is_stored_and_damaged_is_refused_and_nothing_changes() -> None:
    scorer = Scorer()
    scorer.grow(2)
    stored = scorer.dump()
    for bad in (b"", b"nonsense", stored[:20], stored[:-1], stored[:-1] + bytes([stored[-1] ^ 1]), b"num\x63" + stored[4:]):
        with pytest.raises(StateUnusable, match="learns anew"):
            scorer.load(bad)
    assert scorer.dump() == stored
