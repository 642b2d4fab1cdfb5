"""Kill -9 in every named step: no run or message is lost, none done again that has committed its outcome, no record goes in twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running, wait_for

pytestmark = pytest.mark.xdist_group("batch-kill")
COMMAND = """
[workload.work]
kind = "job"
every = "1h"
command = ["sh", "-c", "echo once >> ran"]
"""
FAILING = """
[notify.ops]
url = "file:told.jsonl"

[workload.work]
kind = "job"
every = "1h"
command = ["sh", "-c", "echo no such valve >&2; exit 1"]
retries = 0
notify = ["ops"]
"""
STREAM = """
[stream.doubled]
identity = "none"

[workload.work]
kind = "job"
every = "1h"
sql = "SELECT ts, device, value * 2 AS twice FROM readings"
stream = "doubled"
"""
TABLE = """
[workload.work]
kind = "job"
every = "1h"
sql = "SELECT device, count(*) AS n FROM readings GROUP BY ALL"
table = "counts"
"""
LINES = "\n".join(f"readings,device=d{n % 3} value={n} {1_760_000_000_000_000 + n}" for n in range(90))


def history(service: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(service.request("GET", "/api/jobs/history?name=work")[1])
    return found


def killed_and_over(service: Running, step: str) -> list[dict[str, Any]]:
    """Starts it to be killed at a step, starts it again, and waits for the end of what was under way: the history then."""
    service.start("--kill-at", step, wait=False)
    wait_for(service.has_died, what=f"the kill at {step}")
    service.start()
    wait_for(lambda: history(service) and history(service)[0]["state"] not in ("waiting", "running"), what="the run's end")
    return history(service)


@pytest.mark.parametrize("step", ["queued.writing", "queued", "started.writing", "started", "ran", "ended.writing", "ended"])
def test_a_run_has_one_row_and_one_outcome(tmp_path: Path, step: str) -> None:
    service = Running(tmp_path / "data", config=COMMAND, sources="source = []\n", module=("tests.faults.program",))
    try:
        [run] = killed_and_over(service, f"jobs.{step}")
        assert (run["state"], run["words"], run["reason"]) == ("done", "done", "every")
        assert run["interrupted"] == (step in ("started", "ran", "ended.writing"))
        times = (service.folder / "ran").read_text().splitlines()
        assert len(times) == (2 if step in ("ran", "ended.writing") else 1)
    finally:
        if service.is_up:
            service.kill()


@pytest.mark.parametrize("step", ["ended.writing", "ended"])
def test_what_has_failed_for_good_is_told_once(tmp_path: Path, step: str) -> None:
    service = Running(tmp_path / "data", config=FAILING, sources="source = []\n", module=("tests.faults.program",))
    try:
        [run] = killed_and_over(service, f"jobs.{step}")
        assert (run["state"], run["interrupted"]) == ("failed", step == "ended.writing")
        told = service.folder / "told.jsonl"
        wait_for(lambda: told.exists() and told.read_text().endswith("\n"), what="the message")
        assert [json.loads(line)["title"] for line in told.read_text().splitlines()] == ["job work has failed"]
        assert "no such valve" in told.read_text()
    finally:
        if service.is_up:
            service.kill()


@pytest.mark.parametrize(
    ("config", "step"),
    [
        (STREAM, "stream.staged"),
        (STREAM, "stream.piece"),
        (STREAM, "stream.taken"),
        (STREAM, "ran"),
        (TABLE, "table.moved"),
        (TABLE, "table.registered"),
    ],
)
def test_a_result_is_there_once(tmp_path: Path, config: str, step: str) -> None:
    service = Running(tmp_path / "data", config="", sources="source = []\n", module=("tests.faults.program",))
    try:
        service.start()
        assert service.write(LINES) == 204
        service.stop()
        service.config_file.write_text(service.config_file.read_text() + config)
        [run] = killed_and_over(service, f"jobs.{step}")
        assert (run["state"], run["interrupted"]) == ("done", 1)
        if config == STREAM:
            assert service.query("SELECT count(*) AS n, sum(twice) AS s FROM doubled") == [{"n": 90, "s": 8010.0}]
            assert list((service.folder / "queries").iterdir()) == []
        else:
            assert service.query("SELECT sum(n) AS n FROM counts") == [{"n": 90}]
            assert [f.name for f in (service.folder / "tables" / "counts").iterdir()] == [f"{run['id']}.parquet"]
    finally:
        if service.is_up:
            service.kill()
