"""The five reference cases on real streams, as ``data/samples/paths.toml`` has them; one is moved by changing one need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import ROOT, Running, run_command, wait_for

pytestmark = pytest.mark.xdist_group("paths-show")
SAMPLE = (ROOT / "data" / "samples" / "paths.toml").read_text().replace('listen = "127.0.0.1:8086"\n', "")
FIVE = {
    "busy": ("alert", "hot", "trigger"),
    "daily_load": ("report", "cold", "batch"),
    "cpu_now": ("panel", "hot", "fresh"),
    "load_anomalies": ("panel", "hybrid", "nature"),
    "history": ("panel", "cold", "batch"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("show") / "data", config=SAMPLE, sources="")
    try:
        found.start()
        yield found
        assert found.stop() == 0
    finally:
        if found.is_up:
            found.kill()


def command(service: Running, *arguments: str) -> str:
    said = run_command(*arguments, "--data-dir", str(service.folder))
    assert said.returncode == 0, said.stderr
    return said.stdout + said.stderr


def rows(service: Running) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(service.request("GET", "/api/paths")[1])["rows"]}


def test_the_reference_cases_run_where_the_architecture_puts_them(service: Running) -> None:
    found = {name: (row["kind"], row["path"], row["rule"]) for name, row in rows(service).items()}
    assert {name: found[name] for name in FIVE} == FIVE
    budgets = {name: row["budget_ms"] for name, row in rows(service).items()}
    assert [budgets[name] for name in FIVE] == [1_000, 600_000, 2_000, 30_000, 86_400_000]
    table = command(service, "paths")
    assert "nobody waits for it, 86,400 records, may be 1d old, complex" in table


def test_changing_one_need_and_reloading_moves_a_workload_with_the_reason_and_without_a_gap(service: Running) -> None:
    def newest() -> str | None:
        if not service.query("SELECT 1 AS one FROM _panels WHERE name = 'cpu_trend' AND number > 0"):
            return None
        at: str | None = service.query("SELECT max(_as_of)::VARCHAR AS at FROM cpu_trend")[0]["at"]
        return at

    assert rows(service)["cpu_trend"]["path"] == "cold"
    first = wait_for(newest, what="the first answer, made on the cold path")
    text = service.config_file.read_text()
    service.config_file.write_text(text.replace('freshness = "10min"', 'freshness = "2s"'))
    said = command(service, "reload")
    assert "panel cpu_trend moves from cold to hot: needs answers of 2s, below 5s" in said
    row = rows(service)["cpu_trend"]
    assert (row["path"], row["rule"], row["moved_from"], row["budget_ms"]) == ("hot", "fresh", "cold", 2_000)
    story = command(service, "paths", "explain", "cpu_trend")
    assert "cold → hot (config): needs answers of 2s, below 5s" in story
    wait_for(lambda: (newest() or "") > first, what="a later answer, made on the hot path")
    (move,) = service.query("SELECT name, moved_from, path, cause FROM _path_moves")
    assert move == {"name": "cpu_trend", "moved_from": "cold", "path": "hot", "cause": "config"}
