"""Sightings close in time become one incident; a thousand at once become few; event time closes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.incidents.cases import MEMBERS_MAX, Size
from tests.examples import examples
from tests.incidents.sights import Run, at_us, seen

LOAD = [seen(second, column) for second in range(30) for column in ("load1", "cpu", "temp")]


def test_what_comes_together_is_one_and_knows_its_beginning() -> None:
    run = Run()
    run.take(LOAD)
    [case] = run.group.cases.values()
    assert (case.since_us, case.until_us, len(case.members)) == (at_us(0), at_us(29), 3)
    assert {m.records for m in case.members.values()} == {30}


def test_what_begins_at_the_same_time_elsewhere_belongs_to_it_and_what_comes_later_does_not() -> None:
    run = Run()
    run.take([seen(s, "load1", host="a") for s in range(40)])
    run.take([seen(s, "flow", stream="pump", unit="7") for s in range(40, 50)])
    assert run.opened == [1]
    for second in range(50, 300):
        run.take([seen(second, "load1", host="a")])
    run.take([seen(s, "level", stream="tank", unit="9") for s in range(300, 310)])
    assert run.opened == [1, 2]
    run.take([seen(s, "mem", stream="memory", host="a") for s in range(310, 320)])
    assert run.opened == [1, 2]
    assert "memory" in run.group.cases[1].streams


def test_it_is_over_when_nothing_unusual_came_for_a_while_by_event_time() -> None:
    run = Run()
    run.take(LOAD, {"host": 30})
    run.take([], {"host": 328})
    assert run.closed == []
    run.take([], {"host": 329})
    assert run.closed == [1]
    assert run.group.open == []


def test_a_stream_that_has_fallen_silent_ends_nothing_that_raises_an_alert() -> None:
    for raises_alert in (True, False):
        run = Run(raises_alert=raises_alert)
        run.take(LOAD, {"host": 30, "other": 30})
        run.take([], {"other": 3600})
        assert run.closed == []
        run.take([], {"other": 100_000})
        assert run.closed == ([] if raises_alert else [1])


def test_a_record_that_is_odd_by_chance_keeps_nothing_open() -> None:
    run = Run()
    run.take(LOAD, {"host": 30})
    for second in range(60, 400, 60):
        run.take([seen(second, score=0.99)], {"host": second})
    assert run.closed == [1]


def test_what_goes_on_stays_one_incident_until_it_is_usual() -> None:
    run = Run()
    for second in range(2100):
        run.take([seen(second)], {"host": second})
    assert (run.opened, run.closed) == ([1], [])
    for second in range(2100, 2700):
        run.take([seen(second)], {"host": second})
    assert (run.opened, run.closed) == ([1], [1])


def test_sightings_that_come_again_after_a_restart_change_nothing() -> None:
    run = Run()
    run.take(LOAD)
    before = run.group
    assert run.take(LOAD).changed == frozenset()
    assert run.group == before


def test_what_was_dismissed_is_not_opened_again_for_as_long_as_it_goes_on() -> None:
    run = Run()
    run.take(LOAD)
    run.group = replace(run.group, cases={1: replace(run.group.cases[1], is_dismissed=True)})
    run.take([seen(s, column) for s in range(30, 90) for column in ("load1", "cpu", "temp")])
    assert run.opened == [1]
    run.take([], {"host": 500})
    run.take([seen(s, column) for s in range(600, 610) for column in ("load1", "cpu", "temp")])
    assert run.opened == [1, 2]


def test_above_the_limit_it_joins_the_nearest() -> None:
    run = Run(open_max=3)
    for number in range(10):
        run.take([seen(number * 100 + s, f"x{number}", stream=f"s{number}", unit=str(number)) for s in range(15)])
    assert run.opened == [1, 2, 3]
    assert run.open_most == 3
    assert "s9" in run.group.cases[3].streams


def test_a_thousand_at_once_become_one() -> None:
    run = Run()
    run.take([seen(i / 1000, f"c{i}", stream=f"s{i % 50}", unit=str(i)) for i in range(1000)])
    assert run.opened == [1]
    case = run.group.cases[1]
    assert len(case.members) == MEMBERS_MAX
    assert len(case.members) + case.others + len(run.group.waiting) == 1000


def test_growing_is_told_a_few_times_not_each_time() -> None:
    run = Run()
    for second in range(60):
        run.take([seen(second, f"c{i}") for i in range(second + 1)])
    assert run.opened == [1]
    assert 1 <= len(run.grown) <= 10


storms = st.lists(st.tuples(st.floats(0, 50), st.integers(0, 400), st.sampled_from([0.95, 0.99, 0.9999, 1.0])), min_size=1, max_size=300)


@settings(max_examples=examples(60), deadline=None)
@given(storm=storms, size=st.integers(1, 50), open_max=st.integers(1, 5))
def test_whatever_comes_within_a_minute_becomes_few_however_it_is_cut(storm: list[Any], size: int, open_max: int) -> None:
    found = [seen(s, f"c{i}", stream=f"s{i % 9}", unit=str(i), score=score, seq=n + 1) for n, (s, i, score) in enumerate(sorted(storm))]
    whole, cut = Run(open_max=open_max), Run(open_max=open_max)
    whole.take(found)
    for first in range(0, len(found), size):
        cut.take(found[first : first + size])
    for run in (whole, cut):
        assert run.open_most <= 1, "all of it is within the onset of the first"
    assert [replace(c, told=Size()) for c in whole.group.cases.values()] == [replace(c, told=Size()) for c in cut.group.cases.values()]
    assert whole.group.waiting == cut.group.waiting


@pytest.mark.parametrize("sensitivity", [0.1, 0.5, 1.0])
def test_times_beyond_any_calendar_do_no_harm(sensitivity: float) -> None:
    run = Run(sensitivity=sensitivity)
    far = 2**62 // US_PER_S // 1000
    for second in (0, 1, 2, far, -far, 3):
        run.take([seen(second, seq=1 + len(run.opened) + second + far)], {"host": second})
    assert run.open_most <= 3
