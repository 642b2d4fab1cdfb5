from __future__ import annotations

import random

import pytest

from appliance.observe.latency import SLOT_NS, SLOTS, LatencyWindow
from appliance.observe.status import LatencyStatus

NOW = 10_000 * SLOT_NS


def test_nothing_added_is_unknown() -> None:
    assert LatencyWindow().status(at_ns=NOW) == LatencyStatus()


@pytest.mark.parametrize("ms", [0.0, 0.005, 0.01, 0.011, 1.0, 17.3, 999.0, 60_000.0])
def test_a_single_value_is_every_percentile(ms: float) -> None:
    window = LatencyWindow()
    window.add(ms, at_ns=NOW)
    found = window.status(at_ns=NOW)
    assert found.p50_ms == pytest.approx(ms, rel=0.04)
    assert found.p99_ms == pytest.approx(ms, rel=0.04)
    assert (found.max_ms, found.count) == (ms, 1)


def test_percentiles_are_near_those_of_the_sorted_list() -> None:
    rng = random.Random(3)
    window, values = LatencyWindow(), []
    for i in range(5000):
        values.append(rng.lognormvariate(2, 1.2))
        window.add(values[-1], at_ns=NOW + i * 1_000_000)
    found = window.status(at_ns=NOW + 5_000_000_000)
    values.sort()
    assert found.p50_ms is not None
    assert found.p99_ms is not None
    assert values[2499] <= found.p50_ms <= values[2499] * 1.04
    assert values[4949] <= found.p99_ms <= values[4949] * 1.04
    assert found.max_ms == values[-1]
    assert found.count == 5000


def test_a_count_stands_for_as_many_values() -> None:
    window = LatencyWindow()
    window.add(1.0, at_ns=NOW, count=99)
    window.add(500.0, at_ns=NOW)
    found = window.status(at_ns=NOW)
    assert found.p99_ms == pytest.approx(1.0, rel=0.04)
    assert (found.max_ms, found.count) == (500.0, 100)


def test_values_are_forgotten_after_a_minute() -> None:
    window = LatencyWindow()
    window.add(100.0, at_ns=NOW)
    window.add(1.0, at_ns=NOW + SLOT_NS)
    assert window.status(at_ns=NOW + (SLOTS - 1) * SLOT_NS).max_ms == 100.0
    assert window.status(at_ns=NOW + SLOTS * SLOT_NS).max_ms == 1.0
    assert window.status(at_ns=NOW + (SLOTS + 1) * SLOT_NS) == LatencyStatus()


def test_a_long_silence_forgets_everything() -> None:
    window = LatencyWindow()
    window.add(100.0, at_ns=NOW)
    window.add(1.0, at_ns=NOW + 1000 * SLOT_NS)
    assert window.status(at_ns=NOW + 1000 * SLOT_NS).count == 1


def test_a_value_from_a_moment_ago_is_counted_now() -> None:
    window = LatencyWindow()
    window.add(1.0, at_ns=NOW + SLOT_NS)
    window.add(2.0, at_ns=NOW + SLOT_NS - 5)
    assert window.status(at_ns=NOW + SLOT_NS).count == 2
