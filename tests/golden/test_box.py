"""The folder of a box of an earlier version, with a view: this one answers over it, and takes it over."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from appliance.clock import SystemClock
from appliance.hot.store import FORMAT_VERSION
from appliance.serving.alone import answer_alone
from appliance.serving.explain import Explain
from appliance.serving.question import Question
from tests.running import Running

FORMATS = (3, 4, 5)
"""Of the formats of ``hot.sqlite`` that have views; a new one gets a file beside it, and the old ones stay."""
HOURLY = [
    ("2026-11-22T12:00:00Z", "a", 2, 5),
    ("2026-11-22T12:00:00Z", "b", 2, 34),
    ("2026-11-22T13:00:00Z", None, 1, 8),
    ("2026-11-22T14:00:00Z", "a", 1, 64),
]


def test_there_is_a_golden_folder_of_this_format() -> None:
    assert FORMAT_VERSION in FORMATS


@pytest.fixture(params=FORMATS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    place = tmp_path / "data"
    with tarfile.open(Path(__file__).with_name(f"box-{request.param}.tar.gz")) as tar:
        tar.extractall(place, filter="data")
    return place


def shown(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(r["bucket"], r["device"], r["n"], r["total"]) for r in rows]


def asked(folder: Path, sql: str, **more: Any) -> tuple[list[dict[str, Any]], Explain]:
    pieces: list[bytes] = []
    question = Question(sql=sql, id="golden", **more)
    explain = answer_alone(
        question,
        folder=folder,
        memory_max=512 << 20,
        threads=1,
        clock=SystemClock(),
        write=pieces.append,
        on_tick=lambda _share: None,
    )
    return json.loads(b"".join(pieces) or b"[]"), explain


ORDERED = "SELECT * FROM hourly ORDER BY bucket, device NULLS FIRST"


def test_a_view_is_answered_from_its_files_and_the_records_that_came_after(folder: Path) -> None:
    rows, explain = asked(folder, ORDERED)
    assert shown(rows) == HOURLY
    (view,) = explain.views
    assert view.files > 0
    assert len(view.live) > 1


def test_a_service_takes_the_folder_over(folder: Path) -> None:
    sql = asked(folder, "SELECT sql FROM _views")[0][0]["sql"]
    config = f'[workload.hourly]\nkind = "view"\nbucket = "1h"\nsql = """{sql}"""\n'
    service = Running(folder, config=config, sources="source = []\n").start()
    try:
        assert shown(service.query(ORDERED)) == HOURLY
        status, body = service.request("POST", "/api/views/hourly/refresh")
        assert status == 200, body
        assert shown(service.query(ORDERED)) == HOURLY
    finally:
        assert service.stop() == 0
