"""The folder answers without a service: after a kill, from a copy, on a disk that can't be written to, with a file missing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import StoreDamaged, StoreTooNew, UsageRefused
from appliance.serving.folder import folder_status, latest_rows, open_folder
from tests.running import Running, run_command, wait_for

ROLLED, HOT = 150, 50
CONFIG = f"[roll]\nevery = '1h'\nrows_max = {ROLLED}\n"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose service was killed: ``mixed`` has 150 records in the lake and 50 in the WAL, ``hot`` 20 in the WAL."""
    home = tmp_path_factory.mktemp("offline")
    service = Running(home / "data", config=CONFIG).start()
    try:
        lines = [f"mixed,device=d{n % 3} value={n} {1_767_225_600_000_000 + n * 1_000_000}" for n in range(ROLLED + HOT)]
        assert service.write("\n".join(lines[:ROLLED])) == 204
        wait_for(lambda: service.status()["lake"]["rows"] == ROLLED, what="the roll")
        assert service.write("\n".join(lines[ROLLED:])) == 204
        assert service.write("\n".join(f'hot,device=a text="t{n}" {1_767_225_600_000_000 + n}' for n in range(20))) == 204
    finally:
        service.kill()
    assert (home / "data" / "hot.sqlite-wal").stat().st_size > 0
    return home / "data"


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    """A copy of it, for this test alone."""
    copy = tmp_path / "data"
    shutil.copytree(killed, copy, ignore=shutil.ignore_patterns("*.sock"))
    return copy


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The folder where nothing can be written: by its mode, or for root, whom no mode stops, on a read-only mount."""
    if os.geteuid() != 0:
        paths = [folder, *folder.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            yield folder
        finally:
            for path in paths:
                path.chmod(0o755 if path.is_dir() else 0o644)
        return
    place = folder.parent / "read-only"
    place.mkdir()
    bind = subprocess.run(["mount", "--bind", str(folder), str(place)], capture_output=True, text=True, check=False)
    if bind.returncode != 0:
        pytest.skip(f"root can't mount here: {bind.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def count(folder: Path, sql: str = "SELECT count(*) AS n FROM mixed", *options: str) -> int:
    done = run_command("query", sql, "--format", "json", "--data-dir", str(folder), *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (row,) = json.loads(done.stdout)
    return int(row["n"])


def test_what_was_acknowledged_before_a_kill_is_answered(folder: Path) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert count(folder) == ROLLED + HOT
    assert count(folder, "SELECT count(*) AS n FROM mixed_hot") == HOT
    assert count(folder, "SELECT count(*) AS n FROM mixed", "--path", "cold") == ROLLED
    assert count(folder, "SELECT count(DISTINCT text) AS n FROM hot") == 20
    assert count(folder, "SELECT count(*) AS n FROM mixed_latest") == 3
    assert count(folder, "SELECT sum(hot_rows)::BIGINT AS n FROM _streams") == HOT + 20
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and not p.name.endswith("-shm")}
    assert after.items() <= before.items()


@pytest.mark.parametrize("left", ["wal and shm", "wal", "neither"])
def test_a_folder_on_a_read_only_disk_answers_with_its_hot_rows(folder: Path, left: str) -> None:
    if left == "neither":
        with contextlib.closing(sqlite3.connect(folder / "hot.sqlite")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for name in ("hot.sqlite-wal", "hot.sqlite-shm"):
            (folder / name).unlink(missing_ok=True)
    elif left == "wal":
        (folder / "hot.sqlite-shm").unlink(missing_ok=True)
    with read_only(folder) as place:
        names = sorted(p.name for p in place.iterdir())
        assert count(place) == ROLLED + HOT
        assert count(place, "SELECT count(*) AS n FROM mixed_latest") == 3
        assert sorted(p.name for p in place.iterdir()) == names


def test_a_copy_of_the_folder_elsewhere_answers_the_same(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "laptop").mkdir()
    folder.rename(tmp_path / "laptop" / "copy of box")
    assert count(tmp_path / "laptop" / "copy of box") == ROLLED + HOT


def test_a_missing_segment_is_said_with_its_range_and_the_rest_is_answered(folder: Path) -> None:
    (segment,) = (folder / "lake").rglob("*.parquet")
    segment.unlink()
    done = run_command("query", "SELECT count(*) AS n FROM mixed", "--format", "csv", "--data-dir", str(folder))
    assert done.returncode == 0
    assert done.stdout.split() == ['"n"', str(HOT)]
    assert f"{ROLLED} records from 2026-01-01T00:00:00Z to 2026-01-01T00:02:29Z" in done.stderr
    assert str(segment.relative_to(folder)) in done.stderr
    assert "is missing" in done.stderr


def test_a_folder_of_a_later_version_is_refused_and_not_touched(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "hot.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew), open_folder(folder):
        pass
    done = run_command("query", "SELECT 1", "--data-dir", str(folder))
    assert done.returncode == 1
    assert "later version" in done.stderr


def test_no_data_folder_and_a_damaged_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageRefused, match="no data folder"), open_folder(tmp_path):
        pass
    assert run_command("query", "SELECT 1", "--data-dir", str(tmp_path / "nowhere")).returncode == 2
    (tmp_path / "hot.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreDamaged), open_folder(tmp_path):
        pass


def test_status_and_last_values_come_from_the_folder_too(folder: Path) -> None:
    status = folder_status(folder)
    found = {s.name: s for s in status.streams}["mixed"]
    assert (found.records, found.hot_rows, found.cold_rows, found.series) == (ROLLED + HOT, HOT, ROLLED, 3)
    assert (status.state, status.health) == ("offline", "OK")
    assert sorted((r["device"], r["value"]) for r in latest_rows(folder, "Mixed")) == [("d0", 198.0), ("d1", 199.0), ("d2", 197.0)]
    with pytest.raises(UsageRefused, match="no stream 'nope'"):
        latest_rows(folder, "nope")


def test_hostile_sql_fails_alone_without_a_service_too(folder: Path) -> None:
    before = {p: p.read_bytes() for p in (folder / "lake").rglob("*.parquet")}
    (segment,) = before
    for sql in (
        f"WITH x AS (COPY (SELECT 1) TO '{segment}') SELECT 1",
        "SELECT len(range(2000000000))",
        "SET memory_limit = '1TB'",
        "SELECT",
    ):
        done = run_command("query", sql, "--data-dir", str(folder))
        assert done.returncode == 1
        assert done.stderr.startswith("appliance: ")
        assert "Traceback" not in done.stderr
    assert before == {p: p.read_bytes() for p in (folder / "lake").rglob("*.parquet")}
