"""A service with a panel is killed at any step of storing an answer: no answer that was shown is lost, none is there twice."""

from __future__ import annotations

import contextlib
import http.client
import json
from functools import partial
from pathlib import Path

import pytest

from tests.panels.test_moving import CONFIG, SQL, check, panel
from tests.running import Running, wait_for

STEPS = {"hot": ("commit.written:2", "commit.durable:2"), "cold": ("panels.stored",)}
"""The first commit is that of the record, the second that of the answer."""


def write(service: Running, number: int) -> None:
    """A record; what is cold is asked, for the others it is enough that the record came."""
    assert service.write(f"readings,device=d value=1i {1_700_000_000_000_000 + number}") == 204
    if panel(service)["panel"]["path"] == "cold":
        service.request("POST", "/api/jobs/run", body=json.dumps({"name": "load"}).encode())


def is_true(service: Running, count: int) -> bool:
    return bool(sum(row["n"] for row in panel(service)["answer"]) == count)


@pytest.mark.parametrize(("path", "freshness"), [("hot", "2s"), ("cold", "1h")])
def test_a_service_that_is_killed_while_an_answer_is_stored_has_each_answer_once(tmp_path: Path, path: str, freshness: str) -> None:
    config = CONFIG.replace('freshness = "2s"', f'freshness = "{freshness}"')
    service = Running(tmp_path / "data", config=config, module=("tests.faults.program",))
    try:
        service.start()
        write(service, 0)
        wait_for(lambda: is_true(service, 1), what="the first answer")
        for number, step in enumerate(STEPS[path], 1):
            shown = panel(service)["panel"]["number"]
            assert panel(service)["panel"]["made_by"] == path
            service.stop()
            service.start("--kill-at", step)
            with contextlib.suppress(OSError, http.client.HTTPException):  # it may end before it has answered
                write(service, number)
            wait_for(service.has_died, what=f"its end at {step}")
            service.start()
            assert panel(service)["panel"]["number"] in (shown, shown + 1)
            wait_for(partial(is_true, service, number + 1), what="the newest answer")
        assert service.query("SELECT sum(n) AS n FROM load") == service.query(f"SELECT sum(n) AS n FROM ({SQL})")
        check(service)
    finally:
        if service.is_up:
            service.stop()
