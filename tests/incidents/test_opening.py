"""When what is unusual is worth an incident: persistence or strength, never a single record, never what is usual."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.incidents.opening import Heat, Peaks, enough, needed, opens, surprise
from tests.incidents.sights import ODD, RARE, Run, at_us, seen


@pytest.mark.parametrize(
    ("sensitivity", "found", "usual", "spans", "is_enough"),
    [
        (0.5, 2.0, 0.0, 60, False),  # one record of one in a hundred
        (0.5, 6.0, 0.0, 60, False),  # one record, as rare as can be
        (0.5, 24.9, 0.0, 60, False),
        (0.5, 25.0, 0.0, 60, True),  # six seconds of one series that is as rare as can be
        (0.5, 25.0, 10.0, 60, True),  # the same where there are peaks of ten each few minutes
        (0.5, 39.9, 20.0, 60, False),  # and of twenty
        (0.5, 40.0, 20.0, 60, True),
        (0.5, 90.0, 50.0, 60, False),
        (0.5, 1e9, 0.0, 1, False),  # nobody knows what is usual
        (0.5, 84.9, 0.0, 2, False),
        (0.5, 85.1, 0.0, 2, True),
        (0.5, 54.9, 0.0, 6, False),
        (0.5, 55.1, 0.0, 6, True),
        (0.5, 25.0, 0.0, 10, True),
        (1.0, 4.2, 0.0, 60, True),  # anything odd
        (1.0, 4.1, 0.0, 60, False),
        (0.1, 104.0, 0.0, 60, False),  # only what has never been
        (0.1, 105.0, 0.0, 60, True),
    ],
)
def test_what_is_worth_an_incident(sensitivity: float, found: float, usual: float, spans: int, is_enough: bool) -> None:
    assert opens(found, usual, sensitivity=sensitivity, spans=spans) is is_enough


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
        (ODD, 100.0, 6.0),
        (ODD, 1e9, 10.0),
        (0.0, 1e9, 0.0),
        (ODD, None, 2.0),
    ],
)
def test_how_surprising_a_record_is(score: float, step_s: float | None, about: float) -> None:
    assert surprise(seen(0, score=score, step_s=step_s)) == pytest.approx(about, abs=1e-6)


@pytest.mark.parametrize(
    ("score", "spreads", "about"),
    [(1.0, 2.0, 2.0), (1.0, 10.0, 6.0), (1.0, 100.0, 11.0), (1.0, 1e9, 11.0), (ODD, 1e9, 2.0), (ODD, 1.0, 1.5), (1.0, None, 6.0)],
)
def test_what_is_far_away_surprises_more_and_what_is_near_less(score: float, spreads: float | None, about: float) -> None:
    assert surprise(replace(seen(0, score=score), spreads=spreads)) == pytest.approx(about, abs=1e-6)


def test_one_series_far_away_opens_it_within_three_seconds_among_others_that_stray() -> None:
    rng = random.Random(9)
    run = Run()
    for second in range(620):
        found = [
            replace(seen(second, device=f"d{n}", score=1 - 10 ** -rng.uniform(2, 6), learned=second / 604_800), spreads=rng.uniform(2, 4))
            for n in range(20)
            if rng.random() < 0.02
        ]
        if second >= 600:
            found.append(replace(seen(second, device="d0", score=1.0, learned=second / 604_800), spreads=300.0 / 2 ** (second - 600)))
        run.take(found, {"host": second})
        assert not run.opened or second >= 600
        assert run.opened or second < 603
    assert run.opened == [1]


def test_the_third_record_on_end_of_one_series_far_away_opens_it_once_ten_minutes_are_known() -> None:
    run = Run()
    spreads = {600: 400.0, 601: 69.0, 602: 20.0}  # of a series that stays there: what is expected follows
    found = [replace(seen(at, device="d0", score=1.0, learned=at / 604_800), spreads=far) for at, far in spreads.items()]
    assert [bool(run.take([one], {"host": second}).opened) for second, one in enumerate(found, 600)] == [False, False, True]


def test_more_sensitive_means_sooner() -> None:
    values = [needed(s / 10) for s in range(11)]
    assert values == sorted(values, reverse=True)
    assert all(enough(s / 10) < needed(s / 10) for s in range(11))


def test_peaks_that_come_each_few_minutes_are_usual_and_one_that_came_once_is_not() -> None:
    peaks = Peaks()
    for minute in range(60):
        peaks = peaks.plus(200.0 if minute == 30 else 30.0 if minute % 5 == 0 else 2.0, seen(60 * minute))
    assert peaks.usual(at_us(3600), 3_600 * US_PER_S) == 30.0
    assert peaks.usual(at_us(3600), 86_400 * US_PER_S) == 30.0
    assert peaks.usual(at_us(2 * 3600), 86_400 * US_PER_S) == 0.0
    assert Peaks().usual(at_us(0), 0) == 0.0


def test_fields_of_one_record_count_little_besides_the_first() -> None:
    alone, many = Heat(), Heat()
    alone = alone.plus(alone.share(seen(0, "a")), seen(0, "a"))
    for i in range(6):
        s = seen(0, f"c{i}")
        many = many.plus(many.share(s), s)
    assert alone.value == pytest.approx(4.0)
    assert many.value == pytest.approx(8.0)
    assert many.at(at_us(10), 10_000_000) == pytest.approx(8.0 / 2.718, rel=0.01)


def test_a_single_record_opens_nothing_however_rare() -> None:
    run = Run()
    for second in range(0, 3600, 30):
        run.take([seen(second, score=1.0)], {"host": second + 1})
    assert run.opened == []


def test_a_series_that_stays_rare_opens_it_within_seconds() -> None:
    run = Run()
    opened = [bool(run.take([seen(second, score=1.0)]).opened) for second in range(8)]
    assert opened.index(True) == 5


def test_several_things_at_once_open_it_at_once_and_fields_of_one_record_do_not() -> None:
    assert Run().take([seen(0, "temp", device=device) for device in "abcdefg"]).opened == (1,)
    assert Run().take([seen(0, f"c{i}", device="a") for i in range(20)]).opened == ()


def test_three_records_of_what_is_measured_each_five_minutes_open_it() -> None:
    run, slow = Run(), Run()
    assert [bool(run.take([seen(300 * i, step_s=300.0, score=1.0)]).opened) for i in range(3)] == [False, False, True]
    assert [bool(slow.take([seen(7200 * i, step_s=300.0, score=1.0)]).opened) for i in range(3)] == [False] * 3


@pytest.mark.parametrize("chance", [1e-4, 1e-3, 1e-2])
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
        assert not run.opened or second >= 300
        assert run.opened or second < 303
    assert run.opened == [1]
