"""The ladder as a table: what is asked for, when, and where the box stands then."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import RetryLater
from appliance.observe.ladder import AGAIN_S, Ladder, LadderStatus, Pace, Pressure, Standing, Step, calm_s, next_standing
from appliance.observe.pressure import DISK_TIMES, LATE_S, MEMORY_STALLS, Readings, pressures_of
from appliance.units import GIB, MIB
from tests.clock import NOON_US

PACE = Pace(down_s=2, calm_s=10, relapse_s=300, calm_s_max=60)
AT_NS = 1_000_000_000_000


def asks(wanted: int, kept: int | None = None, kind: str = "memory") -> Pressure:
    return Pressure(kind, Step(wanted), Step(max(wanted, wanted if kept is None else kept)), f"{kind} asks for {wanted}")


def history(asked: Sequence[tuple[float, int, int]], now: Standing | None = None) -> list[int]:
    """The step after each look; ``asked`` are (seconds from the start, wanted, kept)."""
    now, found = now or Standing(), []
    for at_s, wanted, kept in asked:
        now = next_standing(
            now, [asks(wanted, kept), asks(0, kind="disk")], now_ns=AT_NS + round(at_s * 1e9), now_us=NOON_US + round(at_s * 1e6), pace=PACE
        )
        found.append(int(now.step))
    return found


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        pytest.param([(0, 0, 0), (100, 0, 0)], [0, 0], id="nothing is asked for"),
        pytest.param([(0, 1, 1), (1.9, 1, 1), (2, 1, 1)], [0, 0, 1], id="only what lasts counts"),
        pytest.param([(0, 1, 1), (1, 0, 0), (2, 1, 1), (3, 1, 1)], [0, 0, 0, 0], id="a moment's relief begins it anew"),
        pytest.param([(0, 4, 4), (2, 4, 4), (4, 4, 4), (6, 4, 4), (8, 4, 4)], [0, 1, 2, 3, 4], id="one step at a time"),
        pytest.param([(0, 2, 2), (2, 2, 2), (4, 2, 2), (60, 2, 2)], [0, 1, 2, 2], id="no further than is asked for"),
        pytest.param([(0, 4, 4), (9, 4, 4), (9.1, 4, 4)], [0, 1, 1], id="a long pause between looks is one look"),
        pytest.param([(0, 1, 1), (2, 1, 1), (3, 0, 0), (12.9, 0, 0), (13, 0, 0)], [0, 1, 1, 1, 0], id="up after a while without it"),
        pytest.param([(0, 1, 1), (2, 1, 1), (3, 0, 1), (99, 0, 1)], [0, 1, 1, 1], id="within the margin nothing moves"),
        pytest.param(
            [(0, 1, 1), (2, 1, 1), (3, 0, 0), (9, 1, 1), (13, 0, 0), (22, 0, 0), (23, 0, 0)], [0, 1, 1, 1, 1, 1, 0], id="calm begins anew"
        ),
        pytest.param(
            [(0, 2, 2), (2, 2, 2), (4, 2, 2), (5, 0, 0), (15, 0, 0), (24, 0, 0), (25, 0, 0)], [0, 1, 2, 2, 1, 1, 0], id="up one by one"
        ),
        pytest.param([(0, 3, 3), (2, 3, 3), (4, 3, 3), (5, 0, 1), (15, 0, 1), (99, 0, 1)], [0, 1, 2, 2, 1, 1], id="up as far as it may"),
    ],
)
def test_the_steps(asked: list[tuple[float, int, int]], steps: list[int]) -> None:
    assert history(asked) == steps


def test_going_down_again_soon_after_going_up_makes_the_next_wait_longer() -> None:
    now, waits = Standing(), []
    clock_s = itertools.count(0, 1)
    for _ in range(5):
        while now.step < 1:
            now = next_standing(now, [asks(1)], now_ns=AT_NS + next(clock_s) * 10**9, now_us=NOON_US, pace=PACE)
        waits.append(calm_s(now, PACE))
        while now.step:
            now = next_standing(now, [asks(0)], now_ns=AT_NS + next(clock_s) * 10**9, now_us=NOON_US, pace=PACE)
    assert waits == [10, 20, 40, 60, 60]
    later_ns = AT_NS + (next(clock_s) + 400) * 10**9
    for at_ns in (later_ns, later_ns + 2 * 10**9):
        now = next_standing(now, [asks(1)], now_ns=at_ns, now_us=NOON_US, pace=PACE)
    assert (now.step, calm_s(now, PACE)) == (1, 10)


def test_the_reason_is_that_of_the_worst_and_stays_while_it_stands_there() -> None:
    now = Standing()
    for at_s in (0, 2, 4):
        now = next_standing(now, [asks(1), asks(2, kind="cpu")], now_ns=AT_NS + at_s * 10**9, now_us=NOON_US + at_s * 10**6, pace=PACE)
    assert (now.step, now.kind, now.why, now.since_us) == (2, "cpu", "cpu asks for 2", NOON_US + 4 * 10**6)
    after = next_standing(now, [asks(0, 2), asks(0, kind="cpu")], now_ns=AT_NS + 9 * 10**9, now_us=NOON_US, pace=PACE)
    assert (after.why, after.since_us) == (now.why, now.since_us)


@given(st.lists(st.tuples(st.floats(0.1, 30), st.integers(0, 4), st.integers(0, 4)), max_size=60))
def test_it_moves_one_step_at_most_never_against_what_is_asked_and_is_normal_again_in_the_end(asked: list[tuple[float, int, int]]) -> None:
    now, at_ns = Standing(), AT_NS
    for pause_s, wanted, margin in asked:
        at_ns += round(pause_s * 1e9)
        kept = max(wanted, margin)
        then = next_standing(now, [asks(wanted, kept)], now_ns=at_ns, now_us=NOON_US, pace=PACE)
        assert abs(then.step - now.step) <= 1
        assert then.step <= max(now.step, wanted)
        assert then.step >= min(now.step, kept)
        now = then
    for _ in range(60):
        at_ns += 10 * 10**9
        now = next_standing(now, [asks(0)], now_ns=at_ns, now_us=NOON_US, pace=PACE)
    assert now.step == Step.NORMAL


# --- what asks for which step


def wanted(readings: Readings) -> dict[str, tuple[int, int]]:
    return {p.kind: (int(p.wanted), int(p.kept)) for p in pressures_of(readings)}


@pytest.mark.parametrize(
    ("free", "whole", "expected"),
    [
        (16 * GIB, 24 * GIB, (0, 0)),
        (1 * GIB, 24 * GIB, (0, 0)),
        (600 * MIB, 24 * GIB, (0, 1)),
        (500 * MIB, 24 * GIB, (1, 2)),
        (100 * MIB, 24 * GIB, (4, 4)),
        (300 * MIB, 1024 * MIB, (0, 0)),
        (200 * MIB, 1024 * MIB, (0, 1)),
        (150 * MIB, 1024 * MIB, (1, 2)),
        (100 * MIB, 1024 * MIB, (2, 2)),
        (60 * MIB, 1024 * MIB, (3, 3)),
        (30 * MIB, 1024 * MIB, (4, 4)),
        (0, 1024 * MIB, (4, 4)),
    ],
)
def test_memory_by_what_the_machine_has_left(free: int, whole: int, expected: tuple[int, int]) -> None:
    assert wanted(Readings(memory_free_bytes=free, memory_bytes=whole)) == {"memory": expected, "disk": (0, 0), "cpu": (0, 0)}
    own = Readings(rss_bytes=whole - free, rss_bytes_max=whole)
    assert wanted(own)["memory"] == expected


@pytest.mark.parametrize(("step", "stall"), [(0, 19.9), *((n + 1, line) for n, line in enumerate(MEMORY_STALLS))])
def test_memory_by_what_waits_for_it(step: int, stall: float) -> None:
    assert wanted(Readings(memory_stall=stall))["memory"][0] == step


@pytest.mark.parametrize(("step", "times"), [(0, DISK_TIMES[0]), *((n + 1, line - 0.01) for n, line in enumerate(DISK_TIMES))])
def test_the_disk_by_what_is_kept_back(step: int, times: float) -> None:
    readings = Readings(disk_free_bytes=round(times * 64 * MIB), disk_free_min=64 * MIB)
    assert wanted(readings)["disk"][0] == step
    assert wanted(readings)["disk"][1] >= step


@pytest.mark.parametrize("name", ["writer_s", "rules_s"])
@pytest.mark.parametrize(("step", "late_s"), [(0, 0.9), *((n + 1, line) for n, line in enumerate(LATE_S))])
def test_the_processor_by_how_late_records_are_and_half_of_it_where_it_is_busy(name: str, step: int, late_s: float) -> None:
    assert wanted(Readings(**{name: late_s}))["cpu"][0] == step  # type: ignore[arg-type]
    assert wanted(Readings(**{name: late_s / 2, "cpu_stall": 50.0}))["cpu"][0] == step  # type: ignore[arg-type]


def test_a_busy_processor_alone_is_no_pressure() -> None:
    assert wanted(Readings(cpu_stall=100.0))["cpu"] == (0, 0)


def test_what_is_refused_says_why_and_when_to_ask_again() -> None:
    ladder = Ladder()
    ladder.check(Step.BATCH_PAUSED, "queries are not answered")
    assert ladder.status == LadderStatus()
    ladder.standing = Standing(step=Step.VIEWS_LIVE, since_us=NOON_US, kind="disk", why="the disk has 3 MiB left")
    ladder.check(Step.RECORDS_AND_ALERTS, "queries are not answered")
    with pytest.raises(RetryLater, match=r"charts are not drawn now: .*because the disk has 3 MiB left") as refused:
        ladder.check(Step.ANALYSIS_SHED, "charts are not drawn")
    assert refused.value.after_s == AGAIN_S
    assert ladder.status == LadderStatus(
        step=3, name="views answered live only", since_us=NOON_US, kind="disk", why="the disk has 3 MiB left"
    )
