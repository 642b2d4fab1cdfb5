"""Paths of a real service: shown over HTTP, in SQL and on the command line, with it and without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import Running, run_command

pytestmark = pytest.mark.xdist_group("paths-service")
CONFIG = """
[workload.warm]
kind = "alert"
stream = "room"
when = "temperature > 30"

[workload.hourly]
kind = "view"
bucket = "1h"
sql = "SELECT time_bucket(INTERVAL '1 hour', ts) AS bucket, avg(temperature) AS mean FROM room GROUP BY ALL"

[workload.copied]
kind = "job"
table = "copied"
sql = "SELECT * FROM room"

[workload.hasty]
kind = "job"
table = "hasty"
freshness = "1s"
sql = "SELECT count(*) AS n FROM room"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("paths") / "data", config=CONFIG, sources="source = []\n")
    try:
        found.start()
        yield found
    finally:
        if found.is_up:
            found.kill()


def paths(service: Running, *arguments: str) -> str:
    said = run_command("paths", *arguments, "--data-dir", str(service.folder))
    assert said.returncode == 0, said.stderr
    return said.stdout


def by_name(picture: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in picture["rows"]}


def test_every_workload_is_shown_with_its_path_and_the_rule_alike_on_all_surfaces(service: Running) -> None:
    status, body = service.request("GET", "/api/paths")
    assert status == 200
    picture = json.loads(body)
    rows = by_name(picture)
    found = {name: (row["path"], row["rule"]) for name, row in rows.items()}
    named = {"warm": ("hot", "trigger"), "hourly": ("hybrid", "nature"), "copied": ("cold", "cheapest"), "hasty": ("cold", "kind")}
    assert found == {**named, "watch": ("hybrid", "nature")}
    assert picture["counts"] == {"hot": 1, "hybrid": 2, "cold": 2}
    assert by_name(json.loads(paths(service, "--format", "json"))).keys() == rows.keys()
    in_sql = service.query("SELECT name, path, rule, reason, budget_ms, needs FROM _paths")
    assert [(r["name"], r["path"], r["rule"], r["reason"]) for r in in_sql] == [
        (name, row["path"], row["rule"], row["reason"]) for name, row in rows.items()
    ]
    assert "freshness 1s" in in_sql[0]["needs"]
    assert service.query("SELECT * FROM _path_moves") == []


def test_the_table_and_the_story_of_one_name_needs_rule_and_budget(service: Running) -> None:
    table = paths(service).splitlines()
    assert table[0].split() == ["workload", "kind", "path", "rule", "budget", "p50", "p99", "cpu", "last", "hour", "why"]
    assert next(line for line in table if line.startswith("warm ")).split()[1:5] == ["alert", "hot", "trigger", "1s"]
    assert any(line.startswith('hasty: make it a workload of kind = "panel"') for line in table)
    story = paths(service, "explain", "hasty")
    for said in ("its kind runs on cold", "freshness      1s           by the config", "its needs ask for hot", "budget 1s"):
        assert said in story
    assert json.loads(paths(service, "explain", "hasty", "--format", "json"))["rule"] == "kind"


def test_a_name_that_is_no_workload_is_refused_with_those_that_are(service: Running) -> None:
    said = run_command("paths", "explain", "never", "--data-dir", str(service.folder))
    assert (said.returncode, said.stderr) == (2, "appliance: there is no workload 'never'; there are: warm, hourly, copied, hasty, watch\n")


def test_a_folder_that_nobody_serves_tells_the_same_and_a_reload_forgets_what_is_gone(service: Running) -> None:
    service.config_file.write_text(service.config_file.read_text().split("[workload.hasty]")[0])
    said = run_command("reload", "--data-dir", str(service.folder))
    assert said.returncode == 0, said.stderr
    with_it = by_name(json.loads(paths(service, "--format", "json")))
    assert set(with_it) == {"warm", "hourly", "copied", "watch"}
    assert service.stop() == 0
    without = by_name(json.loads(paths(service, "--format", "json")))
    assert {n: (r["path"], r["reason"], r["needs"]) for n, r in without.items()} == {
        n: (r["path"], r["reason"], r["needs"]) for n, r in with_it.items()
    }
    said = run_command("query", "SELECT name, path FROM _paths ORDER BY name", "--format", "csv", "--data-dir", str(service.folder))
    assert said.stdout.replace(chr(34), "").split() == ["name,path", "copied,cold", "hourly,hybrid", "warm,hot", "watch,hybrid"]
