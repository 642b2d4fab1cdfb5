"""Rules of free SQL, and rules that compare with history, through the whole service."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from appliance.clock import US_PER_S, SystemClock
from tests.alerting.hooks import T0, Hook, alerts, firing, reload, rule_row, steps, told, wait_phase, write
from tests.running import Running, wait_for

SQL = """
[alerts]
grace = "100ms"
sql_time_max = "60s"

[workload.apart]
kind = "alert"
sql = "SELECT device, max(x) - min(x) AS apart, count(*) AS n FROM pairs GROUP BY device HAVING max(x) - min(x) > 10"
by = ["device"]
every = "1s"
severity = "critical"
notify = ["ops"]

[workload.broken]
kind = "alert"
sql = "SELECT device FROM not_there_yet WHERE x > 5"
by = ["device"]

[workload.keyless]
kind = "alert"
sql = "SELECT max(x) AS top FROM pairs HAVING max(x) > 1000"
by = ["device"]
"""
WEEK_S = 7 * 86_400


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Hook]]:
    folder: Path = tmp_path_factory.mktemp("asked")
    with told(folder, SQL) as (running, hook):
        write(running, "pairs,device=p1 x=1 0", "pairs,device=p2 x=1 0")
        yield running, hook


def wait_error(running: Running, rule: str, *words: str) -> None:
    """Until the rule is said to be wrong in these words; a query that took too long, as on a busy machine, is asked again."""

    def is_said() -> bool:
        row = rule_row(running, rule)
        return row["state"] == "error" and all(word in row["reason"] for word in words)

    wait_for(is_said, what=f"the error of {rule}")


def test_rows_of_a_query_fire_go_on_over_a_restart_and_an_error_and_end_once(service: tuple[Running, Hook]) -> None:
    running, hook = service
    write(running, "pairs,device=p1 x=30 1")
    found = wait_phase(running, "firing", device="p1", rule="apart")
    assert found["values"] == {"apart": 29.0, "n": 2}
    wait_for(lambda: hook.items == [("firing", "p1")], what="the message")
    row = rule_row(running, "apart")
    assert (row["state"], row["firing"]) == ("ok", 1)
    assert row["cost_us_per_s"] > 0
    running.kill()
    text = running.config_file.read_text()
    limit = "max(x) - min(x) > 10"
    running.config_file.write_text(text.replace(limit, f"{limit} + no_column"))
    running.start()
    assert wait_phase(running, "error", device="p1", rule="apart")["was"] == "firing"
    assert rule_row(running, "apart")["state"] == "error"
    running.config_file.write_text(text)
    reload(running)
    wait_phase(running, "firing", device="p1", rule="apart")
    running.config_file.write_text(text.replace(limit, f"{limit}0"))
    reload(running)
    wait_for(lambda: ("resolved", "p1") in hook.items, what="the end")
    assert [i for i in hook.items if i[1] == "p1"] == [("firing", "p1"), ("resolved", "p1")]
    assert not [a for a in alerts(running) if a["rule"] == "apart" and a["phase"] != "ok"]
    assert [(s["old"], s["new"]) for s in steps(running, "apart", "p1")] == [
        ("ok", "firing"),
        ("firing", "error"),
        ("error", "firing"),
        ("firing", "ok"),
    ]


def test_a_query_that_can_not_be_answered_is_said_with_the_rule_and_asked_again(service: tuple[Running, Hook]) -> None:
    running, _ = service
    wait_error(running, "broken", "not_there_yet")
    write(running, "not_there_yet,device=n1 x=6 0")
    wait_phase(running, "firing", device="n1", rule="broken")
    assert rule_row(running, "broken")["state"] == "ok"


def test_a_key_column_that_the_query_does_not_give_is_an_error(service: tuple[Running, Hook]) -> None:
    running, _ = service
    write(running, "pairs,device=p9 x=2000 0")
    wait_error(running, "keyless", "'device'", "top")
    assert firing(running, "keyless") == []


BASELINE = """
[alerts]
grace = "100ms"

[workload.above]
kind = "alert"
stream = "power"
over = "10s"
when = "avg(watts) > 1.5 * baseline(watts)"
severity = "critical"
notify = ["ops"]

[workload.above_each]
kind = "alert"
stream = "power"
by = ["DEVICE"]
when = "watts > 1.5 * baseline(watts)"
"""


def test_a_rule_that_compares_with_history_fires_above_what_is_usual_at_this_hour(tmp_path: Path) -> None:
    now_s = SystemClock().now_us() // US_PER_S
    hour_s = now_s // 3600 * 3600
    with told(tmp_path, "") as (running, hook):
        rules = running.config_file.read_text()
        past = [
            f"power,device={device} watts={watts} {hour_s - week * WEEK_S + minute * 60 - T0}"
            for week in (3, 2, 1)
            for device, watts in (("lathe", 100 + week), ("saw", 1000))
            for minute in range(0, 120, 10)
        ]
        write(running, *past)
        running.config_file.write_text(rules + BASELINE)
        reload(running)
        with closing(sqlite3.connect(f"file:{running.folder / 'hot.sqlite'}?mode=ro", uri=True)) as db:
            wait_for(lambda: db.execute("SELECT count(*) FROM model WHERE active").fetchone()[0] >= 1, what="the model")
        write(running, f"power,device=lathe watts=160 {now_s - T0}", f"power,device=saw watts=1400 {now_s - T0}")
        wait_for(lambda: firing(running, "above") and firing(running, "above_each"), what="what is unusual for the lathe")
        values = firing(running, "above")[0]["values"]
        assert values["avg(watts)"] == 160.0
        assert values["baseline(watts)"] < 160 / 1.5
        assert {a["key"]["device"] for a in firing(running, "above")} == {"lathe"}
        assert [list(a["key"].values()) for a in firing(running, "above_each")] == [["lathe"]]
        wait_for(lambda: ("firing", "lathe") in hook.items, what="the message")
        running.kill()
        running.start()
        write(running, f"power,device=saw watts=1600 {now_s - T0 + 11}")
        wait_for(lambda: len(firing(running, "above")) == 2, what="the saw, by the baseline that was stored")
