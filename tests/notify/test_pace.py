"""How soon again, and how often."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.notify.pace import BACKOFF_S_MAX, BACKOFF_S_MIN, MINUTE_NS, Rate, backoff_s


@given(attempts=st.integers(1, 10_000), seed=st.integers())
def test_backoff_lies_between_nothing_and_twice_as_much_each_time(attempts: int, seed: int) -> None:
    seconds = backoff_s(attempts, Random(seed))
    assert BACKOFF_S_MIN <= seconds <= min(BACKOFF_S_MAX, 2.0 ** min(attempts - 1, 60))


def test_backoff_has_full_jitter() -> None:
    random = Random(7)
    found = [backoff_s(20, random) for _ in range(500)]
    assert min(found) < 0.05 * BACKOFF_S_MAX
    assert max(found) > 0.95 * BACKOFF_S_MAX


def test_the_same_seed_gives_the_same_times() -> None:
    assert [backoff_s(n, Random(3)) for n in range(1, 9)] == [backoff_s(n, Random(3)) for n in range(1, 9)]


@given(steps=st.lists(st.integers(0, 30_000_000_000), max_size=60), rate_max=st.integers(1, 7))
def test_no_minute_has_more_than_the_rate(steps: list[int], rate_max: int) -> None:
    rate = Rate(rate_max)
    now, gone = 0, []
    for step in steps:
        now = max(now + step, 0)
        now = max(now, rate.free_ns(now))
        rate.use(now)
        gone.append(now)
    for start in gone:
        assert sum(start <= one < start + MINUTE_NS for one in gone) <= rate_max


@pytest.mark.parametrize("new", [2, 5])
def test_a_rate_can_be_changed_on_the_way(new: int) -> None:
    rate = Rate(3)
    for second in range(3):
        rate.use(second)
    rate.rate_max = new
    free = rate.free_ns(10)
    assert free == (10 if new > 3 else 1 + MINUTE_NS)
