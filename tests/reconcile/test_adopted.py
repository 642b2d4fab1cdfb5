"""A box of before there were tallies: the first full pass takes what it holds for true, says so, and later changes are noticed."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from tests import golden
from tests.reconcile.rewriting import rewrite_file
from tests.reconcile.test_running import reconcile
from tests.running import Running, wait_for

CONFIG = '[roll]\nevery = "200ms"\n[compact]\nenabled = false\n'


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    """Of format 3, which knew no tallies; its hot records are rolled at once."""
    folder = tmp_path / "data"
    with tarfile.open(Path(golden.__file__).with_name("box-3.tar.gz")) as tar:
        tar.extractall(folder, filter="data")
    running = Running(folder, config=CONFIG, sources="source = []\n").start()
    yield running
    running.stop()


def books(service: Running) -> str:
    """Of the one stream: whether the segments hold what the books have."""
    status, body = service.request("GET", "/api/consistency")
    assert status == 200, body
    [stream] = json.loads(body)["streams"]
    return str(stream["books"])


@contextmanager
def stored(service: Running) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(service.folder / "hot.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA busy_timeout=5000")
        yield db


def all_but_one(table: pa.Table) -> pa.Table:
    return table.slice(1)


@pytest.mark.timeout(400)  # four passes of batch work, which gives way to every other test
def test_unknown_tallies_are_taken_for_true_once_and_then_held_against_the_files(service: Running) -> None:
    wait_for(lambda: all(s["hot_rows"] == 0 for s in service.status()["streams"]), what="the roll")
    with stored(service) as db:
        unknown = db.execute("SELECT count(*) FROM segment WHERE state = 'live' AND tallies IS NULL").fetchone()[0]
        assert unknown, "there is something of before"
    assert books(service) == "unknown"
    assert reconcile(service) == (0, []), "what is not known is no false alarm"
    assert books(service) == "unknown"
    assert reconcile(service, "--full") == (0, [])
    assert books(service) == "agree"
    with stored(service) as db:
        assert db.execute("SELECT count(*) FROM segment WHERE state = 'live' AND tallies IS NULL").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM tally WHERE rows IS NULL").fetchone() == (0,)
        [(number, path)] = db.execute("SELECT id, path FROM segment WHERE state = 'live' ORDER BY rows DESC LIMIT 1").fetchall()
        digest, size, rows = rewrite_file(service.folder / path, all_but_one)
        db.execute("UPDATE segment SET sha256 = ?, bytes = ?, rows = ? WHERE id = ?", (digest, size, rows, number))
    assert service.stop() == 0
    service.start()
    status, found = reconcile(service, "--full")
    assert status == 3
    assert [(f["kind"], f["where"]) for f in found if f["kind"].startswith("segment")] == [("segment lacks rows", path)]
