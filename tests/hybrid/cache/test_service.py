"""The cache of a real service: on every surface, right after an acknowledgement, without a process for a hit, empty after a kill."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.running import Running, running, wait_for

START_US = 1_700_000_000_000_000
SQL = "SELECT device, count(*) AS n FROM readings GROUP BY ALL ORDER BY ALL"
CONFIG = '[query]\nidle = "500ms"\n'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("cache") / "data", config=CONFIG) as made:
        assert made.write("\n".join(f"readings,device=d{i % 2} v={i} {START_US + i * 1_000_000}" for i in range(10))) == 204
        yield made


def ask(service: Running, sql: str = SQL, **more: Any) -> tuple[Any, str | None]:
    """The answer, and what its header says of the cache."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.request("POST", "/api/query", json.dumps({"sql": sql, **more}))
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return json.loads(body), answer.headers.get("X-Query-Cache")
    finally:
        connection.close()


def workers(service: Running) -> list[psutil.Process]:
    """Query processes that live."""
    assert service.process is not None
    children = psutil.Process(service.process.pid).children()
    return [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]


def picture(service: Running) -> dict[str, Any]:
    status, body = service.request("GET", "/api/cache")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_record_that_was_acknowledged_is_in_the_next_answer(service: Running) -> None:
    assert ask(service)[1] == "miss"
    for number in range(5):
        assert service.write(f"readings,device=d9 v=1 {START_US - 1_000_000 * (number + 1)}") == 204
        found, cached = ask(service)
        assert (found[-1], cached) == ({"device": "d9", "n": number + 1}, "miss")
        assert ask(service) == (found, "hit")
    assert ask(service, cache=False) == (ask(service)[0], None)
    assert ask(service, explain=True)[0]["cached"] == "the answer is kept, and is given without this work"
    assert "not kept" in ask(service, "SELECT now() AS t", explain=True)[0]["cached"]


def test_a_hit_needs_no_query_process(service: Running) -> None:
    found, _ = ask(service)
    wait_for(lambda: not workers(service), what="the end of idle processes")
    assert ask(service) == (found, "hit")
    assert not workers(service)


def test_every_surface_says_how_the_cache_is(service: Running) -> None:
    ask(service)
    ask(service)
    seen = picture(service)
    assert (seen["hits"] > 0, seen["entries"], seen["rows"][0]["kind"]) == (True, 1, "answer")
    assert 0 < seen["bytes"] <= seen["bytes_max"]
    metrics = service.request("GET", "/metrics")[1].decode()
    assert f'appliance_cache_asked_total{{how="kept"}} {seen["hits"]}' in metrics
    shown = service.command("cache", "status")
    assert "1 kept" in shown.stdout
    assert SQL in shown.stdout
    assert json.loads(service.command("cache", "status", "--json").stdout)["entries"] == 1
    before = picture(service)["hits"]
    assert service.command("query", SQL, "--no-cache", "--format", "json").stdout
    assert picture(service)["hits"] == before
    assert "cache: the answer is kept" in service.command("query", SQL, "--explain").stdout


def test_nothing_is_kept_over_a_kill(service: Running) -> None:
    found, _ = ask(service)
    service.kill()
    service.start()
    assert ask(service) == (found, "miss")
