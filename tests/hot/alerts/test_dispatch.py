"""Who is told what: rounds on a real store, and what the channels get."""

from __future__ import annotations

import pytest

from appliance.errors import UsageRefused
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.values import Tells
from tests.hot.alerts.cases import D1, at, back, down, gap, rule, second_of, up
from tests.hot.alerts.conftest import Houses
from tests.hot.alerts.house import HOUR, acked

OPS = rule(notify=("ops",), group_wait_s=0, repeat_s=HOUR)


def test_a_fire_is_told_and_then_its_end(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1, values={"temperature": 81.5}))
    (message,) = h.waiting()
    (item,) = message.items
    assert (message.channel, message.group, message.due_us, message.created_us) == ("ops", "rule=hot", at(1), at(1))
    assert item.summary == "hot: device=d1, temperature = 81.5"
    assert (item.fire, second_of(item.at_us), second_of(item.fired_us), item.resolved_us) == (1, 1, 1, None)
    assert item.labels == {"device": "d1", "rule": "hot", "severity": "warning", "stream": "readings"}
    assert h.deliver(1) == ["ops: firing hot d1"]
    h.see(5, down(5, values={"temperature": 70.0}))
    (item,) = h.waiting()[0].items
    assert (item.values, second_of(item.fired_us), second_of(item.resolved_us)) == ({"temperature": 70.0}, 1, 5)
    assert h.deliver(5) == ["ops: resolved hot d1"]
    assert h.waiting() == []


def test_what_never_fired_is_not_told(house: Houses) -> None:
    h = house(rule(notify=("ops",), for_s=10))
    h.see(1, up(1))
    h.see(5, down(5))
    assert h.waiting() == []


def test_without_channels_nobody_is_told_and_it_is_stored_all_the_same(house: Houses) -> None:
    h = house(rule())
    plan = h.see(1, up(1))
    assert (h.waiting(), len(plan.transitions), h.alert().told) == ([], 1, False)


def test_a_fire_that_ends_within_a_round_is_told_with_its_end(house: Houses) -> None:
    h = house(OPS)
    h.see(9, up(1), down(2), up(3))
    assert h.deliver(9) == ["ops: firing hot d1, resolved hot d1, firing hot d1"]
    assert [p.item.fire for p in h.plan.parcels] == [1, 1, 2]


def test_a_fire_nobody_has_got_yet_and_its_end_are_one_message(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.see(5, down(5))
    assert h.deliver(9) == ["ops: firing hot d1, resolved hot d1"]


def test_missing_data_is_not_told_and_neither_is_the_return(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.see(301, gap(301))
    h.see(400, back(400), up(400))
    assert h.waiting() == []
    h.see(500, gap(500))
    h.see(600, back(600), down(600))
    assert h.deliver(600) == ["ops: resolved hot d1"]


def test_every_channel_is_told_in_messages_of_its_own(house: Houses) -> None:
    h = house(rule(notify=("ops", "mail", "ops"), group_wait_s=0))
    h.see(1, up(1))
    assert h.deliver(1) == ["ops: firing hot d1", "mail: firing hot d1"]


# groups


def test_alerts_of_a_group_wait_for_each_other(house: Houses) -> None:
    h = house(rule(notify=("ops",), group_wait_s=5))
    h.see(1, up(1))
    assert h.deliver(5.9) == []
    h.see(4, up(4, key=("d2",)))
    assert h.deliver(6) == ["ops: firing hot d1, firing hot d2"]
    h.see(7, up(7, key=("d3",)))
    assert h.deliver(11.9) == []
    assert h.deliver(12) == ["ops: firing hot d3"]


def test_groups_are_made_of_labels(house: Houses) -> None:
    h = house(rule(notify=("ops",), group_by=("device", "line"), group_wait_s=0))
    h.see(1, up(1), up(1, key=("d2",)))
    assert [m.group for m in h.waiting()] == ["device=d1,line=", "device=d2,line="]


def test_without_labels_all_rules_are_one_group(house: Houses) -> None:
    h = house(rule("a", notify=("ops",), group_by=()), rule("b", notify=("ops",), group_by=()))
    h.see(1, up(1, name="a"), up(1, name="b"))
    assert [spoken.group for spoken in h.waiting()] == [""]
    assert h.deliver(9) == ["ops: firing a d1, firing b d1"]


def test_a_critical_alert_does_not_wait_for_its_group(house: Houses) -> None:
    slow = rule("slow", notify=("ops",), group_by=(), group_wait_s=60)
    h = house(slow, rule("urgent", notify=("ops",), group_by=(), group_wait_s=0))
    h.see(1, up(1, name="slow"))
    h.see(2, up(2, name="urgent"))
    assert h.deliver(2) == ["ops: firing slow d1, firing urgent d1"]


def test_of_ten_thousand_alerts_a_hundred_are_listed_and_the_others_counted(house: Houses) -> None:
    h = house(rule(notify=("ops",), group_wait_s=0))
    h.see(1, *(up(1, key=(f"d{i}",)) for i in range(10_000)))
    (message,) = h.waiting()
    assert (len(message.items), message.others) == (100, 9_900)
    h.see(2, *(down(2, key=(f"d{i}",)) for i in range(10_000)))
    (message,) = h.waiting()
    assert (len(message.items), message.others) == (200, 19_800)
    assert {i.key for i in message.items if i.tells is Tells.RESOLVED} == {i.key for i in message.items if i.tells is Tells.FIRING}


# repeat and acknowledge


def test_what_still_fires_is_told_again(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    assert h.book.next_wake_us() == at(1 + HOUR)
    h.see(HOUR)
    assert h.waiting() == []
    h.see(1 + HOUR)
    assert h.deliver(1 + HOUR) == ["ops: repeat hot d1"]
    first = h.plan.parcels[0].item
    h.see(1 + 2 * HOUR)
    assert h.plan.parcels[0].item.idempotency_key != first.idempotency_key
    h.see(3 * HOUR, down(9))
    assert h.book.next_wake_us() is None


def test_a_fire_that_has_not_been_handed_over_is_not_repeated(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.see(1 + HOUR)
    assert h.deliver(2 * HOUR) == ["ops: firing hot d1"]


def test_a_fire_without_data_is_repeated_and_says_so(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.see(301, gap(301))
    h.see(1 + HOUR)
    assert h.waiting()[0].items[0].summary == "hot: device=d1 (no data since)"


def test_an_acknowledged_alert_is_not_repeated_until_that_has_run_out(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.do(2, acked(until=2 * HOUR))
    h.see(1 + HOUR)
    assert h.waiting() == []
    assert h.book.next_wake_us() == at(2 * HOUR)
    h.see(2 * HOUR)
    assert h.deliver(2 * HOUR) == ["ops: repeat hot d1"]
    assert h.alert().acked_by is None


def test_an_acknowledgement_does_not_hold_back_the_end(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.do(2, acked())
    assert h.book.next_wake_us() is None
    h.deliver(2)
    h.see(9, down(9))
    assert h.deliver(9) == ["ops: resolved hot d1"]


def test_an_acknowledgement_that_is_taken_back_lets_it_be_repeated(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.do(2, acked())
    h.do(2 * HOUR, lambda draft: draft.unacknowledge("hot", D1, author="ann"))
    assert h.deliver(2 * HOUR) == ["ops: repeat hot d1"]


def test_what_does_not_fire_can_not_be_acknowledged(house: Houses) -> None:
    h = house(OPS)
    h.see(1, gap(1))
    draft = Draft(h.book, now_us=at(2))
    with pytest.raises(UsageRefused, match="nothing of the rule 'hot' fires"):
        draft.acknowledge("hot", None, author="ann")
    with pytest.raises(UsageRefused, match="nothing of the rule 'hot' is acknowledged"):
        draft.unacknowledge("hot", None, author="ann")
    with pytest.raises(UsageRefused, match="would end before it begins"):
        draft.acknowledge("hot", None, author="ann", until_us=at(2))
    h.see(3, back(3), up(3))
    with pytest.raises(UsageRefused, match="fires for this key"):
        Draft(h.book, now_us=at(4)).acknowledge("hot", ("d2",), author="ann")


def test_a_clock_that_was_set_back_by_a_day_delays_no_repeat(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.see(-86_400)
    assert h.deliver(-86_400) == ["ops: repeat hot d1"]
    h.see(-86_400 + HOUR - 1)
    assert h.waiting() == []
    h.see(-86_400 + HOUR)
    assert h.deliver(-86_400 + HOUR) == ["ops: repeat hot d1"]


# escalation

UP = rule(notify=("ops",), group_wait_s=0, repeat_s=10 * HOUR, escalate=("boss",), escalate_after_s=600)


def test_what_nobody_acknowledges_is_escalated_once(house: Houses) -> None:
    h = house(UP)
    h.see(1, up(1))
    h.deliver(1)
    assert h.book.next_wake_us() == at(601)
    h.see(601)
    assert h.deliver(601) == ["boss: escalated hot d1"]
    h.see(1_300)
    assert h.waiting() == []
    h.see(1_400, down(1_400))
    assert h.deliver(1_400) == ["ops: resolved hot d1", "boss: resolved hot d1"]
    h.see(1_500, up(1_500))
    h.deliver(1_500)
    h.see(2_100)
    assert h.deliver(2_100) == ["boss: escalated hot d1"]


def test_what_is_acknowledged_or_over_is_not_escalated(house: Houses) -> None:
    h = house(UP)
    h.see(1, up(1), up(1, key=("d2",)))
    h.deliver(1)
    h.do(2, lambda draft: draft.acknowledge("hot", D1, author="ann"))
    h.see(3, down(3, key=("d2",)))
    h.deliver(3)
    h.see(5_000)
    assert h.waiting() == []
    h.see(5_001, down(5_001))
    assert h.deliver(5_001) == ["ops: resolved hot d1"]


def test_a_rule_with_nobody_to_notify_is_escalated_all_the_same(house: Houses) -> None:
    h = house(rule(escalate=("boss",), escalate_after_s=600))
    h.see(1, up(1))
    assert h.waiting() == []
    h.see(601)
    h.see(700, down(700))
    assert h.deliver(700) == ["boss: escalated hot d1, resolved hot d1"]
