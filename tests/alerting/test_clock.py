"""The clock of the box steps either way, while alerts are pending, fire, are silenced and are told; devices keep the right time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.clock import US_PER_S
from tests.alerting.hooks import Hook, alerts, firing, post, steps
from tests.alerting.hooks_clock import with_clock
from tests.clock import FakeClock
from tests.running import Running, wait_for

RULES = """
[alerts]
grace = "0s"

[workload.hot]
kind = "alert"
stream = "readings"
by = ["device"]
when = "t > 80"
nodata = "10min"
repeat = "1h"
group_wait = "200ms"
notify = ["ops"]

[workload.window]
kind = "alert"
stream = "readings"
by = ["device"]
over = "10s"
when = "avg(t) > 80"
for = "5s"
nodata = "10min"

[workload.absent]
kind = "alert"
stream = "readings"
by = ["device"]
absent = "5min"
"""
HOUR_S = 3_600
DAY_S = 86_400


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def send(running: Running, clock_us: int, *values: tuple[str, float]) -> None:
    lines = "\n".join(f"readings,device={device} t={value} {clock_us}" for device, value in values)
    assert running.write(lines) == 204


def fires(running: Running, rule: str, device: str) -> bool:
    return device in {a["key"]["device"] for a in firing(running, rule)}


@pytest.mark.parametrize("step_s", [-2 * HOUR_S, 30 * DAY_S])
def test_a_step_of_the_boxs_clock_keeps_nothing_from_firing_and_makes_up_nothing(tmp_path: Path, hook: Hook, step_s: int) -> None:
    clock = FakeClock()
    true_us = clock.now
    with with_clock(tmp_path, RULES, clock, hook) as running:
        send(running, true_us, ("a", 20.0), ("b", 20.0))
        wait_for(lambda: running.query("SELECT count(*) AS n FROM readings")[0]["n"] == 2, what="both")
        clock.now += step_s * US_PER_S
        clock.pass_s(10)
        send(running, true_us + 10 * US_PER_S, ("a", 90.0), ("b", 20.0))
        wait_for(lambda: fires(running, "hot", "a"), what="the fire")
        clock.pass_s(10)
        send(running, true_us + 20 * US_PER_S, ("a", 90.0), ("b", 20.0))
        wait_for(lambda: fires(running, "window", "a"), what="the fire of the window")
        wait_for(lambda: hook.items == [("firing", "a")], what="the message")
        assert {(a["rule"], a["key"]["device"]) for a in alerts(running)} == {("hot", "a"), ("window", "a")}
        clock.now -= step_s * US_PER_S  # and it is set right
        clock.pass_s(10)
        send(running, true_us + 30 * US_PER_S, ("a", 20.0), ("b", 20.0))
        wait_for(lambda: not alerts(running), what="the end")
        clock.pass_s(5)
        wait_for(lambda: hook.items == [("firing", "a"), ("resolved", "a")], what="one message about the end")
        assert steps(running, "absent") == []


def test_silence_goes_by_the_clock_that_no_step_moves(tmp_path: Path, hook: Hook) -> None:
    clock = FakeClock()
    with with_clock(tmp_path, RULES, clock, hook) as running:
        send(running, clock.now, ("a", 20.0))
        wait_for(lambda: running.query("SELECT count(*) AS n FROM readings")[0]["n"] == 1, what="the record")
        clock.now -= DAY_S * US_PER_S
        clock.pass_s(400)
        wait_for(lambda: fires(running, "absent", "a"), what="the silence")
        assert steps(running, "hot") == []
        clock.pass_s(300)
        wait_for(lambda: [s["new"] for s in steps(running, "hot")] == ["nodata"], what="that nothing is known")


def test_repeats_neither_stop_nor_storm_when_the_clock_steps(tmp_path: Path, hook: Hook) -> None:
    clock = FakeClock()
    with with_clock(tmp_path, RULES, clock, hook) as running:
        send(running, clock.now, ("a", 90.0))
        wait_for(lambda: fires(running, "hot", "a"), what="the fire")
        clock.pass_s(3)
        wait_for(lambda: len(hook.items) == 1, what="the message")
        clock.now += 10 * DAY_S * US_PER_S
        wait_for(lambda: len(clock_moves(clock, 3, hook)) == 2, what="one repeat")
        clock.now -= 20 * DAY_S * US_PER_S
        wait_for(lambda: len(clock_moves(clock, 3, hook)) >= 3, what="a repeat after the step back")
        assert len(hook.items) <= 4
        clock.pass_s(HOUR_S + 10)
        before = len(hook.items)
        wait_for(lambda: len(clock_moves(clock, 3, hook)) > before, what="the next in time")
        assert len(set(hook.keys)) == len(hook.keys)


def clock_moves(clock: FakeClock, seconds: float, hook: Hook) -> list[tuple[str, str]]:
    """What the hook was told, a little later."""
    clock.pass_s(seconds / 10)
    return hook.items


def test_a_silence_that_was_made_before_the_clock_was_set_back_holds_as_long_as_it_says(tmp_path: Path, hook: Hook) -> None:
    clock = FakeClock()
    with with_clock(tmp_path, RULES, clock, hook) as running:
        made = post(running, "silence", {"matchers": ["device=a"], "until": "1h", "author": "x", "comment": "y"})
        send(running, clock.now, ("a", 90.0))
        wait_for(lambda: fires(running, "hot", "a"), what="the fire")
        clock.pass_s(HOUR_S + 5)
        wait_for(lambda: hook.items or clock_moves(clock, 1, hook), what="the message when it is over")
        assert made["until_us"] < clock.now


@pytest.mark.parametrize("step_s", [-30 * DAY_S, 30 * DAY_S])
def test_a_start_with_a_wrong_clock_that_is_set_right_later(tmp_path: Path, hook: Hook, step_s: int) -> None:
    clock = FakeClock()
    true_us = clock.now
    with with_clock(tmp_path, RULES, clock, hook) as running:
        send(running, true_us, ("a", 20.0), ("b", 20.0))
        wait_for(lambda: running.query("SELECT count(*) AS n FROM readings")[0]["n"] == 2, what="both")
    clock.now += step_s * US_PER_S
    clock.pass_s(10)
    with with_clock(tmp_path, RULES, clock, hook) as running:
        send(running, true_us + 10 * US_PER_S, ("a", 90.0), ("b", 20.0))
        wait_for(lambda: fires(running, "hot", "a"), what="the fire")
        clock.now -= step_s * US_PER_S
        clock.pass_s(10)
        send(running, true_us + 20 * US_PER_S, ("a", 90.0), ("b", 20.0))
        wait_for(lambda: fires(running, "window", "a"), what="the fire of the window")
        clock.pass_s(10)
        send(running, true_us + 30 * US_PER_S, ("a", 20.0), ("b", 20.0))
        wait_for(lambda: not firing(running, "hot") and not firing(running, "window"), what="the end")
        wait_for(lambda: not firing(running, "absent"), what="nothing absent")
