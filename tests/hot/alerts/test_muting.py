"""Silences, inhibition, flapping and a new config: who is not told, and when they are told after all."""

from __future__ import annotations

import pytest

from appliance.errors import UsageRefused
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.rules import RuleFacts
from tests.hot.alerts.cases import D1, at, down, gap, rule, up
from tests.hot.alerts.conftest import Houses
from tests.hot.alerts.house import HOUR, silenced

OPS = rule(notify=("ops",), group_wait_s=0, repeat_s=HOUR)
UP = rule(notify=("ops",), group_wait_s=0, repeat_s=10 * HOUR, escalate=("boss",), escalate_after_s=600)


def test_nothing_silenced_is_told_until_the_silence_ends(house: Houses) -> None:
    h = house(OPS)
    h.do(0, silenced("device=d1", until=100))
    h.see(1, up(1), up(1, key=("d2",)))
    assert h.deliver(1) == ["ops: firing hot d2"]
    assert h.book.held == {("hot", D1)}
    assert h.book.next_wake_us() == at(100)
    h.see(100)
    assert h.deliver(100) == ["ops: firing hot d1"]
    assert h.book.held == set()


def test_a_fire_that_is_over_before_the_silence_is_not_told(house: Houses) -> None:
    h = house(OPS)
    h.do(0, silenced("rule=h*", until=100))
    h.see(1, up(1))
    h.see(50, down(50))
    h.see(100)
    assert h.waiting() == []


def test_the_end_of_a_fire_that_was_told_waits_for_the_end_of_the_silence(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.do(2, silenced("device=d1", until=100))
    h.see(50, down(50))
    assert h.waiting() == []
    h.see(100)
    assert h.deliver(100) == ["ops: resolved hot d1"]
    assert h.plan.parcels[0].item.resolved_us == at(50)


def test_a_new_fire_within_a_silence_is_told_after_the_end_of_the_old_one(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.do(2, silenced("device=d1", until=100))
    h.see(60, down(50), up(60))
    assert h.waiting() == []
    h.see(100)
    assert h.deliver(100) == ["ops: resolved hot d1, firing hot d1"]
    assert [p.item.fire for p in h.plan.parcels] == [1, 2]


def test_a_silence_that_is_taken_back_tells_what_still_fires(house: Houses) -> None:
    h = house(OPS)
    h.do(0, silenced("device=d1", until=100))
    h.see(1, up(1))
    h.do(50, lambda draft: draft.unsilence(1))
    assert h.deliver(50) == ["ops: firing hot d1"]
    with pytest.raises(UsageRefused, match="no silence 1 in force"):
        Draft(h.book, now_us=at(51)).unsilence(1)


def test_a_second_silence_goes_on_holding(house: Houses) -> None:
    h = house(OPS)
    h.do(0, silenced("device=d1", until=100), silenced("rule=hot", until=200))
    h.see(1, up(1))
    h.see(100)
    assert h.waiting() == []
    h.see(200)
    assert h.deliver(200) == ["ops: firing hot d1"]


def test_a_silence_to_come_is_none_yet(house: Houses) -> None:
    h = house(OPS)
    h.do(0, silenced("device=d1", since=50, until=100))
    h.see(1, up(1))
    assert h.deliver(1) == ["ops: firing hot d1"]
    h.see(60, down(60))
    assert h.waiting() == []


def test_a_silenced_alert_is_neither_repeated_nor_escalated_until_the_silence_ends(house: Houses) -> None:
    h = house(UP)
    h.see(1, up(1))
    h.deliver(1)
    h.do(2, silenced("device=d1", until=20 * HOUR))
    h.see(601)
    h.see(11 * HOUR)
    assert h.waiting() == []
    assert h.book.next_wake_us() == at(20 * HOUR)
    h.see(20 * HOUR)
    assert h.deliver(20 * HOUR) == ["boss: escalated hot d1", "ops: repeat hot d1"]


@pytest.mark.parametrize(
    ("matchers", "until", "why"),
    [((), 100, "needs a matcher"), (("device",), 100, "is no matcher"), (("device=d1",), 2, "would end before it begins")],
)
def test_a_silence_that_makes_no_sense_is_refused(house: Houses, matchers: tuple[str, ...], until: float, why: str) -> None:
    draft = Draft(house(OPS).book, now_us=at(2))
    with pytest.raises(UsageRefused, match=why):
        draft.silence(matchers, since_us=at(0), until_us=at(until), author="", comment="")


# inhibition


def plant(**more: object) -> tuple[RuleFacts, RuleFacts]:
    """A rule for each device, and one for the line that it stands in."""
    device = rule("device", by=("line", "device"), notify=("ops",), group_wait_s=0, inhibited_by=("line",), **more)
    return device, rule("line", by=("line",), notify=("ops",), group_wait_s=0)


A1, A2, B1 = ("a", "1"), ("a", "2"), ("b", "1")


def test_what_is_inhibited_is_told_when_that_ends(house: Houses) -> None:
    h = house(*plant())
    h.see(1, up(1, name="line", key=("a",)))
    h.see(2, up(2, name="device", key=A1), up(2, name="device", key=A2), up(2, name="device", key=B1))
    assert h.deliver(2) == ["ops: firing line a", "ops: firing device b/1"]
    h.see(3, down(3, name="device", key=A2))
    h.see(9, down(9, name="line", key=("a",)))
    assert h.deliver(9) == ["ops: resolved line a", "ops: firing device a/1"]


def test_what_fires_in_the_same_round_inhibits(house: Houses) -> None:
    h = house(*plant())
    h.see(1, up(1, name="device", key=A1), up(1, name="line", key=("a",)))
    assert h.deliver(1) == ["ops: firing line a"]


def test_a_graver_alert_without_data_still_inhibits(house: Houses) -> None:
    h = house(*plant())
    h.see(1, up(1, name="line", key=("a",)))
    h.see(301, gap(301, name="line", key=("a",)))
    h.see(302, up(302, name="device", key=A1))
    assert h.deliver(302) == ["ops: firing line a"]


def test_the_end_of_a_fire_that_was_told_is_told_although_inhibited(house: Houses) -> None:
    h = house(*plant())
    h.see(1, up(1, name="device", key=A1))
    h.see(2, up(2, name="line", key=("a",)))
    h.deliver(2)
    h.see(3, down(3, name="device", key=A1))
    assert h.deliver(3) == ["ops: resolved device a/1"]


def test_an_inhibited_alert_is_not_repeated(house: Houses) -> None:
    h = house(*plant(repeat_s=HOUR))
    h.see(1, up(1, name="device", key=A1))
    h.see(2, up(2, name="line", key=("a",)))
    h.deliver(2)
    h.see(1 + HOUR)
    assert h.waiting() == []
    h.see(2 + HOUR, down(9, name="line", key=("a",)))
    assert h.deliver(2 + HOUR) == ["ops: resolved line a", "ops: repeat device a/1"]


def test_rules_without_a_shared_column_inhibit_for_all_keys(house: Houses) -> None:
    h = house(rule(notify=("ops",), inhibited_by=("power", "gone")), rule("power", by=()))
    h.see(1, up(1, name="power", key=()))
    h.see(2, up(2))
    assert h.waiting() == []


def test_a_rule_does_not_inhibit_itself(house: Houses) -> None:
    h = house(rule(notify=("ops",), inhibited_by=("hot",)))
    h.see(1, up(1))
    assert len(h.waiting()) == 1


# flapping

FLAPPY = rule(notify=("ops",), group_wait_s=0, flap_max=2, flap_within_s=60, repeat_s=HOUR)


def test_flapping_is_told_once_and_then_what_it_is_when_calm(house: Houses) -> None:
    h = house(FLAPPY)
    for t in range(1, 20, 2):
        h.see(t, up(t))
        h.see(t + 1, down(t + 1))
    assert h.deliver(21) == ["ops: firing hot d1, resolved hot d1, firing hot d1, resolved hot d1, flapping hot d1"]
    h.see(80, reached=80)
    assert h.deliver(80) == ["ops: resolved hot d1"]
    assert not h.alert().told


def test_what_fires_when_it_is_calm_is_told(house: Houses) -> None:
    h = house(FLAPPY)
    for t in range(1, 20, 2):
        h.see(t, up(t), down(t + 1))
    h.see(22, up(22))
    h.deliver(22)
    h.see(82, reached=82)
    assert h.deliver(82) == ["ops: firing hot d1"]
    assert (h.plan.parcels[0].item.fired_us, h.plan.parcels[0].item.fire) == (at(22), 11)
    h.see(90, down(90))
    assert h.deliver(90) == ["ops: resolved hot d1"]
    assert h.plan.parcels[0].item.fire == 11


def test_what_flaps_is_not_repeated(house: Houses) -> None:
    h = house(FLAPPY)
    h.see(5, up(1), down(2), up(3), down(4), up(5))
    h.deliver(5)
    h.see(2 * HOUR)
    assert h.waiting() == []


# config


def test_a_channel_that_is_gone_is_told_nothing_any_more(house: Houses) -> None:
    h = house(rule(notify=("ops", "mail"), group_wait_s=0))
    h.see(1, up(1))
    h.deliver(1)
    h.configure(2, OPS, channels=["ops"])
    h.see(3, down(3))
    assert h.deliver(3) == ["ops: resolved hot d1"]


def test_a_channel_that_is_new_is_not_told_the_end_of_what_it_never_heard_of(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.configure(2, rule(notify=("ops", "mail"), group_wait_s=0))
    h.see(3, down(3))
    assert h.deliver(3) == ["ops: resolved hot d1"]


def test_a_channel_that_is_new_hears_of_a_fire_with_the_next_repeat(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.configure(2, rule(notify=("ops", "mail"), group_wait_s=0, repeat_s=HOUR))
    h.see(1 + HOUR)
    assert h.deliver(1 + HOUR) == ["ops: repeat hot d1", "mail: firing hot d1"]
    h.see(2 + HOUR, down(9))
    assert h.deliver(2 + HOUR) == ["ops: resolved hot d1", "mail: resolved hot d1"]


def test_a_rule_that_gets_a_channel_tells_what_fires(house: Houses) -> None:
    h = house(rule())
    h.see(1, up(1))
    h.configure(2, OPS)
    assert h.deliver(2) == ["ops: firing hot d1"]
