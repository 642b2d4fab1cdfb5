"""A session workload through the whole service: open, closed, corrected, over a restart, and in the lake after the roll."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.hooks import T0, rule_row, told, write
from tests.running import Running, wait_for

RULES = """
[alerts]
grace = "100ms"

[workload.visits]
kind = "session"
stream = "doors"
by = ["door"]
gap = "30s"
fields = { peak = "max(people)", mean = "avg(people)", n = "count(*)" }

[workload.unfit]
kind = "session"
stream = "doors"
gap = "30s"
fields = { peak = "max(persons)" }

[workload.crowd]
kind = "alert"
stream = "visits"
by = ["door"]
when = "peak > 50"
"""


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("sessions")
    with told(folder, RULES) as (running, _hook):
        yield running


def shown(running: Running, door: str) -> list[dict[str, Any]]:
    """What SQL shows of a door's sessions, the oldest first."""
    rows = running.query(
        'SELECT key, epoch_us(start) AS start, epoch_us("end") AS ended, records, is_open, duration_s, "values" FROM _sessions'
        " WHERE workload = 'visits' ORDER BY start"
    )
    return [
        {**r, "start": r["start"] / 1e6 - T0, "ended": r["ended"] / 1e6 - T0, "values": json.loads(r["values"])}
        for r in rows
        if json.loads(r["key"]) == {"door": door}
    ]


def _an_open_session_is_shown_at_once_and_goes_on(service: Running) -> None:
    write(service, "doors,door=a people=1 0", "doors,door=a people=5 10")
    wait_for(lambda: [(s["records"], s["is_open"]) for s in shown(service, "a")] == [(2, True)], what="the open session")
    write(service, "doors,door=a people=3 35")
    wait_for(lambda: [(s["records"], s["ended"]) for s in shown(service, "a")] == [(3, 35.0)], what="its third record")


def _a_gap_closes_it_into_its_own_stream_where_rules_see_it(service: Running) -> None:
    write(service, "doors,door=b people=60 40", "doors,door=b people=20 60")
    write(service, "doors,door=a people=2 100")
    closed = wait_for(lambda: [s for s in shown(service, "b") if not s["is_open"]], what="the end of b")
    assert [(s["start"], s["ended"], s["records"], s["duration_s"]) for s in closed] == [(40.0, 60.0, 2, 20.0)]
    assert closed[0]["values"] == {"peak": 60.0, "mean": 40.0, "n": 2}
    rows = service.query("SELECT door, peak, mean, n, records FROM visits ORDER BY ts")
    assert {(r["door"], r["peak"], r["n"]) for r in rows} == {("a", 5.0, 3), ("b", 60.0, 2)}
    wait_for(lambda: rule_row(service, "crowd")["firing"] == 1, what="the rule on sessions")


def _a_session_that_can_not_be_computed_is_no_obstacle(service: Running) -> None:
    assert service.query("SELECT count(*) AS n FROM _sessions WHERE workload = 'unfit'")[0]["n"] == 0
    assert [s for s in shown(service, "a") if s["is_open"]]


def _a_batch_that_is_sent_twice_counts_once(service: Running) -> None:
    for _ in range(2):
        write(service, "doors,door=c people=1 120", "doors,door=c people=2 121")
    write(service, "doors,door=c people=1 122")
    wait_for(lambda: shown(service, "c") and shown(service, "c")[-1]["ended"] == 122.0, what="the last record")
    assert [s["records"] for s in shown(service, "c")] == [3]


def _a_late_record_within_the_lateness_belongs_to_its_session(service: Running) -> None:
    write(service, "doors,door=d people=1 130", "doors,door=d people=1 131", "doors,door=d people=9 130.5")
    wait_for(lambda: [(s["records"], s["values"]["peak"]) for s in shown(service, "d")] == [(3, 9.0)], what="the late one")


def _open_sessions_go_on_after_a_kill(service: Running) -> None:
    before = [s for s in shown(service, "d") if s["is_open"]]
    assert before
    service.kill()
    service.start()
    write(service, "doors,door=d people=4 140")
    wait_for(lambda: [(s["start"], s["records"]) for s in shown(service, "d")] == [(130.0, 4)], what="the same session")


def _sessions_on_the_command_line(service: Running) -> None:
    found = json.loads(service.command("sessions", "visits", "--json").stdout)
    assert {json.loads(f["key"])["door"] for f in found} == {"a", "b", "c", "d"}
    assert [f["is_open"] for f in found] == sorted((f["is_open"] for f in found), reverse=True)
    assert "visits" in service.command("sessions").stdout


def _closed_sessions_are_in_the_lake_after_the_roll_and_each_is_there_once(service: Running) -> None:
    write(service, "doors,door=a people=0 1000")
    wait_for(lambda: not [s for door in "bcd" for s in shown(service, door) if s["is_open"]], what="all other sessions to close")
    assert service.stop() == 0
    text = service.config_file.read_text()
    service.config_file.write_text(f'{text}\n[roll]\nevery = "1s"\n')
    service.start()
    wait_for(lambda: service.query("SELECT count(*) AS n FROM _segments WHERE stream = 'visits'")[0]["n"] >= 1, what="the roll")
    rows = service.query("SELECT door, epoch_us(ts) AS start, records FROM visits ORDER BY ts, door")
    told_of = [(r["door"], r["start"] / 1e6 - T0, r["records"]) for r in rows]
    assert told_of == [("a", 0.0, 3), ("b", 40.0, 2), ("a", 100.0, 1), ("c", 120.0, 3), ("d", 130.0, 4)]


def test_a_day_of_sessions_through_the_whole_service(service: Running) -> None:
    """One story, each part of which goes on from the one before."""
    for part in (
        _an_open_session_is_shown_at_once_and_goes_on,
        _a_gap_closes_it_into_its_own_stream_where_rules_see_it,
        _a_session_that_can_not_be_computed_is_no_obstacle,
        _a_batch_that_is_sent_twice_counts_once,
        _a_late_record_within_the_lateness_belongs_to_its_session,
        _open_sessions_go_on_after_a_kill,
        _sessions_on_the_command_line,
        _closed_sessions_are_in_the_lake_after_the_roll_and_each_is_there_once,
    ):
        part(service)
