"""A disk without room refuses and keeps serving, survives a restart, and takes records again by itself when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.box import Box
from appliance.errors import RetryLater
from tests.clock import FakeClock
from tests.door.batches import at, batch, open_box, rows_of, send


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB in memory."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine lets nobody mount: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Takes every byte that is free."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def until_refused(box: Box) -> int:
    """How many records were taken before."""
    taken = 0
    while True:
        try:
            send(box, batch("s", [at(taken)], note=[os.urandom(5000).hex()]))
        except RetryLater:
            return taken
        taken += 1


def test_a_disk_that_fills_up(small: Path, clock: FakeClock) -> None:
    reserve = small / "reserve"
    reserve.write_bytes(b"x" * 500_000)
    box = open_box(small / "box", clock=clock)
    taken = until_refused(box)
    assert taken > 20
    before = box.state
    for _ in range(3):
        with pytest.raises(RetryLater, match="can't be written now"):
            send(box, batch("new", [at(0)], note=[os.urandom(5000).hex()]))
    ballast = fill(small)
    with pytest.raises(RetryLater):
        box.writer.call(lambda c: c.commit_roll("s", (), mark=1)).result(30)
    assert (box.state, box.writer.failed) == (before, None)
    assert len(rows_of(box, "s")) == taken
    assert len(box.last_values("s")) == 1
    ballast.unlink()
    reserve.unlink()
    box.writer.call(lambda c: c.commit_roll("s", (), mark=taken)).result(30)
    assert send(box, batch("s", [at(taken)], note=["there is room"])).sequences == {"s": (taken + 1, taken + 1)}
    box.close()


@pytest.mark.parametrize("clean", [True, False])
def test_a_start_on_a_full_disk(small: Path, tmp_path: Path, clock: FakeClock, clean: bool) -> None:
    box = open_box(tmp_path / "elsewhere", clock=clock)
    send(box, batch("s", [at(0)], x=[1.0]))
    if clean:
        box.close()
    shutil.copytree(tmp_path / "elsewhere", small / "box")
    if not clean:
        box.close()
    if clean:
        for name in ("hot.sqlite-wal", "hot.sqlite-shm"):  # as a read-only look leaves them; a full disk has no room for new ones
            (small / "box" / name).write_bytes(b"\0" * (32_768 if name.endswith("shm") else 0))
    ballast = fill(small)
    clock.boot = "boot-2"
    box = open_box(small / "box", clock=clock)
    assert len(rows_of(box, "s")) == 1
    for _ in range(2):
        with pytest.raises(RetryLater):
            send(box, batch("s", [at(1)], x=[2.0]))
    ballast.unlink()
    clock.pass_s(1)
    assert send(box, batch("s", [at(1)], x=[2.0])).sequences == {"s": (2, 2)}
    assert box.store.connection.execute("SELECT boot_id FROM batch JOIN boot ON boot.id = batch.boot ORDER BY first").fetchall() == [
        ("boot-1",),
        ("boot-2",),
    ]
    assert box.store.get_meta("clean_shutdown") == "0"
    fill(small)
    box.close()
    assert box.was_clean is clean


def test_a_start_without_any_room_at_all_is_told_to_come_again(small: Path, tmp_path: Path, clock: FakeClock) -> None:
    box = open_box(tmp_path / "elsewhere", clock=clock)
    send(box, batch("s", [at(0)], x=[1.0]))
    box.close()
    shutil.copytree(tmp_path / "elsewhere", small / "box")
    ballast = fill(small)
    with pytest.raises(RetryLater, match="make room"):
        open_box(small / "box", clock=clock)
    ballast.unlink()
    box = open_box(small / "box", clock=clock)
    assert len(rows_of(box, "s")) == 1
    box.close()
