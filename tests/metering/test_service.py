"""Latency and cost of a real service: on every surface, across a restart, and budgets that are missed and met again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running, run_command, wait_for

pytestmark = pytest.mark.xdist_group("metering")
CONFIG = """
[node]
endurance = "60TB"

[roll]
every = "200ms"

[alerts]
grace = "0s"

[notify.file]
url = "file:told.jsonl"

[workload.warm]
kind = "alert"
stream = "readings"
when = "value > 50"
severity = "critical"
notify = ["file"]

[workload.means]
kind = "view"
bucket = "1min"
sql = "SELECT time_bucket(INTERVAL 1 MINUTE, ts) AS bucket, device, avg(value) AS mean FROM readings GROUP BY ALL"
settle = "1s"

[workload.totals]
kind = "job"
sql = "SELECT device, count(*) AS n FROM readings GROUP BY ALL"
table = "counted"
freshness = "1ms"
"""
T0 = 1_760_000_000_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("meters") / "data"
    found = Running(folder, config=CONFIG, sources="source = []\n", module=("tests.metering.quick", "run"))
    try:
        found.start()
        for part in range(3):
            lines = "\n".join(f"readings,device=d{n % 3} value={n} {T0 + (part * 90 + n) * 1_000_000}" for n in range(90))
            assert found.write(lines) == 204
        wait_for(lambda: cost(found, "_roll", "cold"), what="a roll")
        assert found.command("jobs", "run", "totals", "--wait").returncode == 0
        wait_for(lambda: found.command("views", "refresh", "means").returncode == 0, what="the view")
        found.query("SELECT count(*) FROM readings")
        wait_for(lambda: cost(found, "warm", "hot") and cost(found, "warm", "hot")["notifications"], what="the message")
        yield found
    finally:
        if found.is_up:
            found.stop()


def picture(service: Running) -> dict[str, Any]:
    status, body = service.request("GET", "/api/cost?since=1h")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def cost(service: Running, workload: str, path: str) -> dict[str, Any]:
    """The row of a workload on a path; empty: there is none."""
    return next((r for r in picture(service)["rows"] if (r["workload"], r["path"]) == (workload, path)), {})


def told(service: Running) -> list[tuple[str, str, str]]:
    """(state, workload, stage) of each budget that the channel was told of."""
    file = service.folder / "told.jsonl"
    messages = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [(i["state"], *i["key"]) for m in messages for i in m["items"] if i["rule"] == "_budget"]


def test_hot_cold_and_hybrid_stand_side_by_side(service: Running) -> None:
    said = service.command("cost", "--since", "1h", "--config", str(service.config_file)).stdout
    paths = [line.split() for line in said.splitlines() if line.split()[:1] in (["hot"], ["cold"], ["hybrid"])]
    assert [p[0] for p in paths] == ["hot", "cold", "hybrid"]
    assert all(float(p[1]) > 0 for p in paths), said
    assert "a day are written towards it" in said
    assert "of its 60 TB" in said
    assert {"_ingest", "warm", "means", "totals", "_roll"} <= {line.split()[0] for line in said.splitlines() if line}


def test_each_workload_has_its_cost_on_its_path(service: Running) -> None:
    totals = cost(service, "totals", "cold")
    assert totals["runs"] == 1
    assert totals["rows"] == 270
    assert totals["cpu_s"] > 0
    assert totals["memory_bytes"] > 1 << 20
    wait_for(lambda: cost(service, "warm", "hot").get("rows") == 270, what="the records that the rule has looked at")
    assert cost(service, "means", "hybrid")["runs"] >= 1
    query = [r for r in picture(service)["rows"] if r["workload"] == "_query"]
    assert sum(r["runs"] for r in query) >= 1
    assert cost(service, "_ingest", "hot")["memory_bytes"] > 1 << 20
    assert cost(service, "_roll", "cold")["disk_bytes"] > 0


def test_latency_is_told_by_stage_against_its_budget(service: Running) -> None:
    status, body = service.request("GET", "/api/latency")
    assert status == 200, body
    rows = {(r["workload"], r["stage"]): r for r in json.loads(body)["rows"] if r["window"] == "day"}
    for stage in ("evaluated", "committed", "handed over"):
        assert rows[("warm", stage)]["budget_ms"] == 1_000.0
        assert rows[("_alerts", stage)]["p50_ms"] <= rows[("_alerts", stage)]["p99_ms"] <= rows[("_alerts", stage)]["max_ms"]
    assert rows[("_ingest", "acknowledged")]["count"] >= 3
    assert rows[("totals", "started")]["p99_ms"] <= rows[("totals", "ready")]["p99_ms"]
    assert rows[("totals", "ready")]["is_missed"]
    assert rows[("_query", "first row")]["count"] >= 1
    metrics = service.request("GET", "/metrics")[1].decode()
    assert 'appliance_workload_latency_seconds{workload="warm",stage="evaluated",quantile="0.99"}' in metrics
    assert 'appliance_workload_cpu_seconds_total{workload="totals",path="cold"}' in metrics


def test_a_trial_says_what_a_workload_costs_on_each_path(service: Running) -> None:
    said = service.command("cost", "--trial", "means", "--format", "json", "--config", str(service.config_file))
    found = json.loads(said.stdout)
    assert [s["path"] for s in found["sides"]] == ["hot", "cold", "hybrid"]
    assert [s["path"] for s in found["sides"] if s["is_current"]] == ["hybrid"]
    assert found["sides"][1]["rows"] == 270
    assert all(s["cpu_s_day"] > 0 for s in found["sides"])
    rule = json.loads(service.command("cost", "--trial", "warm", "--format", "json", "--config", str(service.config_file)).stdout)
    assert [s["path"] for s in rule["sides"]] == ["hot", "cold"]
    wrong = service.command("cost", "--trial", "nobody", "--config", str(service.config_file))
    assert wrong.returncode != 0
    assert "there is no workload 'nobody'" in wrong.stderr


def test_a_missed_budget_is_told_once_and_resolved_when_it_is_met(service: Running) -> None:
    wait_for(lambda: told(service), what="the alert of the budget")
    assert ("firing", "totals", "ready") in told(service)
    problems = [p["what"] for p in service.status()["problems"]]
    assert any("totals takes longer than it may: ready" in what for what in problems)
    held = service.config_file.read_text()
    service.config_file.write_text(held.replace('freshness = "1ms"', 'freshness = "1h"'))
    assert service.command("reload").returncode == 0
    wait_for(lambda: ("resolved", "totals", "ready") in told(service), what="its end")
    assert [t for t in told(service) if t[1] == "totals"] == [("firing", "totals", "ready"), ("resolved", "totals", "ready")]
    assert not any("totals takes longer" in p["what"] for p in service.status()["problems"])


def test_a_restart_keeps_latencies_and_costs_and_so_does_the_folder(service: Running) -> None:
    before = cost(service, "totals", "cold")
    service.stop()
    config = str(service.config_file)
    offline = json.loads(service.command("cost", "--since", "1h", "--format", "json", "--config", config).stdout)
    kept = next(r for r in offline["rows"] if r["workload"] == "totals" and r["path"] == "cold")
    assert (kept["runs"], kept["rows"], kept["cpu_s"]) == (before["runs"], before["rows"], before["cpu_s"])
    sql = "SELECT sum(runs)::BIGINT AS runs, sum(rows)::BIGINT AS rows FROM _cost WHERE workload = 'totals'"
    assert service.command("query", sql, "--format", "csv").stdout.splitlines()[1] == f"{before['runs']},{before['rows']}"
    sql = "SELECT count FROM _latency WHERE workload = 'totals' AND stage = 'ready' AND \"window\" = 'day'"
    assert service.command("query", sql, "--format", "csv").stdout.splitlines()[1] == "1"
    service.start()
    after = cost(service, "totals", "cold")
    assert (after["runs"], after["rows"], after["cpu_s"]) == (before["runs"], before["rows"], before["cpu_s"])
    status, body = service.request("GET", "/api/latency")
    assert status == 200
    assert [r["count"] for r in json.loads(body)["rows"] if (r["workload"], r["stage"], r["window"]) == ("totals", "ready", "hour")] == [1]


def test_a_folder_without_any_cost_says_nothing_wrong(tmp_path: Path) -> None:
    said = run_command("cost", "--data-dir", str(tmp_path))
    assert said.returncode != 0
    assert "is no data folder" in said.stderr
