"""Heavy questions that nobody waits for become batch work, and whoever waits never waits behind batch work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from appliance.clock import US_PER_DAY
from appliance.errors import QueryHeavy
from appliance.serving import routing
from appliance.serving.engine import Engine
from appliance.serving.protocol import error_of, kind_of
from appliance.serving.question import Question
from tests.bench.query_lake import cpu_rows, register, write_segment
from tests.running import Running, wait_for
from tests.serving.world import World

ENDLESS = "SELECT count(*) FROM range(10000000) a(i), range(10000000) b(j) WHERE hash(i + j) % 7 = 0"
COUNT = "SELECT count(*) AS n FROM cpu"
ROWS = routing.HEAVY_RECORDS + 500


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A lake that is just heavy."""
    folder = tmp_path_factory.mktemp("unattended") / "data"
    folder.mkdir()
    table = cpu_rows(hosts=1, first_us=20_000 * US_PER_DAY, steps=ROWS, step_us=50_000)
    register(folder, [write_segment(folder, table, number=1)])
    started = Running(folder)
    try:
        yield started.start()
    finally:
        started.stop()


def ask(service: Running, sql: str, **more: Any) -> tuple[int, Any]:
    status, body = service.request("POST", "/api/query", body=json.dumps({"sql": sql, **more}).encode())
    return status, json.loads(body)


def run_of(service: Running, run_id: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(service.request("GET", f"/api/jobs/runs/{run_id}")[1])
    return found


def command(service: Running, sql: str, *options: str) -> tuple[int, str, str]:
    done = service.command("query", sql, "--config", str(service.config_file), *options)
    return done.returncode, done.stdout, done.stderr


def test_with_somebody_waiting_a_heavy_question_is_answered(service: Running) -> None:
    assert ask(service, COUNT) == (200, [{"n": ROWS}])
    explain = ask(service, COUNT, explain=True)[1]
    assert (explain["heavy"], explain["records"]) == (True, ROWS)
    assert "with nobody waiting (--unattended) it is queued" in command(service, COUNT, "--explain")[1]


def test_with_nobody_waiting_it_is_queued_and_its_result_kept(service: Running, tmp_path: Path) -> None:
    status, row = ask(service, COUNT, waiting=False, format="csv")
    assert (status, row["kind"]) == (202, "query")
    wait_for(lambda: run_of(service, row["id"])["state"] == "done", what="the queued question")
    assert service.request("GET", f"/api/jobs/runs/{row['id']}/result")[1].decode().split() == ['"n"', str(ROWS)]
    status, _, said = command(service, COUNT, "--unattended", "-o", str(tmp_path / "n.parquet"))
    assert (status, "is queued" in said) == (0, True)
    assert pq.read_table(tmp_path / "n.parquet").to_pylist() == [{"n": ROWS}]


def test_a_light_question_is_answered_also_when_nobody_waits(service: Running) -> None:
    sql = f"{COUNT} WHERE ts < make_timestamp({20_000 * US_PER_DAY})"
    assert ask(service, sql, waiting=False) == (200, [{"n": 0}])
    assert command(service, sql, "--unattended")[:2] == (0, '"n"\n0\n')


def test_nobody_waits_only_for_what_the_queue_can_answer(service: Running) -> None:
    for more in ({"path": "cold"}, {"views": False}, {"explain": True}):
        assert ask(service, COUNT, waiting=False, **more)[0] == 400
    status, _, said = command(service, COUNT, "--unattended", "--path", "cold")
    assert (status, "--unattended can't go with" in said) == (2, True)


def test_a_person_never_waits_behind_batch_work(service: Running) -> None:
    runs = [
        json.loads(service.request("POST", "/api/jobs/query", body=json.dumps({"sql": f"{ENDLESS} AND i <> {n}"}).encode())[1])["id"]
        for n in range(2)
    ]

    def states() -> list[str]:
        return [str(run_of(service, run_id)["state"]) for run_id in runs]

    wait_for(lambda: sorted(states()) == ["running", "waiting"], what="batch work to fill its place")
    assert service.process is not None
    before = {p.pid for p in psutil.Process(service.process.pid).children(recursive=True)}
    status, explain = ask(service, COUNT, explain=True)
    assert (status, explain["rows"]) == (200, 1)
    assert ask(service, COUNT) == (200, [{"n": ROWS}])
    assert sorted(states()) == ["running", "waiting"], "it was answered beside them, not after them"
    lowest = {p.pid for p in psutil.Process(service.process.pid).children(recursive=True) if p.nice() == 19}
    assert lowest <= before
    assert lowest, "batch work has processes of its own, of the lowest priority"
    for run_id in runs:
        service.request("POST", "/api/jobs/cancel", body=json.dumps({"id": run_id}).encode())
    wait_for(lambda: not {"running", "waiting"} & set(states()), what="batch work to end")


def test_what_is_heavy_ends_before_anything_is_read(engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "HEAVY_RECORDS", 10)
    with (
        pytest.raises(QueryHeavy, match="records"),
        engine.answer(Question(sql="SELECT * FROM readings", id="q", waiting=False), world.source(), now_us=0),
    ):
        raise AssertionError("it was run")
    assert isinstance(error_of(kind_of(QueryHeavy("x")), "x"), QueryHeavy)
