"""The built-in analysis of a real service: it scores what comes, says what that takes and costs, and goes on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running, wait_for

T0 = 1_760_000_000_000_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path / "data", sources="source = []\n", module=("tests.metering.quick", "run"))
    try:
        yield found.start()
    finally:
        if found.is_up:
            found.stop()


def write(service: Running, first: int, count: int, *, more: int = 0) -> None:
    lines = "\n".join(f"readings,device=d{n % 3} value={n % 7 + more} {T0 + n * 1_000_000}" for n in range(first, first + count))
    assert service.write(lines) == 204


def incidents(service: Running) -> list[dict[str, Any]]:
    status, body = service.request("GET", "/api/analysis")
    assert status == 200
    found: list[dict[str, Any]] = json.loads(body)["incidents"]
    return found


def scored(service: Running) -> int:
    """Records, by what it says that it has cost."""
    status, body = service.request("GET", "/api/cost?since=1h")
    assert status == 200
    rows: list[dict[str, Any]] = json.loads(body)["rows"]
    return sum(r["rows"] for r in rows if (r["workload"], r["path"]) == ("watch", "hybrid"))


def each_record_is_scored_and_what_that_takes_and_costs_is_measured(service: Running) -> None:
    write(service, 0, 300)
    wait_for(lambda: scored(service) == 300, what="all records to be scored")
    status, body = service.request("GET", "/api/latency")
    assert status == 200
    found = {(r["workload"], r["stage"], r["window"]): r for r in json.loads(body)["rows"]}
    assert found["watch", "scored", "hour"]["count"] == 300


def after_a_kill_every_record_since_the_last_place_is_scored_again(service: Running) -> None:
    service.kill()
    service.start()
    write(service, 300, 30)
    kept = (0, 300)  # what was noted before the kill may not have been stored
    wait_for(lambda: scored(service) - 330 in kept, what="the records from before the kill to be scored again, and the new ones")


def what_is_unusual_is_an_incident_with_a_summary_and_after_a_kill_it_is_that_one(service: Running) -> None:
    write(service, 330, 60, more=5_000)
    (before,) = wait_for(lambda: incidents(service), what="an incident")
    assert (before["state"], before["streams"], before["workload"]) == ("open", ["readings"], "watch")
    assert "value" in before["summary"]
    known = scored(service)
    service.kill()
    service.start()
    write(service, 390, 30, more=5_000)
    wait_for(lambda: scored(service) in (known + 420, 420), what="all records to be scored again")
    (after,) = incidents(service)
    assert (after["id"], after["since_us"]) == (before["id"], before["since_us"])
    learning = json.loads(service.request("GET", "/api/analysis")[1])["learning"]
    assert [(r["stream"], r["series"], r["passed_over"]) for r in learning] == [("readings", 3, 0)]


def test_records_are_scored_and_an_incident_stays_that_one_through_kills(service: Running) -> None:
    each_record_is_scored_and_what_that_takes_and_costs_is_measured(service)
    after_a_kill_every_record_since_the_last_place_is_scored_again(service)
    what_is_unusual_is_an_incident_with_a_summary_and_after_a_kill_it_is_that_one(service)
