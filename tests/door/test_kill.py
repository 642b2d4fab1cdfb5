"""A process that is really killed, or that really has no room."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.box import Box
from tests.door import child
from tests.door.batches import ring_rows, rows_of
from tests.door.picture import picture, valued
from tests.nursery import SERVICE, Forked, nursery
from tests.tally.books import check_books

SEED = random.SystemRandom().randrange(1_000_000)


@contextmanager
def running(folder: Path, what: str) -> Iterator[Forked]:
    process = nursery(SERVICE).start("tests.door.child", str(folder), what, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        assert said_by(process) == "open\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def said_by(process: Forked) -> str:
    """The next line; empty when there is none any more."""
    assert process.stdout is not None
    return process.stdout.readline().decode()


def acknowledged(lines: list[str]) -> dict[str, int]:
    """The highest sequence of each stream that somebody was told; each follows the one before."""
    highest: dict[str, int] = {}
    for line in lines:
        words = line.split()
        for stream, first, last in zip(words[::3], words[1::3], words[2::3], strict=True):
            assert int(first) == highest.get(stream, int(first) - 1) + 1
            highest[stream] = int(last)
    return highest


def check_rows(box: Box, told: dict[str, int]) -> None:
    for stream, last in told.items():
        rows = rows_of(box, stream)
        assert [r["_seq"] for r in rows] == list(range(1, box.state.streams[stream].last_seq + 1))
        assert len(rows) >= last
        held = ring_rows(box, stream)
        assert [valued(r) for r in rows[len(rows) - len(held) :]] == [valued(r) for r in held]
    two = rows_of(box, "two")
    assert [r["n"] for r in two] == [i + k for i in range(len(two) // 40) for k in range(40)]


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    folder = tmp_path / "box"
    for _ in range(3):
        with running(folder, "load") as process:
            lines = [said_by(process) for _ in range(rng.randrange(5, 90))]
            process.send_signal(signal.SIGKILL)
            rest, _ = process.communicate()
            lines += [line for line in rest.decode().splitlines(keepends=True) if line.endswith("\n")]
        box = child.make_box(folder)
        assert not box.was_clean
        found = picture(box, keep_ring=False)
        highest = acknowledged(lines)
        for stream, last in highest.items():
            assert box.state.streams[stream].last_seq >= last
        box.close()
        check_books(folder)
        box = child.make_box(folder)
        assert picture(box, keep_ring=False) == found
        box.close()
        for name in ("hot.sqlite", "hot.sqlite-wal"):
            assert not (folder / name).is_symlink()
    with running(tmp_path / "fresh", "load") as process:
        lines = [said_by(process) for _ in range(60)]
    box = child.make_box(tmp_path / "fresh")
    check_rows(box, acknowledged(lines))
    box.close()


def test_a_limit_on_file_sizes_is_a_full_disk(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    with running(folder, "full") as process:
        assert process.stdin is not None
        lines: list[str] = []
        while not (line := said_by(process)).startswith("refused"):
            assert line, "the process has ended"
            lines.append(line)
        assert "can't be written now" in line
        assert said_by(process) == "same\n"
        process.stdin.write(b"make room\n")
        lines += [said_by(process) for _ in range(5)]
        assert said_by(process) == "closed\n"
    box = child.make_box(folder)
    assert box.was_clean
    told = acknowledged(lines)
    assert {k: s.last_seq for k, s in box.state.streams.items()} == told
    check_rows(box, told)
    box.close()
