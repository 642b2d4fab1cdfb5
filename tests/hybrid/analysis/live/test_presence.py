"""Who is heard of regularly and falls silent, as tables of what is heard at which second."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hybrid.analysis.live.presence import Presence, Silence

KNOWN = 60
Heard = list[tuple[int, int]]
"""Second and thing, by second."""


def every(thing: int, step: int, begin: int, end: int) -> Heard:
    return [(t, thing) for t in range(begin, end, step)]


def of(*parts: Heard) -> Heard:
    return sorted(one for part in parts for one in part)


def told(come: Heard, *, cuts: tuple[int, ...] = (), known_min: int = KNOWN) -> list[Silence]:
    """What is told of it, in pieces that begin at these places; what is known is stored between any two."""
    presence, found = Presence(known_min=known_min), []
    things = max(thing for _, thing in come) + 1
    for a, b in pairwise([0, *cuts, len(come)]):
        presence.grow(things)
        found += presence.hear(np.array([t for t, _ in come[a:b]], np.int64), np.array([x for _, x in come[a:b]], np.int64))
        again = Presence(known_min=known_min)
        again.load(presence.dump())
        presence = again
    return found


@pytest.mark.parametrize(
    ("step", "first_after"),
    [(1, (10, 12)), (10, (50, 62)), (60, (300, 362))],
)
def test_what_is_regular_is_missed_after_some_of_its_gaps_and_again_while_it_lasts(step: int, first_after: tuple[int, int]) -> None:
    end = 100 * step
    found = told(of(every(0, step, 0, end), every(1, 1, 0, end + 60 * step)))
    silent = [s.silent for s in found]
    assert {s.things for s in found} == {(0,)}
    assert first_after[0] <= silent[0] <= first_after[1]
    assert found[0].usual == pytest.approx(step)
    assert silent == sorted(silent)
    assert 10 <= len(silent) <= 60
    assert all(b - a <= max(60, step) + 1 for a, b in pairwise(silent))


@pytest.mark.parametrize(
    ("come", "why"),
    [
        (of(every(0, 1, 0, 300), every(1, 1, 0, 300), every(0, 1, 4_000, 4_200), every(1, 1, 4_003, 4_200)), "all of them were away"),
        (of(every(0, 1, 0, 300)), "nobody else says how late it is"),
        (of(every(0, 1, 0, 15), every(1, 1, 0, 300)), "it was not known for long"),
    ],
)
def test_what_is_no_silence(come: Heard, why: str) -> None:
    assert told(come) == [], why


def test_what_comes_less_often_from_now_on_is_told_for_a_while_and_then_usual() -> None:
    found = told(of(every(0, 10, 0, 3_000), every(0, 200, 3_000, 20_000), every(1, 1, 0, 20_000)))
    assert found
    assert max(s.tick for s in found) < 6_000


def test_what_comes_in_bursts_is_not_missed_between_them_once_that_is_known() -> None:
    found = told(of(*[every(0, 1, t, t + 30) for t in range(0, 9_000, 300)], every(1, 1, 0, 9_000)))
    assert max((s.tick for s in found), default=0) < 1_200


def test_all_that_fall_silent_together_are_one() -> None:
    found = told(of(*[every(n, 10, n % 10, 1_000) for n in range(100)], every(100, 1, 0, 1_100)))
    assert len({s.tick for s in found}) == len(found), "one at a time, not a hundred"
    assert len(found[-1].things) == 100
    assert found[-1].of == 101


def test_where_things_come_and_go_an_end_is_nothing() -> None:
    lives = [every(n, 5, n * 60, n * 60 + 1_200) for n in range(60)]
    found = told(of(*lives, every(60, 1, 0, 5_000)))
    assert {i for s in found for i in s.things} <= set(range(6))


def test_whoever_returns_is_expected_again() -> None:
    come = of(every(0, 10, 0, 1_000), every(0, 10, 1_200, 3_000), every(1, 1, 0, 3_200))
    found = told(come)
    assert {s.tick // 1_000 for s in found} == {1, 3}


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=30, max_size=200),
    st.sets(st.integers(1, 199), max_size=6),
)
def test_what_is_told_does_not_depend_on_cuts_nor_on_restarts(steps: list[tuple[int, int]], cuts: set[int]) -> None:
    at, come = 0, []
    for step, thing in steps:
        at += step
        come.append((at, thing))
    come = of(come, every(4, 7, 0, at), every(5, 3, 0, at // 2))
    assert told(come, cuts=tuple(sorted(c for c in cuts if c < len(come))), known_min=5) == told(come, known_min=5)


def test_after_a_time_in_which_nobody_listened_everything_is_expected_anew() -> None:
    presence = Presence(known_min=KNOWN, jump_max=5)
    presence.grow(2)
    for t in range(200):
        assert presence.hear(np.array([t, t]), np.array([0, 1])) == []
    presence.begin_again()
    assert presence.pass_by(90_000) == []
    assert [s.things for t in range(90_001, 90_020) for s in presence.pass_by(t)][:1] == [(0, 1)]
