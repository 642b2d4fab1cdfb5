"""Several waiting messages as one: what is over is told once, what goes on is told once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hot.alerts.values import Item, Tells
from appliance.notify.folding import combined, fire_of, folded, is_over
from tests.notify.messages import item, message

F, R, P, E, L = Tells.FIRING, Tells.RESOLVED, Tells.REPEAT, Tells.ESCALATED, Tells.FLAPPING


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([F], [F]),
        ([F, R], [R]),
        ([F, P, R], [R]),
        ([F, P, P], [F]),
        ([P, P], [P]),
        ([F, E], [F, E]),
        ([F, E, R], [R]),
        ([R], [R]),
        ([L, P], [L, P]),
        ([F, L], [F, L]),
    ],
)
def test_the_steps_of_one_fire(steps: list[Tells], left: list[Tells]) -> None:
    assert [one.tells for one in folded(item(tells=tells, at_s=n) for n, tells in enumerate(steps))] == left


def test_fires_are_told_apart() -> None:
    steps = [item(fire=1), item(tells=R, fire=1, at_s=1), item(fire=2, at_s=2)]
    assert [(one.tells, one.fire) for one in folded(steps)] == [(R, 1), (F, 2)]


def test_an_end_says_when_it_began() -> None:
    end = replace(item(tells=R, at_s=9), fired_us=None)
    assert folded([item(), end])[0].fired_us == item().fired_us


def test_a_message_alone_stays_what_it_is() -> None:
    one = message(item("d1"), item("d2"))
    assert combined([one]) is one


def test_combined_has_the_first_id_and_all_alerts_in_order() -> None:
    both = combined([message(item("d1"), id=4), message(item("d2"), id=5)])
    assert both.id == 4
    assert [one.key for one in both.items] == [("d1",), ("d2",)]


def test_over_is_only_what_has_ended_whole() -> None:
    assert is_over(message(item("d1")), [message(item("d1", R), id=2)])
    assert not is_over(message(item("d1"), item("d2")), [message(item("d1", R), id=2)])
    assert not is_over(message(item("d1", R)), [message(item("d1", R), id=2)])
    assert not is_over(message(item("d1", fire=2)), [message(item("d1", R, fire=1), id=2)])


STEPS = st.lists(
    st.builds(
        item, st.sampled_from(["d1", "d2"]), st.sampled_from(list(Tells)), fire=st.integers(1, 2), at_s=st.integers(0, 50).map(float)
    ),
    max_size=14,
)


@given(STEPS)
def test_folding_loses_no_fire_and_no_end_and_twice_is_as_once(steps: list[Item]) -> None:
    once = folded(steps)
    assert {fire_of(one) for one in once} == {fire_of(one) for one in steps}
    assert Counter(fire_of(one) for one in once if one.tells is R) == Counter({fire_of(one): 1 for one in steps if one.tells is R})
    assert folded(once) == once
