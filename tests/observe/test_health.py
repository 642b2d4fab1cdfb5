"""One model of health: what each surface says follows from the same reasons."""

from __future__ import annotations

import msgspec
import pytest

from appliance.observe.health import COLUMNS, checks, health_of, ladder_problem, level_of, rows, sorted_problems, status_line
from appliance.observe.ladder import Ladder, Standing, Step
from appliance.observe.status import Problem
from tests.clock import NOON_US, FakeClock
from tests.tui.fake import FakeClient

WARN = Problem("WARN", "a little", NOON_US, "wait")
OLD = Problem("WARN", "for long", NOON_US - 10, "wait")
CRIT = Problem("CRIT", "a lot", NOON_US + 5, "run")


@pytest.mark.parametrize(
    ("problems", "level", "line", "said"),
    [
        ((), "OK", "OK", "OK, 0 records/s, 0 streams"),
        ((WARN,), "WARN", "WARN: a little", "WARN, 0 records/s, 0 streams; a little"),
        ((WARN, CRIT), "CRIT", "CRIT: a lot (and 1 more)", "CRIT, 0 records/s, 0 streams; a lot (and 1 more)"),
        ((WARN, CRIT, OLD), "CRIT", "CRIT: a lot (and 2 more)", "CRIT, 0 records/s, 0 streams; a lot (and 2 more)"),
    ],
)
def test_every_surface_says_the_same(problems: tuple[Problem, ...], level: str, line: str, said: str) -> None:
    picture = FakeClient(FakeClock(), problems=problems).status()
    picture = msgspec.structs.replace(picture, rate=0.0, streams=())
    found = health_of(picture)
    assert (found.level, found.line, status_line(picture)) == (level, line, said)
    assert level_of(problems) == picture.health == level
    assert [c["message"] for c in checks(found)] == [p.what for p in found.reasons]
    table = rows(found)
    assert all(len(row) == len(COLUMNS) for row in table)
    assert table[0][:2] == ("box", level)
    assert [row[1:3] for row in table[1:]] == [(p.level, p.what) for p in found.reasons]


def test_the_worst_comes_first_then_the_oldest() -> None:
    assert sorted_problems((WARN, CRIT, OLD)) == (CRIT, OLD, WARN)


@pytest.mark.parametrize(("step", "level"), [(0, []), (1, ["WARN"]), (2, ["WARN"]), (3, ["WARN"]), (4, ["CRIT"])])
def test_each_step_of_the_ladder_is_a_reason(step: int, level: list[str]) -> None:
    ladder = Ladder()
    ladder.standing = Standing(step=Step(step), since_us=NOON_US, kind="disk", why="the disk has 3 MiB left")
    found = ladder_problem(ladder.status)
    assert [p.level for p in found] == level
    assert all(p.since_us == NOON_US and p.what.endswith(f"{Step(step).words}, because the disk has 3 MiB left") for p in found)
