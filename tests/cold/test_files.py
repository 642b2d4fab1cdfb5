"""Publishing: whole or not at all, and on the disk in the right order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cold.files import Publisher, remove
from appliance.cold.lake import clean
from appliance.errors import RetryLater, StoreDamaged
from tests.cold.making import files_below, small_files

STEPS = ["segment.written", "segment.synced", "segment.renamed", "segment.folder_synced"]


def fill(content: bytes, name: str = "a.parquet"):  # type: ignore[no-untyped-def]  # a closure over two values
    def write(tmp: Path) -> tuple[str, int]:
        tmp.write_bytes(content)
        return name, len(content)

    return write


def test_a_published_file_is_whole_and_nothing_temporary_remains(tmp_path: Path) -> None:
    steps: list[str] = []
    assert Publisher(tmp_path, owner="roll", step=steps.append).publish("lake/s/d", fill(b"abc")) == 3
    assert files_below(tmp_path) == ["lake/s/d/a.parquet"]
    assert (tmp_path / "lake/s/d/a.parquet").read_bytes() == b"abc"
    assert steps == STEPS


def test_the_file_is_synced_before_its_name_and_each_new_folder_in_its_parent(tmp_path: Path, synced: list[str]) -> None:
    Publisher(tmp_path, owner="roll", step=lambda s: synced.append(f"[{s}]")).publish("lake/s/d", fill(b"abc"))
    assert synced == [
        ".",
        "lake",
        "lake/s",
        "[segment.written]",
        "lake/s/d/roll-1.tmp",
        "[segment.synced]",
        "[segment.renamed]",
        "lake/s/d",
        "[segment.folder_synced]",
    ]


def test_a_folder_left_unsynced_by_a_dead_process_is_synced_by_the_next_one_once(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "lake/s/d").mkdir(parents=True)
    publisher = Publisher(tmp_path, owner="roll")
    publisher.publish("lake/s/d", fill(b"abc"))
    assert synced[:3] == [".", "lake", "lake/s"]
    synced.clear()
    publisher.publish("lake/s/d", fill(b"abc", "b.parquet"))
    assert synced == ["lake/s/d/roll-2.tmp", "lake/s/d"]


def test_a_folder_that_was_removed_meanwhile_is_made_and_synced_again(tmp_path: Path, synced: list[str]) -> None:
    publisher = Publisher(tmp_path, owner="roll")
    publisher.publish("lake/s/d", fill(b"abc"))
    remove(tmp_path, ["lake/s/d/a.parquet"], empty_folders=True)
    assert not (tmp_path / "lake").exists()
    synced.clear()
    publisher.publish("lake/s/d", fill(b"abc"))
    assert synced[:3] == [".", "lake", "lake/s"]


def test_a_filling_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write(tmp: Path) -> tuple[str, int]:
        tmp.write_bytes(b"half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        Publisher(tmp_path, owner="roll").publish("lake/s", write)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_each_step_leaves_only_what_a_start_removes(tmp_path: Path, step: str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_AT_STEP, str(tmp_path), step], check=False, capture_output=True, cwd=Path(__file__).parents[2]
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    left = files_below(tmp_path)
    assert len(left) == 1
    assert left[0].endswith(".tmp") == (step in STEPS[:2])
    cleaned = clean(tmp_path, known=())
    assert [*cleaned.temporary, *cleaned.orphans] == left
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("link", ["lake", "lake/s", "lake/s/d", "lake/s/d/a.parquet"])
def test_a_symbolic_link_anywhere_on_the_way_is_refused(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(outside)
    with pytest.raises(StoreDamaged, match="symbolic link"):
        Publisher(tmp_path, owner="roll").publish("lake/s/d", fill(b"abc"))
    assert list(outside.iterdir()) == []
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("path", ["/etc/x", "../x", "lake/../../x", ""])
def test_a_path_outside_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(StoreDamaged, match="outside"):
        remove(tmp_path, [path])


def test_a_disk_without_room_says_later_and_keeps_nothing(tmp_path: Path) -> None:
    with small_files(64 * 1024), pytest.raises(RetryLater, match="no room"):
        Publisher(tmp_path, owner="roll").publish("lake/s", fill(b"x" * 100_000))
    assert files_below(tmp_path) == []


def test_a_failed_sync_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def failing(_fd: int) -> None:
        calls.append(1)
        raise OSError(5, "Input/output error")

    (tmp_path / "lake").mkdir()
    publisher = Publisher(tmp_path, owner="roll")
    publisher.publish("lake", fill(b"abc"))
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StoreDamaged, match="Input/output error"):
        publisher.publish("lake", fill(b"abc", "b.parquet"))
    assert len(calls) == 1
    assert files_below(tmp_path) == ["lake/a.parquet"]


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced, in order, relative to the folder."""
    found: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        found.append(str(Path(f"/proc/self/fd/{fd}").readlink().relative_to(tmp_path)))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


_KILLED_AT_STEP = """
import os, signal, sys
from pathlib import Path
from tests.cold.making import Lake, MIDNIGHT
die_at = sys.argv[2]
lake = Lake(Path(sys.argv[1]), step=lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == die_at else None)
lake.roll([{"ts": MIDNIGHT + i, "device": "a", "value": 1.5} for i in range(1000)])
"""
