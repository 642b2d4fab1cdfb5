"""Latencies by workload and stage: windows, and what a restart keeps of them."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from appliance.clock import US_PER_S
from appliance.observe.histogram import Histogram, bucket_of, united, upper_ms
from appliance.observe.latencies import Latencies
from appliance.observe.tiers import KEYS_MAX, OTHERS

START = 1_700_000_000 * US_PER_S
MINUTE = 60 * US_PER_S
HOUR = 60 * MINUTE
KEY = ("hot", "evaluated")


def test_each_window_holds_what_was_noted_in_it_and_no_more() -> None:
    known = Latencies()
    known.note(*KEY, 1000.0, at_us=START)
    known.note(*KEY, 100.0, at_us=START + 2 * HOUR)
    known.note(*KEY, 10.0, at_us=START + 2 * HOUR + 10 * MINUTE)
    now_us = START + 2 * HOUR + 10 * MINUTE + US_PER_S
    assert {w: known.figures(w, now_us=now_us)[KEY].count for w in ("minute", "hour", "day")} == {"minute": 1, "hour": 2, "day": 3}
    assert known.figures("day", now_us=now_us)[KEY].max_ms == 1000.0
    assert KEY not in known.figures("day", now_us=START + 40 * HOUR)


@given(st.lists(st.tuples(st.integers(0, 30 * 3600), st.floats(0.001, 1e6)), max_size=40), st.integers(0, 5))
def test_a_restart_forgets_nothing_and_counts_nothing_twice(noted: list[tuple[int, float]], restarts: int) -> None:
    noted = sorted(noted)
    undisturbed, known, stored = Latencies(), Latencies(), []
    cuts = sorted(random.Random(restarts).sample(range(len(noted) + 1), min(restarts, len(noted))))
    for number, (at_s, ms) in enumerate(noted):
        at_us = START + at_s * US_PER_S
        undisturbed.note(*KEY, ms, at_us=at_us)
        if number in cuts:
            before = START + noted[number - 1][0] * US_PER_S
            stored += known.unsaved(before, is_last=True)
            known = Latencies()
            known.load(stored, now_us=at_us)
        known.note(*KEY, ms, at_us=at_us)
        stored += known.unsaved(at_us)
    now_us = START + (noted[-1][0] if noted else 0) * US_PER_S
    stored += known.unsaved(now_us, is_last=True)
    last = Latencies()
    last.load(stored, now_us=now_us)
    for window in ("hour", "day"):
        assert last.figures(window, now_us=now_us) == undisturbed.figures(window, now_us=now_us)


@given(st.lists(st.floats(0.0001, 1e7), min_size=1, max_size=200))
def test_percentiles_are_at_most_four_percent_too_high(values: list[float]) -> None:
    counts: dict[int, int] = {}
    for ms in values:
        counts[bucket_of(ms)] = counts.get(bucket_of(ms), 0) + 1
    half = len(values) // 2
    parts = united([Histogram.of(counts, max(values)), Histogram.of(counts, max(values))])
    assert parts.count == 2 * len(values)
    true = sorted(values)[max(0, -(-len(values) // 2) - 1)]
    assert min(true, upper_ms(0)) <= parts.percentile(0.5) <= max(true * 1.04, upper_ms(0)), half
    assert parts.percentile(1.0) == max(values) or max(values) > upper_ms(bucket_of(max(values)) - 1)


def test_more_workloads_than_there_is_room_for_are_counted_as_others() -> None:
    known = Latencies()
    for n in range(KEYS_MAX + 10):
        known.note(f"w{n}", "done", 1.0, at_us=START)
    found = known.figures("day", now_us=START)
    assert len(found) == KEYS_MAX + 1
    assert found[(OTHERS, "done")].count == 10


def test_a_clock_that_was_years_ahead_leaves_nothing_behind() -> None:
    known = Latencies()
    known.note(*KEY, 5.0, at_us=START + 9000 * HOUR)
    known.note(*KEY, 1.0, at_us=START)
    assert known.figures("day", now_us=START)[KEY].max_ms == 1.0
