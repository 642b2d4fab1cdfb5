from __future__ import annotations

import random

from appliance.observe.rates import HISTORY_S, RATE_S, RateHistory, rate_of

S = 1_000_000_000
NOW = 5_000 * S


def test_nothing_added_is_a_flat_line() -> None:
    assert RateHistory().history("a", at_ns=NOW) == (0,) * HISTORY_S


def test_the_second_under_way_is_not_in_it() -> None:
    rates = RateHistory()
    rates.add("a", 7, at_ns=NOW)
    assert sum(rates.history("a", at_ns=NOW + S - 1)) == 0
    assert rates.history("a", at_ns=NOW + S) == (*([0] * (HISTORY_S - 1)), 7)


def test_every_whole_second_of_the_window_is_there_while_new_ones_come() -> None:
    rates = RateHistory()
    counted: dict[int, int] = {}
    rng = random.Random(1)
    for second in range(4000, 4500):
        for _ in range(3):
            count = rng.randrange(5)
            rates.add("a", count, at_ns=second * S + rng.randrange(S))
            counted[second] = counted.get(second, 0) + count
        expected = tuple(counted.get(s, 0) for s in range(second - HISTORY_S, second))
        assert rates.history("a", at_ns=second * S + S - 1) == expected


def test_a_silence_is_zeros() -> None:
    rates = RateHistory()
    rates.add("a", 9, at_ns=NOW)
    later = NOW + (HISTORY_S + 5) * S
    assert rates.history("a", at_ns=later) == (0,) * HISTORY_S
    rates.add("a", 1, at_ns=later)
    assert sum(rates.history("a", at_ns=later + S)) == 1


def test_keys_stay_apart() -> None:
    rates = RateHistory()
    rates.add("a", 1, at_ns=NOW)
    rates.add("b", 2, at_ns=NOW)
    assert [rates.history(k, at_ns=NOW + S)[-1] for k in ("a", "b", "c")] == [1, 2, 0]


def test_a_rate_is_the_mean_of_the_newest_seconds() -> None:
    assert rate_of((100, *[0] * RATE_S)) == 0
    assert rate_of((*[0] * 50, *range(RATE_S))) == sum(range(RATE_S)) / RATE_S
    assert rate_of(()) == 0
