"""Input that is not as a rule expects it, through the whole service: said with the rule or skipped, and never in the way of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.hooks import firing, rule_row, steps, stretches, told, wait_phase, write
from tests.running import Running, wait_for

RULES = """
[alerts]
grace = "100ms"
keys_max = 5

[workload.typo]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temprature > 80"

[workload.later]
kind = "alert"
stream = "readings"
by = ["device"]
when = "humidity > 80"

[workload.text]
kind = "alert"
stream = "readings"
by = ["device"]
when = "state > 80"

[workload.key]
kind = "alert"
stream = "readings"
by = ["devise"]
when = "temperature > 80"

[workload.divided]
kind = "alert"
stream = "readings"
by = ["device"]
when = "temperature / load > 10"

[workload.empty]
kind = "alert"
stream = "readings"
by = ["device"]
over = "10s"
when = "avg(load) > 5 or stddev(load) > 1000"

[workload.few]
kind = "alert"
stream = "readings"
by = ["device"]
over = "10s"
when = "count(*) = 0"
nodata = "1h"

[workload.elsewhere]
kind = "alert"
stream = "others"
when = "x > 1"
notify = ["ops"]

[workload.crowded]
kind = "alert"
stream = "crowd"
by = ["device"]
when = "x > 1"
"""


STRETCHES = stretches()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("bad_input")
    with told(folder, RULES) as (running, _hook):
        write(running, 'readings,device=d0 temperature=20,load=1,state="on" 0')
        yield running


@pytest.fixture
def after() -> int:
    """A stretch of event time for this test alone, so that any order will do."""
    return next(STRETCHES)


def wait_state(running: Running, rule: str, state: str) -> dict[str, Any]:
    found: dict[str, Any] = wait_for(lambda: (r := rule_row(running, rule))["state"] == state and r, what=f"{rule} {state}")
    return found


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("typo", ["column 1", "did you mean temperature"]),
        ("text", ["column 9", "state is a text and 80 is a number"]),
        ("key", ["devise"]),
    ],
)
def test_a_rule_that_does_not_fit_the_columns_says_so_and_stops_no_other(service: Running, rule: str, words: list[str]) -> None:
    reason = wait_state(service, rule, "error")["reason"]
    for word in words:
        assert word in reason
    assert wait_state(service, "divided", "ok")


def test_a_rule_whose_column_is_not_there_says_so_and_fires_once_it_has_come(service: Running, after: int) -> None:
    reason = wait_state(service, "later", "error")["reason"]
    assert "column 1" in reason
    assert "there is no column humidity" in reason
    write(service, "readings,device=d1 humidity=90 1", after=after)
    assert wait_phase(service, "firing", rule="later")["values"] == {"humidity": 90.0}
    assert rule_row(service, "later")["state"] == "ok"


def test_division_by_zero_and_what_is_no_number_say_nothing(service: Running, after: int) -> None:
    write(service, "readings,device=d2 temperature=50,load=0 10", "readings,device=d2 temperature=5 11", after=after)
    write(service, "readings,device=d2 temperature=50,load=1 12", after=after)
    assert wait_phase(service, "firing", device="d2", rule="divided")["values"] == {"temperature": 50.0, "load": 1.0}
    assert [s["new"] for s in steps(service, "divided", "d2")] == ["firing"]
    write(service, "readings,device=d2 temperature=50,load=0 13", "readings,device=d2 temperature=5,load=5 14", after=after)
    wait_for(lambda: len(steps(service, "divided", "d2")) == 2, what="the end")
    assert steps(service, "divided", "d2")[-1]["seq"] == steps(service, "divided", "d2")[0]["seq"] + 2


def test_an_empty_window_counts_nothing_and_its_other_values_are_not_known(service: Running, after: int) -> None:
    write(service, "readings,device=d3 load=9 20", "readings,device=d3 load=9 21", after=after)
    wait_phase(service, "firing", device="d3", rule="empty")
    write(service, "readings,device=d4 load=1 60", after=after)  # the window of d3 is empty now
    found = wait_phase(service, "firing", device="d3", rule="few")
    assert found["values"] == {"count(*)": 0}
    assert [s["new"] for s in steps(service, "empty", "d3")] == ["firing"], "an empty window is no end"


def test_a_rule_on_a_stream_that_is_not_there_waits_for_it_and_fires(service: Running) -> None:
    assert rule_row(service, "elsewhere")["state"] == "waiting"
    write(service, "others x=5 0")
    wait_for(lambda: firing(service, "elsewhere"), what="it to fire")
    assert rule_row(service, "elsewhere")["state"] == "ok"


def test_keys_above_the_limit_are_counted_and_said_and_the_others_looked_at(service: Running) -> None:
    write(service, *(f"crowd,device=k{i} x=0 {i}" for i in range(8)))
    found = wait_for(lambda: (r := rule_row(service, "crowded"))["keys_over"] == 3 and r, what="the count")
    assert found["keys"] == 5
    assert "keys_max" in found["reason"]
    write(service, "crowd,device=k4 x=5 10", "crowd,device=k7 x=5 10")
    wait_phase(service, "firing", device="k4", rule="crowded")
    assert [a["key"]["device"] for a in firing(service, "crowded")] == ["k4"]
