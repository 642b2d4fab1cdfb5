"""Batch work in a real service: every kind of job to its end, over HTTP, SQL and the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.running import Running, run_command, wait_for

pytestmark = pytest.mark.xdist_group("batch-service")
CONFIG = """
[node]
timezone = "Europe/Berlin"

[batch]
memory_max = "128MiB"

[workload.means]
kind = "job"
sql = "SELECT device, avg(value) AS mean FROM readings GROUP BY ALL ORDER BY device"
table = "Means"

[workload.export]
kind = "job"
sql = "SELECT * FROM means ORDER BY device"
file = "out/means-{date}.csv"
after = "means"

[workload.derived]
kind = "job"
sql = "SELECT ts, device, value * 2 AS twice FROM readings"
stream = "doubled"

[workload.tool]
kind = "job"
command = ["sh", "-c", "echo first; echo all $0 is well", "that"]

[workload.wrong]
kind = "job"
sql = "SELEC 1"
table = "never"
retries = 0
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("jobs") / "data", config=CONFIG, sources="source = []\n", module=("tests.faults.program",))
    try:
        found.start()
        lines = "\n".join(f"readings,device=d{n % 3} value={n} {1_760_000_000_000_000 + n}" for n in range(90))
        assert found.write(lines) == 204
        yield found
        assert found.stop() == 0
    finally:
        if found.is_up:
            found.kill()


def get(service: Running, path: str) -> Any:
    status, body = service.request("GET", path)
    assert status == 200, body
    return json.loads(body)


def post(service: Running, path: str, **body: Any) -> Any:
    status, said = service.request("POST", path, body=json.dumps(body).encode())
    assert status == 200, said
    return json.loads(said)


def over(service: Running, run_id: int) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        row: dict[str, Any] = get(service, f"/api/jobs/runs/{run_id}")
        return row if row["state"] not in ("waiting", "running") else None

    row: dict[str, Any] = wait_for(found, what=f"run {run_id}")
    return row


def done(service: Running, name: str, **parameters: str) -> dict[str, Any]:
    row = over(service, post(service, "/api/jobs/run", name=name, parameters=parameters)["id"])
    assert row["state"] == "done", row
    return row


def test_a_table_is_known_by_name_and_replaced_whole_and_what_follows_it_runs(service: Running) -> None:
    first = done(service, "means")
    assert (first["rows"], first["words"]) == (3, "3 rows into the table Means")
    assert first["cpu_s"] > 0
    assert service.query("SELECT * FROM means WHERE device = 'd1'") == [{"device": "d1", "mean": 44.5}]
    followed = wait_for(lambda: get(service, "/api/jobs/history?name=export"), what="the export")
    row = over(service, followed[0]["id"])
    assert (row["reason"], row["state"]) == ("after means", "done"), row
    assert len(list((service.folder / "reports" / "out").glob("means-????-??-??.csv"))) == 1
    second = done(service, "means")
    assert len(list((service.folder / "tables").rglob("*.parquet"))) == 2
    assert service.query("SELECT count(*) AS n FROM Means") == [{"n": 3}]
    third = done(service, "means")
    assert sorted(int(f.stem) for f in (service.folder / "tables").rglob("*.parquet")) == [second["id"], third["id"]]


def test_a_stream_gets_the_records_of_each_run_once(service: Running) -> None:
    assert done(service, "derived")["words"] == "90 records into the stream doubled"
    assert service.query("SELECT count(*) AS n, sum(twice) AS s FROM doubled") == [{"n": 90, "s": 8010.0}]


def test_a_command_runs_without_a_shell_of_ours_and_its_last_line_is_kept(service: Running) -> None:
    assert done(service, "tool")["words"] == "done: all that is well"


def test_what_fails_says_why_is_a_problem_and_the_box_lives_on(service: Running) -> None:
    row = over(service, post(service, "/api/jobs/run", name="wrong")["id"])
    assert row["state"] == "failed"
    assert "syntax error" in row["error"]
    assert any("wrong has failed for good" in p["what"] for p in service.status()["problems"])
    jobs = service.query("SELECT name, kind, state, failures, due_when FROM _jobs ORDER BY name")
    assert {"name": "wrong", "kind": "job", "state": "failed", "failures": 1, "due_when": "on request"} in jobs
    assert service.query(f"SELECT state, left(error, 6) AS e FROM _job_history WHERE id = {row['id']}") == [
        {"state": "failed", "e": "Parser"}
    ]
    assert b"appliance_jobs_failed_total 1\n" in service.request("GET", "/metrics")[1]
    status, said = service.request("POST", "/api/jobs/run", body=b'{"name": "nothing"}')
    assert (status, "there is no batch work 'nothing'" in said.decode()) == (400, True)


def test_a_query_in_the_background_keeps_its_result(service: Running, tmp_path: Path) -> None:
    output = tmp_path / "few.parquet"
    sql = "SELECT device, count(*) AS n FROM readings GROUP BY ALL ORDER BY device"
    said = command(service, "query", sql, "--background", "-o", str(output), "--until", "2025-10-09 10:53:20.000030")
    assert said.returncode == 0, said.stderr
    assert pq.read_table(output).to_pydict() == {"device": ["d0", "d1", "d2"], "n": [10, 10, 10]}
    shown = command(service, "jobs", "history", "--name", "_query").stdout
    assert "rows in queries/" in shown
    refused = command(service, "query", "SELECT * FROM nothing", "--background", "-o", str(output))
    assert (refused.returncode, "no stream or table" in refused.stderr) == (1, True), refused


def test_an_endless_query_is_cancelled(service: Running) -> None:
    endless = "SELECT count(*) FROM range(10000000) a(i), range(10000000) b(j) WHERE hash(i + j) % 7 = 0"
    run = post(service, "/api/jobs/query", sql=endless)
    wait_for(lambda: get(service, f"/api/jobs/runs/{run['id']}")["state"] == "running", what="the run")
    post(service, "/api/jobs/cancel", id=run["id"])
    row = over(service, run["id"])
    assert (row["state"], row["words"]) == ("cancelled", "cancelled on request")
    status, said = service.request("GET", f"/api/jobs/runs/{run['id']}/result")
    assert (status, "has no result" in said.decode()) == (400, True)


def test_the_command_line_shows_what_there_is(service: Running) -> None:
    listed = command(service, "jobs").stdout
    assert "export" in listed
    assert "after means" in listed
    assert command(service, "jobs", "run", "tool", "--wait").stderr.count("all that is well") == 1
    assert json.loads(command(service, "jobs", "list", "--json").stdout)["jobs_max"] == 1


def command(service: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With the service's own config, for the zone."""
    extra = ("--config", str(service.config_file)) if arguments[0] == "query" else ()
    return run_command(*arguments, "--data-dir", str(service.folder), *extra)
