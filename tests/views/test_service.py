"""Views in a real service: defined at the start, refreshed by themselves, shown on every surface, killed at any step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.main import run
from tests.running import Running, wait_for

HOURLY = "SELECT time_bucket(INTERVAL '1 hour', ts) AS bucket, room, count(*) AS n, sum(t) AS t FROM air GROUP BY ALL"
CONFIG = '[workload.hourly]\nkind = "view"\nbucket = "1h"\nsql = "{sql}"\nevery = "1s"\n'
OLD_US = 1_700_000_000_000_000
"""2023-11-14."""
STEPS = ("views.define.durable", "views.computed", "views.renamed", "views.refresh.written", "views.refresh.durable")


def lines(numbers: range) -> str:
    return "\n".join(f"air,room=r{i % 2} t={i} {OLD_US + i * 600_000_000}" for i in numbers)


def view(service: Running) -> dict[str, Any]:
    status, body = service.request("GET", "/api/views")
    assert status == 200, body
    (row,) = json.loads(body)
    found: dict[str, Any] = row
    return found


def is_exact(service: Running) -> bool:
    """The view gives what its SQL gives."""
    order = "ORDER BY bucket, room"
    return service.query(f"SELECT * FROM hourly {order}") == service.query(f"{HOURLY} {order}")


def is_fresh(service: Running) -> bool:
    row = view(service)
    return (row["state"], row["dirty_buckets"]) == ("ok", 0) and bool(row["rows"])


def test_a_view_in_a_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = Running(tmp_path / "data", config=CONFIG.format(sql=HOURLY), module=("tests.faults.program",))
    try:
        service.start()
        wait_for(lambda: "waits for the stream 'air'" in str(view(service)["reason"]), what="the reason")
        assert service.write(lines(range(600))) == 204
        wait_for(lambda: is_fresh(service), what="the first refresh")
        assert is_exact(service)
        assert service.write(lines(range(60, 62)).replace("t=", "t=1000")) == 204
        assert is_exact(service)
        assert run(["views", "refresh", "hourly", "--data-dir", str(service.folder)]) == 0
        assert is_fresh(service)
        assert is_exact(service)
        assert service.query("SELECT state, late_sealed FROM _views") == [{"state": "ok", "late_sealed": 0}]
        text = service.config_file.read_text()
        service.config_file.write_text(text.replace("sum(t) AS t", "max(t) AS t"))
        capsys.readouterr()
    finally:
        if service.is_up:
            service.stop()
    assert run(["views", "--data-dir", str(service.folder)]) == 0
    assert "hourly" in (said := capsys.readouterr().out)
    assert "2023" not in said.splitlines()[0]
    assert run(["query", "SELECT sum(n) AS n FROM hourly", "--data-dir", str(service.folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 600}]


def test_a_service_that_is_killed_at_any_step_of_a_refresh_goes_on_where_it_was(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", config=CONFIG.format(sql=HOURLY), module=("tests.faults.program",))
    try:
        for number, step in enumerate(STEPS):
            service.start("--kill-at", step)
            service.write(lines(range(number * 7, 300 + number * 20)))
            wait_for(service.has_died, what=f"its end at {step}")
            service.start()
            assert is_exact(service)
            wait_for(lambda: is_fresh(service), what="a refresh")
            assert is_exact(service)
            if step != STEPS[-1]:
                service.kill()
        files = {str(p.relative_to(service.folder)) for p in (service.folder / "views").rglob("*") if p.is_file()}
        assert len(files) == view(service)["files"]
    finally:
        if service.is_up:
            service.kill()
