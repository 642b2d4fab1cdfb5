"""Deletion and retention, killed at each of their steps: written down or not, never half, and in the end nothing is left of what goes."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from appliance.clock import SystemClock
from appliance.reconcile.verify import verify
from tests.running import Running, wait_for
from tests.tally.books import check_books

CONFIG = """
[roll]
every = "100ms"

[compact]
replaced_keep = "100ms"

[stream.old]
keep = "2d"
"""
DAY_US = 86_400_000_000
AT_START = ("retention.written", "retention.durable")
"""What happens as soon as the service runs, when there is something too old."""
AFTERWARDS = ("compact", "purge", "latest", "purged")
"""What a deletion brings about by itself, in this order."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path / "data", config=CONFIG, sources="source = []\n", module=("tests.faults.program",))
    yield made
    if made.is_up:
        made.kill()


def delete(service: Running, now_us: int) -> None:
    """Everything of device a from two days ago on, unless that is written down already."""
    if service.query("SELECT id FROM _deletions"):
        return
    body = {"stream": "readings", "since_us": now_us - 2 * DAY_US, "where": {"device": "a"}, "reason": "a test", "author": "me"}
    status, said = service.request("POST", "/api/deletions", body=json.dumps(body).encode())
    assert status == 200, said


def is_in_the_lake(service: Running) -> bool:
    return all(s["hot_rows"] == 0 for s in service.status()["streams"])


def files_of(service: Running, stream: str) -> list[Path]:
    return sorted((service.folder / "lake" / stream).rglob("*.parquet"))


def devices_in_files(service: Running) -> list[tuple[str, int]]:
    """Device and value of each row of each file; the files may come and go meanwhile."""
    try:
        tables = [pq.ParquetFile(f).read(["device", "x"]) for f in files_of(service, "readings")]
    except FileNotFoundError:
        return [("a", -1)]
    return sorted((r["device"], int(r["x"])) for table in tables for r in table.to_pylist())


def test_what_is_deleted_or_too_old_goes_for_good_whenever_the_service_dies(service: Running) -> None:
    now_us = SystemClock().now_us()
    service.start()
    lines = [f"readings,device={d} x={n} {now_us - age * DAY_US}" for n, age in enumerate((4, 3, 1)) for d in ("a", "b")]
    lines += [f"readings,device=b x=9 {now_us}", f"old x=1 {now_us - 6 * DAY_US}", f"old x=2 {now_us}"]
    assert service.write("\n".join(lines)) == 204
    wait_for(lambda: is_in_the_lake(service), what="the roll")
    assert service.stop() == 0
    for step in AT_START:
        service.start("--kill-at", f"{step}:1", wait=False)
        wait_for(service.has_died, what=f"the kill at {step}; {service.said()}")
        check_books(service.folder)
    for step in ("delete.written", "delete.durable"):
        service.start("--kill-at", f"{step}:1")
        with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):  # it may die before the answer is out
            delete(service, now_us)
        wait_for(service.has_died, what=f"the kill at {step}; {service.said()}")
        check_books(service.folder)
    for step in (f"{name}.{when}" for name in AFTERWARDS for when in ("written", "durable")):
        service.start("--kill-at", f"{step}:1", wait=False)
        wait_for(service.has_died, what=f"the kill at {step}; {service.said()}")
        check_books(service.folder)
    service.start()
    assert service.query("SELECT device, sum(x) AS x FROM readings GROUP BY device ORDER BY device") == [
        {"device": "a", "x": 1},
        {"device": "b", "x": 12},
    ]
    assert service.query("SELECT device, x FROM readings_latest ORDER BY device") == [{"device": "a", "x": 1}, {"device": "b", "x": 9}]
    ((_, found),) = [(row.pop("gone"), row) for row in service.query("SELECT author, reason, gone IS NOT NULL AS gone FROM _deletions")]
    assert found == {"author": "me", "reason": "a test"}
    wait_for(lambda: devices_in_files(service) == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("b", 9)], what="the files to go")
    assert service.query("SELECT count(*) AS n FROM _removals") == [{"n": 1}]
    assert service.query("SELECT x FROM old") == [{"x": 2}]
    wait_for(lambda: len(files_of(service, "old")) == 1, what="the old file to go")
    assert service.stop() == 0
    assert verify(service.folder).findings == ()
    check_books(service.folder)
