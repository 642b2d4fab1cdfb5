"""The book follows the store: what was not written is nowhere, and a restart at any step changes nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.clock import US_PER_DAY
from appliance.hot.alerts.book import Counts
from appliance.hot.alerts.deadlines import Deadlines
from appliance.hot.alerts.draft import CHANGED, OTHER_KEYS, REMOVED, Draft
from appliance.hot.alerts.tables import commit_alerts
from appliance.hot.alerts.values import Ident, Kind, Phase
from tests.hot.alerts.cases import D1, at, back, broken, down, gap, late, rule, said, second_of, still, unsure, up
from tests.hot.alerts.conftest import Houses
from tests.hot.alerts.house import CLOCK, HOUR, House, acked, silenced

OPS = rule(notify=("ops",), group_wait_s=0)
FOR = rule(for_s=10, notify=("ops",), group_wait_s=0)
HOT: Ident = ("hot", D1)


def test_what_is_ok_and_never_fired_is_not_in_it(house: Houses) -> None:
    h = house(FOR)
    plan = h.see(1, down(1), unsure(1), still(1), back(1), late(1))
    assert (len(h.book), plan.instances, [t.kind for t in plan.transitions]) == (0, {}, [Kind.LATE])
    h.see(2, up(2))
    assert len(h.book) == 1
    plan = h.see(3, down(3))
    assert (len(h.book), plan.instances) == (0, {HOT: None})
    assert h.store.connection.execute("SELECT count(*) FROM alert").fetchone() == (0,)


def test_what_comes_and_goes_within_a_round_leaves_nothing_but_its_history(house: Houses) -> None:
    plan = house(FOR).see(1, up(1), down(2))
    assert (plan.instances, said(plan.transitions)) == ({}, ["1 ok>pending #1", "2 pending>ok #2"])


def test_signals_of_rules_that_are_not_there_are_passed_over(house: Houses) -> None:
    assert house(FOR).see(1, up(1, name="other")).is_empty


def test_it_counts_by_rule_and_phase(house: Houses) -> None:
    h = house(FOR, rule("other"))
    h.see(20, up(1), up(15, key=("d2",)), gap(15, key=("d3",)), broken(16, key=("d4",)), up(1, name="other"), reached=20)
    assert h.book.counts("hot") == Counts(firing=1, pending=1, nodata=1, error=1)
    assert h.book.counts("other") == Counts(firing=1)
    assert h.book.counts("nothing") == Counts()
    h.see(21, down(21), down(21, key=("d2",)))
    assert h.book.counts("hot") == Counts(nodata=1, error=1)


def test_timers_run_when_event_time_gets_there(house: Houses) -> None:
    h = house(FOR)
    h.see(1, up(1), up(3, key=("d2",)))
    assert second_of(h.book.next_due(CLOCK)) == 11
    assert said(h.see(11, reached=10.9).transitions) == []
    assert said(h.see(11, reached=11).transitions) == ["11 pending>firing #1"]
    assert second_of(h.book.next_due(CLOCK)) == 13
    assert said(h.see(50, reached=50).transitions) == ["13 pending>firing #3"]
    assert h.book.next_due(CLOCK) is None


def test_a_timer_of_what_has_changed_in_the_same_round_runs_too(house: Houses) -> None:
    assert said(house(FOR).see(20, up(1), reached=20).transitions) == ["1 ok>pending #1", "11 pending>firing #1"]


def test_timers_follow_their_own_clock(house: Houses) -> None:
    h = house(FOR, rule("other", for_s=10, stream="b", clock="b"))
    h.see(1, up(1), up(1, name="other"))
    plan = h.see(20, reached=20)
    assert [t.rule for t in plan.transitions] == ["hot"]
    assert second_of(h.book.next_due("b")) == 11
    plan = h.do(20, lambda draft: draft.advance("b", at(20)))
    assert [t.rule for t in plan.transitions] == ["other"]


def test_a_plan_that_was_not_written_has_left_nothing_and_can_be_written_again(house: Houses, monkeypatch: pytest.MonkeyPatch) -> None:
    h = house(OPS)
    draft = Draft(h.book, now_us=at(1))
    draft.apply([up(1)])
    draft.silence(["device=d2"], since_us=at(0), until_us=at(99), author="", comment="")
    plan = draft.finish()

    def fails(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr("appliance.hot.alerts.tables.outbox.put", fails)
        with pytest.raises(sqlite3.OperationalError):
            commit_alerts(h.store, plan, history_max=10)
    assert (len(h.book), h.book.silences, h.waiting()) == (0, {}, [])
    assert h.store.connection.execute("SELECT count(*) FROM alert_event").fetchone() == (0,)
    h.keep(plan)
    assert (h.alert().phase, list(h.book.silences), h.deliver(1)) == (Phase.FIRING, [1], ["ops: firing hot d1"])


def test_what_was_due_is_still_due_when_its_plan_was_dropped(house: Houses) -> None:
    h = house(replace(FOR, repeat_us=HOUR * 1_000_000))
    h.see(1, up(1))
    for _ in range(2):
        draft = Draft(h.book, now_us=at(20))
        draft.advance(CLOCK, at(20))
        assert said(draft.finish().transitions) == ["11 pending>firing #1"]
    h.see(20, reached=20)
    h.deliver(20)
    for _ in range(2):
        assert len(Draft(h.book, now_us=at(20 + HOUR)).finish().parcels) == 1


LIFE = [
    (1, up(1)),
    (11, None),
    (20, down(20)),
    (30, up(30)),
    (40, None),
    (350, gap(350)),
    (400, back(400)),
    (400, up(400)),
    (410, broken(410)),
    (420, down(420)),
    (430, None),
    (500, up(500)),
    (505, down(505)),
]


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_a_restart_at_every_step_of_a_life_changes_nothing(tmp_path: Path, every: int) -> None:
    both = []
    for name, restarts in (("a", False), ("b", True)):
        (tmp_path / name).mkdir()
        h = House(tmp_path / name, replace(FOR, keep_us=5_000_000))
        got: list[str] = []
        for i, (second, one) in enumerate(LIFE):
            h.see(second, *([one] if one is not None else []), reached=second)
            if restarts and i % every == 0:
                h.restart(second)
            got += h.deliver(second)
        events = h.store.connection.execute("SELECT * FROM alert_event ORDER BY id").fetchall()
        both.append((events, got, list(h.book.instances())))
        h.close()
    assert both[0] == both[1]
    assert both[0][1] == ["ops: firing hot d1", "ops: resolved hot d1", "ops: firing hot d1", "ops: resolved hot d1"]


def test_silences_acknowledgements_and_what_is_held_survive_a_restart(house: Houses) -> None:
    h = house(replace(OPS, repeat_us=HOUR * 1_000_000))
    h.do(0, silenced("device=d1", until=100))
    h.see(1, up(1), up(1, key=("d2",)))
    h.do(2, acked(until=2 * HOUR))
    h.deliver(2)
    h.restart(10)
    assert (h.alert(key=("d2",)).acked_by, h.waiting(), list(h.book.silences)) == ("ann", [], [1])
    assert h.book.held == {HOT}
    h.restart(100)
    assert h.deliver(100) == ["ops: firing hot d1"]
    h.restart(2 * HOUR)
    assert h.deliver(2 * HOUR) == ["ops: repeat hot d1, repeat hot d2"]


def test_ids_of_silences_are_never_given_twice(house: Houses) -> None:
    h = house(OPS)
    h.do(0, silenced("a=1", until=10), silenced("b=1", until=10))
    h.restart(20)
    assert h.book.silences == {}
    h.do(20, silenced("c=1", until=30))
    assert list(h.book.silences) == [3]


# a new config


def test_alerts_of_a_rule_that_is_gone_end_and_that_is_told(house: Houses) -> None:
    h = house(OPS, rule("other"))
    h.see(1, up(1), gap(1, key=("d2",)), up(1, name="other"))
    h.deliver(1)
    plan = h.configure(5, rule("other"))
    assert [(t.new, t.reason) for t in plan.transitions] == [(Phase.OK, REMOVED)] * 2
    assert h.deliver(5) == ["ops: resolved hot d1"]
    assert (h.book.counts("hot"), h.book.counts("other")) == (Counts(), Counts(firing=1))
    assert h.see(6, up(6)).is_empty


def test_a_rule_that_went_while_the_process_was_down_is_told_as_over_too(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    h.restart(5, rule("other"))
    assert h.deliver(5) == ["ops: resolved hot d1"]
    h.restart(6, OPS)
    h.see(7, up(7))
    assert h.alert().fire == 2, "or its messages would have the keys of the first fire's"


def test_the_end_with_the_rule_waits_for_the_end_of_a_silence(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.do(2, silenced("device=d1", until=100))
    h.deliver(2)
    h.configure(5, rule("other"))
    h.restart(6)
    assert h.waiting() == []
    h.see(100)
    assert h.deliver(100) == ["ops: resolved hot d1"]


def test_alerts_of_a_rule_with_another_condition_stay_and_say_so(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    plan = h.configure(5, replace(OPS, condition="temperature > 90", severity="critical"))
    assert (plan.transitions, h.waiting()) == ((), [])
    now = h.alert()
    assert (now.phase, now.reason, now.labels["severity"]) == (Phase.FIRING, CHANGED, "critical")
    assert h.configure(6, replace(OPS, condition="temperature > 90", severity="critical")).is_empty


def test_a_rule_that_was_changed_while_the_process_was_down_is_noticed(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.restart(5, replace(OPS, condition="temperature > 90"))
    assert h.alert().reason == CHANGED


def test_alerts_of_a_rule_with_other_columns_end(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.deliver(1)
    plan = h.configure(5, replace(OPS, by=("line",)))
    assert [t.reason for t in plan.transitions] == [OTHER_KEYS]
    assert (h.deliver(5), len(h.book)) == (["ops: resolved hot d1"], 0)


def test_a_timer_follows_a_rule_that_was_changed(house: Houses) -> None:
    h = house(FOR)
    h.see(1, up(1))
    h.configure(2, replace(FOR, for_us=3_000_000))
    assert second_of(h.book.next_due(CLOCK)) == 4


def test_what_was_ok_for_a_month_is_forgotten(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1), up(1, key=("d2",)))
    h.see(2, down(2))
    month = 31 * US_PER_DAY / 1_000_000
    assert h.do(3, Draft.forget).instances == {}
    plan = h.do(month, Draft.forget)
    assert plan.instances[HOT] is None
    assert [i.key for i in h.book.instances()] == [("d2",)]


# deadlines


def test_deadlines_are_found_as_often_as_they_are_asked_for() -> None:
    times = Deadlines()
    for i in range(100):
        times.set(("r", (str(i),)), (i * 37) % 100)
    assert [int(k[0] or 0) * 37 % 100 for _, k in times.by(4)] == [0, 1, 2, 3, 4]
    assert len(times.by(4)) == 5
    times.set(("r", ("0",)), None)
    times.set(("r", ("1",)), 0)
    assert [k[0] for _, k in times.by(0)] == ["1"]
    assert (times.first(), len(times)) == (0, 99)


def test_deadlines_that_change_all_the_time_take_no_more_room() -> None:
    times = Deadlines()
    for i in range(10_000):
        times.set(("r", ("a",)), i)
    assert times.by(10_000) == [("r", ("a",))]
    assert len(times._heap) < 100
    times.set(("r", ("a",)), None)
    assert (times.first(), times.by(10_000)) == (None, [])
