"""The life of one alert, as tables: what happens, and which transitions come of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.hot.alerts.life import acknowledge, due, end, is_forgettable, next_due, step, unacknowledge
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.values import Kind, Phase
from appliance.hot.stream.values import TRUE
from tests.hot.alerts.cases import (
    NOW_US,
    Event,
    at,
    back,
    broken,
    down,
    firing,
    gap,
    late,
    live,
    new,
    rule,
    said,
    second_of,
    still,
    unsure,
    up,
)

PLAIN = rule()
FOR = rule(for_s=10)
KEEP = rule(keep_s=10)
BOTH = rule(for_s=10, keep_s=10)
ABSENT = rule(is_absent=True)
ABSENT_FOR = rule(is_absent=True, for_s=10)

LIVES: dict[str, tuple[RuleFacts, list[Event], list[str]]] = {
    # without for
    "it fires at once": (PLAIN, [up(1)], ["1 ok>firing #1"]),
    "it resolves": (PLAIN, [up(1), down(5)], ["1 ok>firing #1", "5 firing>ok #5"]),
    "what goes on holding is no news": (PLAIN, [up(1), up(2), still(3), unsure(4), 100], ["1 ok>firing #1"]),
    "what goes on being well is no news": (PLAIN, [down(1), unsure(2), still(3), down(4), 100], []),
    # for
    "pending fires when event time gets to its end": (FOR, [up(1), 10.9, 11], ["1 ok>pending #1", "11 pending>firing #1"]),
    "pending fires by a point of its own": (FOR, [up(1), still(12, reached=10)], ["1 ok>pending #1", "11 pending>firing #1"]),
    "a point before the end fires nothing": (FOR, [up(1), still(10.5)], ["1 ok>pending #1"]),
    "a point after event time has got there changes nothing": (
        FOR,
        [up(1), still(12, reached=11)],
        ["1 ok>pending #1", "11 pending>firing #1"],
    ),
    "pending that ends was nothing": (FOR, [up(1), down(5), 100], ["1 ok>pending #1", "5 pending>ok #5"]),
    "pending that ends too late for event time": (
        FOR,
        [up(1), down(12, reached=11)],
        ["1 ok>pending #1", "11 pending>firing #1", "12 firing>ok #12"],
    ),
    "pending that ends before event time has got there": (
        FOR,
        [up(1), down(11.5, reached=10.5)],
        ["1 ok>pending #1", "11.5 pending>ok #11"],
    ),
    "pending counts from the newest beginning": (
        FOR,
        [up(1), down(5), up(8), 11, 17.9, 18],
        ["1 ok>pending #1", "5 pending>ok #5", "8 ok>pending #8", "18 pending>firing #8"],
    ),
    "pending does not fire while it is unknown": (FOR, [up(1), unsure(5), 100], ["1 ok>pending #1"]),
    "pending that was unknown meanwhile fires when it is known again": (
        FOR,
        [up(1), unsure(5), up(20)],
        ["1 ok>pending #1", "11 pending>firing #1"],
    ),
    "pending that was unknown meanwhile goes on": (FOR, [up(1), unsure(5), up(7), 11], ["1 ok>pending #1", "11 pending>firing #1"]),
    # keep
    "keep holds the fire": (KEEP, [up(1), down(5), 14.9, 15], ["1 ok>firing #1", "15 firing>ok"]),
    "keep that is broken by the condition starts anew": (
        KEEP,
        [up(1), down(5), up(9), 100, down(101), 111],
        ["1 ok>firing #1", "111 firing>ok"],
    ),
    "keep ends by a point of its own": (KEEP, [up(1), down(5), still(16, reached=14)], ["1 ok>firing #1", "15 firing>ok"]),
    "keep ends although it is unknown": (KEEP, [up(1), down(5), unsure(8), 15], ["1 ok>firing #1", "15 firing>ok"]),
    "the condition after keep is a new fire": (KEEP, [up(1), down(5), up(16)], ["1 ok>firing #1", "15 firing>ok", "16 ok>firing #16"]),
    "for and keep": (
        BOTH,
        [up(1), 50, down(60), up(65), down(80), 90],
        ["1 ok>pending #1", "11 pending>firing #1", "90 firing>ok"],
    ),
    # nodata
    "missing data resolves nothing": (PLAIN, [up(1), gap(301), 10_000], ["1 ok>firing #1", "301 firing>nodata"]),
    "back and still holding fires on": (
        PLAIN,
        [up(1), gap(301), back(400), up(400)],
        ["1 ok>firing #1", "301 firing>nodata", "400 nodata>firing #400"],
    ),
    "back and over resolves": (
        PLAIN,
        [up(1), gap(301), back(400), down(400)],
        ["1 ok>firing #1", "301 firing>nodata", "400 nodata>firing #400", "400 firing>ok #400"],
    ),
    "a level that comes with a record is a return": (
        PLAIN,
        [up(1), gap(301), down(400)],
        ["1 ok>firing #1", "301 firing>nodata", "400 nodata>firing #400", "400 firing>ok #400"],
    ),
    "what leaves a window is no return": (PLAIN, [up(1), gap(301), down(400, seq=None)], ["1 ok>firing #1", "301 firing>nodata"]),
    "ok has no data and comes back": (PLAIN, [gap(300), back(400)], ["300 ok>nodata", "400 nodata>ok #400"]),
    "ok has no data and comes back firing": (
        PLAIN,
        [gap(300), back(400), up(400)],
        ["300 ok>nodata", "400 nodata>ok #400", "400 ok>firing #400"],
    ),
    "pending counts anew after a gap": (
        FOR,
        [up(1), gap(5), back(20), up(20), 29.9, 30],
        ["1 ok>pending #1", "5 pending>nodata", "20 nodata>pending #20", "30 pending>firing #20"],
    ),
    "pending waits for a level after a gap": (
        FOR,
        [up(1), gap(5), back(20), 100],
        ["1 ok>pending #1", "5 pending>nodata", "20 nodata>pending #20"],
    ),
    "a point of its own says that pending holds": (
        FOR,
        [up(1), gap(5), back(20), still(31)],
        ["1 ok>pending #1", "5 pending>nodata", "20 nodata>pending #20", "30 pending>firing #20"],
    ),
    "a second gap is none": (PLAIN, [gap(300), gap(301)], ["300 ok>nodata"]),
    "keep counts anew after a gap": (
        KEEP,
        [up(1), down(5), gap(10), 100, back(101), 111],
        ["1 ok>firing #1", "10 firing>nodata", "101 nodata>firing #101", "111 firing>ok"],
    ),
    "for runs out before the gap": (FOR, [up(1), gap(11)], ["1 ok>pending #1", "11 pending>firing #1", "11 firing>nodata"]),
    # errors
    "an error resolves nothing": (PLAIN, [up(1), broken(5), 100], ["1 ok>firing #1", "5 firing>error #5"]),
    "an error that goes on is no news": (PLAIN, [up(1), broken(5), broken(6)], ["1 ok>firing #1", "5 firing>error #5"]),
    "an error ends with a level": (
        PLAIN,
        [up(1), broken(5), up(6)],
        ["1 ok>firing #1", "5 firing>error #5", "6 error>firing #6"],
    ),
    "an error ends with a level that is over": (
        PLAIN,
        [up(1), broken(5), down(6)],
        ["1 ok>firing #1", "5 firing>error #5", "6 error>firing #6", "6 firing>ok #6"],
    ),
    "an error ends with a point that is as before": (
        PLAIN,
        [up(1), broken(5), still(6)],
        ["1 ok>firing #1", "5 firing>error #5", "6 error>firing #6"],
    ),
    "an error of what was well ends well": (PLAIN, [broken(5), down(6)], ["5 ok>error #5", "6 error>ok #6"]),
    "an error that falls silent has no data": (
        PLAIN,
        [up(1), broken(5), gap(300), back(400), down(400)],
        ["1 ok>firing #1", "5 firing>error #5", "300 error>nodata", "400 nodata>firing #400", "400 firing>ok #400"],
    ),
    "no data and then an error": (
        PLAIN,
        [up(1), gap(300), broken(400), up(401)],
        ["1 ok>firing #1", "300 firing>nodata", "400 nodata>error #400", "401 error>firing #401"],
    ),
    "pending counts anew after an error": (
        FOR,
        [up(1), broken(5), up(8), 11, 18],
        ["1 ok>pending #1", "5 pending>error #5", "8 error>pending #8", "18 pending>firing #8"],
    ),
    # absence
    "silence fires": (ABSENT, [gap(60)], ["60 ok>firing"]),
    "a record ends the silence": (ABSENT, [gap(60), back(90)], ["60 ok>firing", "90 firing>ok #90"]),
    "silence that goes on is no news": (ABSENT, [gap(60), gap(61), 1000], ["60 ok>firing"]),
    "silence with for": (ABSENT_FOR, [gap(60), 69, 70], ["60 ok>pending", "70 pending>firing"]),
    "silence that ends within for": (ABSENT_FOR, [gap(60), back(65)], ["60 ok>pending", "65 pending>ok #65"]),
    "a record without a silence is no news": (ABSENT, [back(5)], []),
    # late
    "late is told apart": (PLAIN, [late(5)], ["late 5 ok>ok #5"]),
    "late where it was firing is no news": (PLAIN, [up(1), late(5)], ["1 ok>firing #1"]),
    "late before it was firing is": (PLAIN, [up(9), late(5)], ["9 ok>firing #9", "late 5 firing>firing #5"]),
    "late does not end pending": (FOR, [up(9), late(5), 19], ["9 ok>pending #9", "late 5 pending>pending #5", "19 pending>firing #9"]),
    "late without data": (PLAIN, [gap(300), late(5)], ["300 ok>nodata", "late 5 nodata>nodata #5"]),
}


@pytest.mark.parametrize("name", LIVES)
def test_a_life(name: str) -> None:
    facts, events, expected = LIVES[name]
    assert said(live(facts, *events)[1]) == expected


EVERY = {
    "up": up(50),
    "down": down(50),
    "unsure": unsure(50),
    "still": still(50),
    "gap": gap(50),
    "back": back(50),
    "broken": broken(50),
    "late": late(50),
}
TO: dict[Phase, list[Event]] = {
    Phase.OK: [],
    Phase.PENDING: [up(45)],
    Phase.FIRING: [up(1), 20],
    Phase.NODATA: [up(1), gap(20)],
    Phase.ERROR: [up(1), 20, broken(20)],
}
AFTER: dict[Phase, dict[str, str]] = {
    Phase.OK: {"up": "pending", "gap": "nodata", "broken": "error"},
    Phase.PENDING: {"down": "ok", "gap": "nodata", "broken": "error"},
    Phase.FIRING: {"down": "ok", "gap": "nodata", "broken": "error"},
    Phase.NODATA: {"up": "firing", "down": "ok", "unsure": "firing", "still": "firing", "back": "firing", "broken": "error"},
    Phase.ERROR: {"up": "firing", "down": "ok", "unsure": "firing", "still": "firing", "gap": "nodata"},
}


@pytest.mark.parametrize("phase", TO)
@pytest.mark.parametrize("name", EVERY)
def test_every_signal_in_every_phase(phase: Phase, name: str) -> None:
    now, _ = live(FOR, *TO[phase])
    assert now.phase is phase
    after, _ = live(FOR, EVERY[name], instance=now)
    assert str(after.phase) == AFTER[phase].get(name, str(phase))
    assert after.is_firing is (phase in (Phase.FIRING, Phase.NODATA, Phase.ERROR) and name != "down")
    if name == "late":
        assert after == now


def test_what_changes_nothing_gives_the_very_same_instance() -> None:
    now, _ = live(PLAIN, up(1))
    for nothing in (up(2), still(3), unsure(4), late(5)):
        assert step(now, nothing, PLAIN, now_us=NOW_US)[0] is now
    assert due(now, PLAIN, watermark_us=at(10_000), now_us=NOW_US)[0] is now


def test_a_transition_carries_its_cause_its_values_and_when_it_was_learned() -> None:
    now, (fired,) = live(PLAIN, up(1, values={"temperature": 81.5}))
    assert (fired.seq, fired.values, fired.learned_us, fired.fire) == (1, {"temperature": 81.5}, NOW_US, 1)
    assert (now.seq, now.values, second_of(now.fired_us), now.resolved_us) == (1, {"temperature": 81.5}, 1, None)
    now, (over,) = live(PLAIN, down(2, values={"temperature": 70.0}), instance=now)
    assert (over.values, over.fire, now.fired_us, second_of(now.resolved_us)) == ({"temperature": 70.0}, 1, None, 2)
    assert live(PLAIN, up(3), instance=now)[1][0].fire == 2


def test_values_that_json_does_not_have_are_null() -> None:
    now, (fired,) = live(PLAIN, up(1, values={"a": float("nan"), "b": float("-inf"), "c": 1.5, "d": "x", "e": None}))
    assert now.values == fired.values == {"a": None, "b": None, "c": 1.5, "d": "x", "e": None}


@pytest.mark.parametrize(
    "event", [11, still(12, reached=10, values={"t": 99}), still(12, reached=11, values={"t": 99}), up(12, reached=10)]
)
def test_what_made_it_pending_caused_the_fire_whoever_notices_that_it_is_due(event: Event) -> None:
    now, (_, fired) = live(FOR, up(1, values={"t": 81}), event)
    assert (fired.seq, fired.values, second_of(fired.at_us), now.seq) == (1, {"t": 81}, 11, 1)


@pytest.mark.parametrize(
    ("facts", "events", "expected"),
    [
        (PLAIN, [], None),
        (PLAIN, [up(1)], None),
        (FOR, [up(1)], 11),
        (FOR, [up(1), unsure(2)], None),
        (FOR, [up(1), 11], None),
        (KEEP, [up(1)], None),
        (KEEP, [up(1), down(5)], 15),
        (KEEP, [up(1), down(5), gap(6)], None),
    ],
)
def test_the_next_timer(facts: RuleFacts, events: list[Event], expected: float | None) -> None:
    now, _ = live(facts, *events)
    assert second_of(next_due(now, facts)) == expected


def test_a_rule_with_a_shorter_for_fires_what_has_been_pending_for_long() -> None:
    now, _ = live(FOR, up(1), 5)
    assert said(live(rule(for_s=2), 5, instance=now)[1]) == ["3 pending>firing #1"]


def test_an_error_with_another_reason_is_shown_and_no_transition() -> None:
    now, _ = live(PLAIN, broken(1, "no column"))
    now, none = live(PLAIN, broken(2, "too many values"), instance=now)
    assert (now.reason, none) == ("too many values", [])


# flapping

FLAPPY = rule(flap_max=2, flap_within_s=60)
FLAPS: list[Event] = [up(1), down(2), up(3), down(4), up(5)]


def test_too_many_fires_are_flapping_and_then_counted_only() -> None:
    now, found = live(FLAPPY, *FLAPS, down(6), up(7), down(8), up(9))
    assert said(found) == ["1 ok>firing #1", "2 firing>ok #2", "3 ok>firing #3", "4 firing>ok #4", "flapping 5 ok>firing #5"]
    assert (now.flapping, now.fire, now.flap_fires, now.phase) == (True, 5, 2, Phase.FIRING)
    assert len(now.fires_us) == 3


def test_fires_further_apart_are_no_flapping() -> None:
    now, found = live(FLAPPY, up(1), down(2), up(3), down(4), up(61), down(62), up(121))
    assert not now.flapping
    assert len(found) == 7


def test_flapping_ends_after_as_long_without_a_change_firing_or_not() -> None:
    now, _ = live(FLAPPY, *FLAPS, down(6), up(7))
    assert second_of(next_due(now, FLAPPY)) == 67
    calm, found = live(FLAPPY, 66.9, 67, instance=now)
    assert said(found) == ["calm 67 firing>firing"]
    assert (calm.flapping, calm.flap_fires, calm.fires_us, calm.phase, calm.fire) == (False, 0, (), Phase.FIRING, 4)
    assert found[0].reason == "has fired 1 more times meanwhile"
    now, found = live(FLAPPY, down(8), 68, instance=now)
    assert said(found) == ["calm 68 ok>ok"]
    assert said(live(FLAPPY, up(70), instance=now)[1]) == ["70 ok>firing #70"]


def test_pending_and_keep_are_counted_as_well_while_flapping() -> None:
    facts = replace(FLAPPY, for_us=500_000, keep_us=500_000)
    events: list[Event] = [e for t in range(1, 41, 4) for e in (up(t), down(t + 2))]
    now, found = live(facts, *events)
    assert [t.kind for t in found].count(Kind.FLAPPING) == 1
    assert said(found)[-1] == "flapping 9.5 pending>firing #9"
    assert now.flapping


def test_missing_data_is_noted_while_flapping_and_is_no_calm() -> None:
    now, found = live(FLAPPY, *FLAPS, gap(30), 1_000)
    assert said(found)[-1] == "30 firing>nodata"
    assert now.flapping
    now, found = live(FLAPPY, back(2_000), up(2_000), 2_060, instance=now)
    assert said(found) == ["2000 nodata>firing #2000", "calm 2060 firing>firing"]


# what people do


def test_an_acknowledgement_ends_when_the_alert_resolves() -> None:
    now, (acked,) = acknowledge(firing(PLAIN), PLAIN, author="ann", comment="on it", until_us=None, now_us=at(9))
    assert (now.acked_by, now.ack_comment, now.acked_until_us) == ("ann", "on it", None)
    assert (acked.kind, acked.reason, acked.old, acked.new) == (Kind.ACKED, "ann: on it", Phase.FIRING, Phase.FIRING)
    now, found = live(PLAIN, gap(300), back(400), down(400), instance=now)
    assert said(found)[-1] == "400 firing>ok #400"
    assert (now.acked_by, now.ack_comment) == (None, "")


def test_an_acknowledgement_runs_out_by_the_wall_clock() -> None:
    now, _ = acknowledge(firing(PLAIN), PLAIN, author="ann", comment="", until_us=at(60), now_us=at(9))
    assert due(now, PLAIN, watermark_us=at(1_000), now_us=at(59.9)) == (now, ())
    after, (over,) = due(now, PLAIN, watermark_us=at(0), now_us=at(60))
    assert (after.acked_by, over.kind, over.reason) == (None, Kind.UNACKED, "the acknowledgement has run out")
    assert step(now, still(100), PLAIN, now_us=at(500)) == (now, ())


def test_an_acknowledgement_is_taken_back() -> None:
    now, _ = acknowledge(firing(PLAIN), PLAIN, author="ann", comment="", until_us=None, now_us=at(9))
    after, (over,) = unacknowledge(now, PLAIN, author="bob", now_us=at(10))
    assert (after.acked_by, over.reason) == (None, "taken back by bob")
    assert unacknowledge(after, PLAIN, author="bob", now_us=at(11)) == (after, ())


def test_an_acknowledgement_of_what_flaps_holds_until_it_is_calm() -> None:
    now, _ = live(FLAPPY, *FLAPS)
    now, _ = acknowledge(now, FLAPPY, author="ann", comment="", until_us=None, now_us=at(5))
    now, _ = live(FLAPPY, down(6), up(7), instance=now)
    assert now.acked_by == "ann"
    assert live(FLAPPY, 67, instance=now)[0].acked_by == "ann"
    assert live(FLAPPY, down(8), 68, instance=now)[0].acked_by is None


def test_an_alert_ends_with_its_rule_from_every_phase() -> None:
    for phase, events in TO.items():
        now, _ = live(FOR, *events)
        after, found = end(now, FOR, reason="gone", now_us=at(99))
        assert after.phase is Phase.OK
        assert [t.reason for t in found] == ([] if phase is Phase.OK else ["gone"])
        assert (second_of(after.resolved_us) == 99) is now.is_firing
        assert said(live(FOR, still(100), 1_000, instance=after)[1]) == []


def test_an_alert_that_flaps_ends_with_its_rule() -> None:
    now, _ = live(FLAPPY, *FLAPS)
    after, found = end(now, FLAPPY, reason="gone", now_us=at(99))
    assert (said(found), after.flapping, after.fire) == (["99 firing>ok"], False, 3)


def test_only_what_never_fired_is_forgotten() -> None:
    assert is_forgettable(new(PLAIN))
    assert is_forgettable(live(FOR, up(1), down(2))[0])
    assert not is_forgettable(live(PLAIN, up(1), down(2))[0])
    assert not is_forgettable(live(FOR, up(1))[0])
    assert not is_forgettable(live(PLAIN, gap(1))[0])


def test_levels_of_an_alert_that_is_unknown_are_kept() -> None:
    assert live(PLAIN, up(1), gap(300), back(400))[0].level == TRUE
