"""When what is unusual is worth an incident: persistence or strength, never a single record, never what is usual."""

from __future__ import annotations

import random

import pytest

from appliance.hybrid.analysis.incidents.opening import Evidence, Usual, enough, needed, opens, surprise
from tests.incidents.sights import ODD, RARE, Run, at_us, seen


@pytest.mark.parametrize(
    ("sensitivity", "found", "usual", "learned", "is_enough"),
    [
        (0.5, 2.0, 0.0, 1.0, False),  # one record of one in a hundred
        (0.5, 6.0, 0.0, 1.0, False),  # one record, as rare as can be
        (0.5, 14.9, 0.0, 1.0, False),
        (0.5, 15.0, 0.0, 1.0, True),  # three records as rare as can be, or eight of one in a hundred, within seconds
        (0.5, 15.0, 0.0, 0.0005, False),  # the same where nobody knows yet what is usual
        (0.5, 22.5, 0.0, 0.0005, True),
        (0.5, 15.0, 1.0, 1.0, False),  # the same where such things are usual
        (0.5, 19.0, 1.0, 1.0, True),
        (0.5, 90.0, 20.0, 1.0, False),
        (1.0, 2.5, 0.0, 1.0, True),  # anything odd
        (1.0, 2.4, 0.0, 1.0, False),
        (0.1, 62.0, 0.0, 1.0, False),  # only what has never been
        (0.1, 63.0, 0.0, 1.0, True),
    ],
)
def test_what_is_worth_an_incident(sensitivity: float, found: float, usual: float, learned: float, is_enough: bool) -> None:
    assert opens(Evidence(found, usual, learned), sensitivity=sensitivity) is is_enough


@pytest.mark.parametrize(
    ("score", "step_s", "about"),
    [
        (0.0, 1.0, 0.0),
        (0.9, 1.0, 1.0),
        (ODD, 1.0, 2.0),
        (RARE, 1.0, 4.0),
        (1.0, 1.0, 6.0),
        (1.5, 1.0, 6.0),
        (ODD, 0.01, 2.0),
        (ODD, 100.0, 4.0),
        (ODD, 1e9, 5.0),
        (0.0, 1e9, 0.0),
        (ODD, None, 2.0),
    ],
)
def test_how_surprising_a_record_is(score: float, step_s: float | None, about: float) -> None:
    assert surprise(seen(0, score=score, step_s=step_s)) == pytest.approx(about, abs=1e-6)


def test_more_sensitive_means_sooner() -> None:
    values = [needed(s / 10) for s in range(11)]
    assert values == sorted(values, reverse=True)
    assert all(enough(s / 10) < needed(s / 10) for s in range(11))


def test_what_leads_to_nothing_is_usual_and_is_forgotten() -> None:
    usual = Usual()
    for second in range(3600):
        usual = usual.with_one(2.0, at_us(second))
    assert usual.within(10_000_000, ts_us=at_us(3600)) == pytest.approx(20.0, rel=0.1)
    assert usual.within(10_000_000, ts_us=at_us(6 * 3600)) < 1.0


def test_a_single_record_opens_nothing_however_rare() -> None:
    run = Run()
    for second in range(0, 3600, 30):
        run.take([seen(second, score=1.0)], {"host": second + 1})
    assert run.opened == []


def test_a_second_and_a_third_record_open_it_within_three_seconds() -> None:
    run = Run()
    assert run.take([seen(0, score=1.0)]).opened == ()
    assert run.take([seen(1, score=1.0)]).opened == ()
    assert run.take([seen(2, score=1.0)]).opened == (1,)


def test_several_series_at_once_open_it_at_once() -> None:
    assert Run().take([seen(0, column) for column in ("load1", "cpu", "temp", "mem")]).opened == (1,)


def test_two_records_of_what_is_measured_each_five_minutes_open_it() -> None:
    run = Run()
    run.take([seen(0, step_s=300.0, score=1.0)])
    assert run.take([seen(300, step_s=300.0, score=1.0)]).opened == (1,)
    slow = Run()
    slow.take([seen(0, step_s=300.0, score=1.0)])
    assert slow.take([seen(4 * 3600, step_s=300.0, score=1.0)]).opened == ()


@pytest.mark.parametrize("chance", [1e-4, 1e-3, 2e-3])
def test_a_calm_machine_opens_nothing_in_an_hour(chance: float) -> None:
    """Sixty series each second; scores that are rare by chance alone, as the first pass gives them."""
    rng = random.Random(7)
    run = Run()
    for second in range(3600):
        found = [
            seen(second, f"c{series}", score=1 - chance * rng.random(), learned=second / 604_800)
            for series in range(60)
            if rng.random() < chance
        ]
        run.take(found, {"host": second})
    assert run.opened == []


def test_two_minutes_of_load_on_a_machine_that_is_not_calm_open_one_within_three_seconds() -> None:
    rng = random.Random(8)
    run = Run()
    for second in range(600):
        found = [seen(second, f"c{series}", score=ODD) for series in range(60) if rng.random() < 1e-3]
        if second >= 300:
            found += [seen(second, f"c{series}", score=RARE) for series in range(6)]
        run.take(found, {"host": second})
        assert bool(run.opened) == (second >= 300), second
    assert run.opened == [1]
