"""Panels in a real service: on every surface, refused with the place, kept up after whatever changes their records, in nobody's way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.alerting.hooks import reload
from tests.http.serving import Serving
from tests.http.sse import EventReader
from tests.panels.test_moving import panel
from tests.running import UNWATCHED, Running, running, wait_for

CONFIG = """
[roll]
every = "1s"
rows_max = 10

[workload.load]
kind = "panel"
sql = "SELECT device, count(*) AS n FROM readings GROUP BY ALL"
freshness = "1s"

[workload.recent]
kind = "panel"
sql = "SELECT count(*) AS n, max(ts) AS newest FROM readings WHERE ts > '2023-11-14 22:13:25'"
freshness = "1s"

[workload.wrong]
kind = "panel"
sql = '''SELECT device,
         count( FROM readings'''

[workload.waits]
kind = "panel"
sql = "SELECT count(*) AS n FROM doors"

[workload.slow]
kind = "panel"
sql = "SELECT count(*) AS n FROM range(100000000000) t(i) WHERE i % 7 = 3"
freshness = "10s"
"""
START_US = 1_700_000_000_000_000
"""2023-11-14 22:13:20."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("panels") / "data", config=CONFIG) as made:
        assert made.write("\n".join(f"readings,device=d{i % 2} v={i} {START_US + i * 1_000_000}" for i in range(10))) == 204
        yield made


def rows(service: Running) -> dict[str, Any]:
    status, body = service.request("GET", "/api/panels")
    assert status == 200, body
    return {row["name"]: row for row in json.loads(body)}


def test_an_answer_is_there_on_every_surface(service: Running) -> None:
    wait_for(lambda: panel(service)["answer"], what="the answer")
    reader = EventReader(cast("Serving", service), "?topics=panels")
    assert service.write(f"readings,device=d9 v=1 {START_US}") == 204
    told = next(block for block in iter(reader.next, None) if block.event == "panel" and block.data["name"] == "load")
    reader.close()
    found = panel(service, "LOAD")
    assert found["columns"] == [["device", "VARCHAR"], ["n", "BIGINT"]]
    assert found["answer"] == [{"device": "d0", "n": 5}, {"device": "d1", "n": 5}, {"device": "d9", "n": 1}]
    assert (told.data["number"], told.data["rows"]) == (found["panel"]["number"], 3)
    assert service.query("SELECT sum(n) AS n, count(DISTINCT _as_of) AS times FROM load") == [{"n": 11, "times": 1}]
    assert service.query("SELECT device FROM load_history WHERE answer = (SELECT max(answer) FROM load_history) ORDER BY row") == [
        {"device": f"d{i}"} for i in (0, 1, 9)
    ]
    assert service.query("SELECT name, path FROM _panels WHERE name = 'load'") == [{"name": "load", "path": "hot"}]
    assert service.request("GET", "/api/panels/nobody")[0] == 400


def test_what_it_takes_and_costs_is_measured(service: Running) -> None:
    wait_for(lambda: panel(service)["panel"]["ready_ms"], what="an answer to records")
    for what, key in (("latency", "stage"), ("cost", "path")):
        status, body = service.request("GET", f"/api/{what}")
        assert status == 200, body
        found = {row[key] for row in json.loads(body)["rows"] if row["workload"] == "load"}
        assert {"latency": "ready", "cost": "hot"}[what] in found


def test_what_is_wrong_with_a_panel_is_said_with_its_place(service: Running) -> None:
    found = wait_for(lambda: (row := rows(service)["wrong"])["reason"] and row, what="the reason")
    line = service.config_file.read_text().splitlines().index("sql = '''SELECT device,") + 1
    assert f"{service.config_file}:{line}: the SQL can't be read in its line 2, column 17: syntax error" in found["reason"]
    wait_for(lambda: any("the panel wrong" in p["what"] for p in service.status()["problems"]), what="the problem")
    assert "no stream" in wait_for(lambda: rows(service)["waits"]["reason"], what="what it waits for")
    assert rows(service)["waits"]["state"] == "waiting"


def test_a_config_whose_panel_can_not_be_understood_is_refused_whole(service: Running) -> None:
    text = service.config_file.read_text()
    service.config_file.write_text(text + '[workload.any]\nkind = "panel"\nsql = "FROM readings LIMIT 3"\n')
    said = reload(service, status=400)
    service.config_file.write_text(text)
    assert "LIMIT without ORDER BY" in said or "workload.wrong.sql" in said
    assert f"{service.config_file}:" in said
    assert "any" not in rows(service)


def test_an_answer_follows_its_records_when_they_are_deleted(service: Running) -> None:
    wait_for(lambda: panel(service, "recent")["answer"], what="the answer")
    before = panel(service, "recent")["answer"][0]["n"]
    body = {"stream": "readings", "where": {"device": "d1"}, "reason": "a test"}
    status, said = service.request("POST", "/api/deletions", body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    assert status == 200, said
    wait_for(lambda: panel(service, "recent")["answer"][0]["n"] < before, what="the answer without them")


def test_nobody_who_asks_waits_for_a_panel_that_takes_long(service: Running) -> None:
    assert rows(service)["slow"]["state"] == "new"
    assert service.query("SELECT count(*) AS n FROM range(3)") == [{"n": 3}]
    assert rows(service)["slow"]["state"] == "new"


def test_a_panel_is_hybrid_where_what_it_reads_does_not_lie_in_hot(tmp_path: Path) -> None:
    with running(tmp_path / "data", config=CONFIG.split("[workload.wrong]")[0]) as service:
        lines = [f"readings,device=d{i % 2} v={i} {START_US + i * 1_000_000}" for i in range(40)]
        assert service.write("\n".join(lines[:20])) == 204
        wait_for(lambda: panel(service)["answer"], what="the answer")
        assert (panel(service)["panel"]["path"], panel(service)["panel"]["running"]) == ("hot", "hot")
        wait_for(lambda: service.status()["streams"][0]["hot_rows"] == 0, what="the roll")
        service.kill()
        service.start()
        assert service.write("\n".join(lines[20:])) == 204
        wait_for(lambda: sum(r["n"] for r in panel(service)["answer"]) == 40, what="the answer")
        assert (panel(service)["panel"]["path"], panel(service)["panel"]["running"]) == ("hot", "hybrid")


def parts(service: Running) -> list[dict[str, Any]]:
    return service.query("SELECT name, rows FROM _views WHERE name = 'big.parts' AND rows > 0")


def test_a_hybrid_panel_over_many_records_gets_a_stored_part_and_loses_it_with_its_sql(tmp_path: Path) -> None:
    sql = "SELECT device, count(*) AS n, avg(v) AS mean FROM many GROUP BY ALL"
    config = f"""{UNWATCHED}[workload.big]\nkind = "panel"\nsql = "{sql}"\nfreshness = "10s"\n"""
    with running(tmp_path / "data", config=config) as service:
        for part in range(5):
            lines = (f"many,device=d{i % 4} v={i % 9} {START_US + (part * 50_000 + i) * 100_000}" for i in range(50_000))
            assert service.write("\n".join(lines)) == 204
        wait_for(lambda: parts(service), what="the stored part")
        assert service.write(f"many,device=d0 v=1 {START_US}\nmany,device=d5 v=1 {START_US + 1}") == 204
        wait_for(lambda: len(panel(service, "big")["answer"]) == 5, what="the answer with what came late")
        found = panel(service, "big")
        assert (found["panel"]["parts"], found["panel"]["parts_reason"], found["panel"]["running"]) == ("big.parts", "", "hybrid")
        order = "ORDER BY device"
        assert service.query(f"SELECT * EXCLUDE (_as_of) FROM big {order}") == service.query(f"{sql} {order}")
        service.kill()
        service.start()
        assert parts(service)
        assert panel(service, "big")["panel"]["parts"] == "big.parts"
        text = service.config_file.read_text()
        service.config_file.write_text(text.replace("avg(v)", "median(v)"))
        reload(service)
        wait_for(lambda: "median" in panel(service, "big")["panel"]["parts_reason"], what="why there is none")
        assert parts(service) == []
