"""What workloads cost: sums over any time, and what a restart keeps of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.clock import US_PER_S
from appliance.observe.costs import Costs, Spent, total

START = 1_700_000_000 * US_PER_S
HOUR = 3600 * US_PER_S
KEY = ("daily", "cold")


def test_what_is_spent_adds_up_and_memory_is_the_most_at_once() -> None:
    assert Spent(1.0, 10, 5, 3, 70, 1, 1) + Spent(0.5, 1, 2, 3, 50, 0, 1) == Spent(1.5, 11, 7, 6, 70, 1, 2)
    assert total([]) == Spent()


def test_the_same_workload_on_two_paths_is_told_apart() -> None:
    costs = Costs()
    costs.note("daily", "cold", Spent(cpu_s=2.0), at_us=START)
    costs.note("daily", "hot", Spent(cpu_s=1.0), at_us=START)
    assert costs.spent(since_us=START, now_us=START) == {("daily", "cold"): Spent(2.0), ("daily", "hot"): Spent(1.0)}


@given(st.lists(st.tuples(st.integers(0, 30 * 24 * 3600), st.integers(1, 100), st.booleans()), min_size=1, max_size=40))
def test_a_restart_forgets_nothing_and_counts_nothing_twice(noted: list[tuple[int, int, bool]]) -> None:
    noted.sort()
    undisturbed, known, stored = Costs(), Costs(), []
    for at_s, read, is_restart in noted:
        at_us = START + at_s * US_PER_S
        undisturbed.note(*KEY, Spent(read=read, runs=1), at_us=at_us)  # type: ignore[arg-type]
        known.note(*KEY, Spent(read=read, runs=1), at_us=at_us)  # type: ignore[arg-type]
        stored += known.unsaved(at_us, is_last=is_restart)
        if is_restart:
            known = Costs()
            known.load(stored, now_us=at_us)
    now_us = START + noted[-1][0] * US_PER_S
    for since_us in (now_us - HOUR, now_us - 24 * HOUR, START):
        assert known.spent(since_us=since_us, now_us=now_us) == undisturbed.spent(since_us=since_us, now_us=now_us)


def test_a_month_is_added_up_from_its_days() -> None:
    costs = Costs()
    for day in range(30):
        costs.note(*KEY, Spent(read=1), at_us=START + day * 24 * HOUR)  # type: ignore[arg-type]
    now_us = START + 29 * 24 * HOUR
    assert costs.spent(since_us=START, now_us=now_us)[KEY].read == 30
    assert costs.spent(since_us=now_us - 6 * 24 * HOUR, now_us=now_us)[KEY].read == 7
