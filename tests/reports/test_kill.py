"""A real service that is killed at each step of issuing a report: nothing is lost, nothing is there twice, nothing is left lying about."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.running import Running, wait_for

STEPS = ("report.written:1", "report.renamed:2", "report.registering:1", "report.registered:1", "report.handed_over:1")
"""``report.synced`` and ``report.folder_synced`` leave the disk as the step before them does."""
CONFIG = """
[workload.hourly]
kind = "report"
sql = "SELECT count(*) AS n FROM readings WHERE ts >= {since} AND ts < {until}"
notify = ["log"]

[notify.log]
url = "file:notes.jsonl"
rate_max = 100000
"""


def test_a_kill_at_any_step_leaves_one_report_its_files_and_at_least_one_message(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", config=CONFIG, sources="source = []\n", module=("tests.faults.program",))
    try:
        for number, step in enumerate(STEPS):
            service.start("--kill-at", step)
            if number == 0:
                assert service.write("readings value=1 1795262400000000") == 204
            issue(service, f"2026-11-{10 + number}")
            wait_for(service.has_died, what=f"the kill at {step}")
        service.start()
        folder = tmp_path / "data" / "reports" / "hourly"
        left = [p.name for p in folder.iterdir()]
        assert {n for n in left if n.endswith(".tmp") or n[:10] < "2026-11-13"} == set(), "what was not registered went at the start"
        for number in range(len(STEPS)):
            status, _ = issue(service, f"2026-11-{10 + number}")
            assert status == 200
        rows = service.query("SELECT day, revision FROM _reports ORDER BY day")
        assert rows == [{"day": f"2026-11-{10 + n}", "revision": 1} for n in range(len(STEPS))]
        check_files(service, folder)
        check_messages(tmp_path / "data" / "notes.jsonl")
        service.stop()
    finally:
        if service.is_up:
            service.kill()


def issue(service: Running, day: str) -> tuple[int, bytes]:
    """0 where the service died meanwhile."""
    try:
        return service.request("POST", "/api/reports/issue", body=json.dumps({"name": "hourly", "day": day}).encode())
    except OSError:
        return 0, b""


def check_files(service: Running, folder: Path) -> None:
    issues = json.loads(service.request("GET", "/api/reports")[1])["issues"]
    files = {f["path"]: f["sha256"] for i in issues for f in i["files"]}
    assert {f"reports/hourly/{p.name}" for p in folder.iterdir()} == set(files)
    for path, sha256 in files.items():
        status, content = service.request("GET", f"/api/reports/file/{path}")
        assert status == 200
        assert hashlib.sha256(content).hexdigest() == sha256


def check_messages(notes: Path) -> None:
    def told() -> list[dict[str, str]]:
        return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []

    wait_for(lambda: len({m["title"] for m in told()}) == len(STEPS), what="a message about each report")
    assert len({(m["title"], m["idempotency_key"]) for m in told()}) == len(STEPS), "told again, it has the same key"
