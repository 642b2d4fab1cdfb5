"""A folder is opened as the last process left it, however that one ended, and by one process only."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from appliance.box import Box, open_box
from appliance.clock import US_PER_DAY
from appliance.door.lake_commits import commit_compaction
from appliance.door.twins import FutureSpan
from appliance.errors import RetryLater, StoreBusy, StoreDamaged, StoreTooNew
from appliance.hot.store import FORMAT_VERSION
from appliance.manifest import Segment
from tests.clock import NOON_US, FakeClock
from tests.door import batches
from tests.door.batches import at, batch, ring_rows, rows_of, send
from tests.door.conftest import Opens
from tests.door.picture import picture

ROOT = Path(__file__).parents[2]


def roll(box: Box, key: str, *, mark: int) -> None:
    """As a roll ends, without files."""
    box.writer.call(lambda c: c.commit_roll(key, (), mark=mark)).result(30)


def fill(box: Box, clock: FakeClock) -> None:
    """Every feature of a stream at once."""
    for i in range(30):
        clock.pass_s(1)
        send(box, batch("all", [at(i), at(i - 3)], tags={"t": [f"v{i % 4}", "w"], "u": [None, f"{i % 2}"]}, x=[i, None], note=["é", None]))
        send(box, batch("files", [at(0)] * 3, name=["a", "b", "c"], n=[i] * 3), source="drop:files.csv", format_="csv")
        send(box, batch("by", [at(i), at(1)], tags={"device": ["a", "b"], "room": [f"r{i % 3}", "r0"]}, x=[1.0, i + 0.5]))
    send(box, batch("all", [at(200 * 86_400), at(1800)], tags={"t": ["far", "soon"]}, x=[1.5, 2.5]))


TEXT = '[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1ms"\n[stream.by]\nidentity = ["device", "ts"]\n'


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("rolled", [0.0, 0.5, 1.0])
def test_everything_is_there_again_after_a_restart(tmp_path: Path, clock: FakeClock, clean: bool, rolled: float) -> None:
    folder = tmp_path / "a"
    box = batches.open_box(folder, TEXT, clock=clock)
    fill(box, clock)
    if rolled:
        for key, state in box.state.streams.items():
            roll(box, key, mark=int(state.last_seq * rolled))
        send(box, batch("all", [at(2000)], tags={"t": ["late"]}, x=[9.0], grown=[True]))
    before = picture(box)
    assert before["all"]["future"] == FutureSpan(at(200 * 86_400), at(200 * 86_400))
    if not clean:
        folder = tmp_path / "b"
        shutil.copytree(tmp_path / "a", folder)
    box.close()
    clock.now -= 30 * US_PER_DAY
    again = batches.open_box(folder, TEXT, clock=clock)
    assert again.was_clean is clean
    assert not again.lost_wal
    assert picture(again) == before
    again.close()


def test_a_box_that_was_opened_and_closed_holds_nothing_new(opens: Opens, clock: FakeClock) -> None:
    fill(opens(TEXT), clock)
    first = picture(opens(TEXT))
    assert picture(opens(TEXT)) == first
    box = opens(TEXT)
    assert box.was_clean
    assert rows_of(box, "all") == ring_rows(box, "all")


def test_a_small_ring_is_filled_with_the_newest(opens: Opens, clock: FakeClock) -> None:
    fill(opens(TEXT), clock)
    box = opens(TEXT.replace("[hot]", '[hot]\nring_max = "6KiB"'))
    assert 0 < box.ring.bytes <= 6 * 1024
    for key, state in box.state.streams.items():
        held = ring_rows(box, key)
        assert held == rows_of(box, key)[len(rows_of(box, key)) - len(held) :]
        assert state.ring_first == (held[0]["_seq"] if held else state.last_seq + 1)


def test_a_second_box_on_the_folder_names_the_first(opens: Opens, tmp_path: Path) -> None:
    box = opens()
    with pytest.raises(StoreBusy, match=rf"process {os.getpid()}\b"):
        batches.open_box(box.folder)
    send(box, batch("s", [at(0)], x=[1]))
    box.close()
    with open_box(batches.config(box.folder)) as other:
        assert other.state.streams["s"].last_seq == 1


def test_a_second_process_on_the_folder_is_refused(opens: Opens) -> None:
    box = opens()
    run = subprocess.run(
        [sys.executable, "-m", "tests.door.child", str(box.folder), "load"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"StoreBusy: {box.folder}: another appliance (process {os.getpid()}) holds this folder" in run.stderr


def test_a_box_that_could_not_be_opened_leaves_the_folder_free(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    (folder / "hot.sqlite").write_bytes(b"this is no database" * 500)
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="not a database"):
            batches.open_box(folder)
    (folder / "hot.sqlite").unlink()
    batches.open_box(folder).close()


def touched(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name.startswith("hot.sqlite") and not p.name.endswith("-shm")}


@pytest.mark.parametrize("clean", [True, False])
def test_a_folder_of_a_later_version_is_refused_untouched(tmp_path: Path, clock: FakeClock, clean: bool) -> None:
    box = batches.open_box(tmp_path / "a", clock=clock)
    send(box, batch("s", [at(0)], x=[1]))
    box.store.connection.execute("PRAGMA user_version=99")
    folder = tmp_path / "b"
    if not clean:
        shutil.copytree(tmp_path / "a", folder)
    box.close()
    if clean:
        shutil.copytree(tmp_path / "a", folder)
    before = touched(folder)
    assert ("hot.sqlite-wal" in before) is not clean
    with pytest.raises(StoreTooNew, match=rf"format 99, this one knows {FORMAT_VERSION}\); install that version"):
        batches.open_box(folder)
    assert touched(folder) == before


def test_a_store_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    box = batches.open_box(tmp_path / "a")
    box.close()
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "hot.sqlite").symlink_to(tmp_path / "a" / "hot.sqlite")
    with pytest.raises(StoreDamaged, match="symbolic link"):
        batches.open_box(folder)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "appliance.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StoreDamaged, match="can't be used as data folder"):
        batches.open_box(folder)
    assert not (tmp_path / "precious").exists()


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "box").write_text("a file")
    with pytest.raises(StoreDamaged, match="can't be used as data folder"):
        batches.open_box(tmp_path / "box")


def test_a_flipped_bit_in_a_batch_is_noticed(opens: Opens, tmp_path: Path) -> None:
    box = opens()
    send(box, batch("s", [at(i) for i in range(50)], note=[f"some text {i}" for i in range(50)]))
    box.close()
    path = box.folder / "hot.sqlite"
    with sqlite3.connect(path) as db:
        (body,) = db.execute("SELECT body FROM batch").fetchone()
        db.execute("UPDATE batch SET body = ?", (body[:40] + bytes([body[40] ^ 1]) + body[41:],))
    db.close()
    with pytest.raises(StoreDamaged, match="the records 1 to 50 of stream 's' are not what was written"):
        batches.open_box(box.folder)


def test_a_torn_page_is_said(opens: Opens) -> None:
    box = opens()
    for i in range(200):
        send(box, batch(f"s{i % 20}", [at(i)], note=["x" * 500]))
    box.close()
    path = box.folder / "hot.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 : 30 * 4096] = os.urandom(29 * 4096)
    path.write_bytes(data)
    with pytest.raises(StoreDamaged):
        batches.open_box(box.folder)


def test_a_removed_write_ahead_log_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = batches.open_box(tmp_path / "a")
    send(box, batch("s", [at(0)], x=[1]))
    box.store._checkpoint("TRUNCATE")
    send(box, batch("s", [at(1)], x=[2]), batch("t", [at(1)], x=[2]))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    box.close()
    (tmp_path / "b" / "hot.sqlite-wal").unlink()
    (tmp_path / "b" / "hot.sqlite-shm").unlink()
    again = batches.open_box(tmp_path / "b")
    assert again.lost_wal
    assert "the write-ahead log that it left is missing" in caplog.text
    assert {k: s.last_seq for k, s in again.state.streams.items()} == {"s": 1}
    assert send(again, batch("s", [at(2)], x=[3])).sequences == {"s": (2, 2)}
    again.close()
    third = batches.open_box(tmp_path / "b")
    assert (third.lost_wal, third.was_clean) == (False, True)
    third.close()


def test_a_write_ahead_log_that_was_removed_before_any_checkpoint_is_noticed(tmp_path: Path) -> None:
    box = batches.open_box(tmp_path / "a")
    send(box, batch("s", [at(0)], x=[1]))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    box.close()
    (tmp_path / "b" / "hot.sqlite-wal").unlink()
    again = batches.open_box(tmp_path / "b")
    assert again.lost_wal
    again.close()


@pytest.mark.parametrize("ends", range(0, 40, 3))
def test_an_end_during_the_first_start_needs_no_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: int) -> None:
    """The first statements of a new file are cut off after each number of them."""
    folder = tmp_path / "box"
    folder.mkdir()
    done = 0

    def count(*_: object) -> int:
        nonlocal done
        done += 1
        return int(done > ends * 20)

    real = sqlite3.connect

    def connect(*args: Any, **more: Any) -> sqlite3.Connection:
        found: sqlite3.Connection = real(*args, **more)
        found.set_progress_handler(count, 10)
        return found

    monkeypatch.setattr(sqlite3, "connect", connect)
    with suppress(StoreDamaged, RetryLater, sqlite3.Error):
        batches.open_box(folder).close()
    monkeypatch.undo()
    box = batches.open_box(folder)
    assert send(box, batch("s", [at(0)], x=[1])).records == 1
    box.close()


def test_segments_lost_ones_and_dirty_days_come_back(opens: Opens) -> None:
    box = opens()
    send(box, batch("s", [at(5), at(1), at(1)], x=[1, 2, 3]))
    day = NOON_US // US_PER_DAY
    made = [Segment(0, "s", d, f"lake/s/{d}.parquet", 1, 3, 1, 0, 9, 10, "ab", 1, 0) for d in (day, day - 1, day - 2)]
    box.writer.call(lambda c: c.commit_roll("s", made, mark=3)).result(30)
    first = box.state.streams["s"].segments
    assert [s.day for s in first] == [day - 2, day - 1, day]
    assert all(s.id for s in first)
    box.set_aside("s", first[0], state="missing", reason="is missing")
    outputs = [Segment(0, "s", day, "lake/s/c.parquet", 1, 3, 1, 0, 9, 10, "cd", 1, 1)]
    compact = box.writer.call(
        lambda c: commit_compaction(c, "s", [first[2]], outputs, clean_days=range(day, day + 1), up_to_seq=3, changes={})
    )
    assert compact.result(30) is True
    again = box.writer.call(
        lambda c: commit_compaction(c, "s", [first[2]], outputs, clean_days=range(day, day + 1), up_to_seq=3, changes={})
    )
    assert again.result(30) is False
    state = box.state.streams["s"]
    assert ([s.path for s in state.segments], [s.path for s in state.lost], dict(state.dirty)) == (
        [f"lake/s/{day - 1}.parquet", "lake/s/c.parquet"],
        [f"lake/s/{day - 2}.parquet"],
        {},
    )
    box = opens()
    assert (box.state.streams["s"].segments, box.state.streams["s"].lost) == (state.segments, state.lost)
    reader = box.reader()
    ((replaced, _),) = reader.replaced()
    reader.close()
    assert replaced.path == f"lake/s/{day}.parquet"
    box.writer.call(lambda c: c.forget_replaced([replaced.id])).result(30)
    reader = box.reader()
    assert reader.replaced() == []
    reader.close()


def test_a_day_stays_dirty_when_something_newer_came_meanwhile(opens: Opens) -> None:
    box = opens()
    send(box, batch("s", [at(1), at(1)], x=[1, 2]))
    send(box, batch("s", [at(1)], x=[3]))
    day = NOON_US // US_PER_DAY
    box.writer.call(lambda c: commit_compaction(c, "s", [], [], clean_days=range(day, day + 1), up_to_seq=2, changes={})).result(30)
    assert box.state.streams["s"].dirty[day].seq == 3
    assert opens().state.streams["s"].dirty[day].seq == 3


@pytest.mark.parametrize("identity", ["", '[stream.s]\nidentity = "none"\n'])
@pytest.mark.parametrize("ends", ["ahead", "rolled", "rolled twice"])
def test_last_values_are_saved_a_few_at_a_time(tmp_path: Path, clock: FakeClock, identity: str, ends: str) -> None:
    text = batches.FOR_TESTS + identity
    box = batches.open_box(tmp_path / "a", text, clock=clock)
    names = [f"v{i}" for i in range(20)]
    send(box, batch("s", [at(0)] * 20, tags={"t": names}, x=list(range(20)), y=[0.5] * 20))
    send(box, batch("s", [at(1), at(0)], tags={"t": ["v0", "v1"]}, x=[100, None]))
    calls = 0
    while box.writer.call(lambda c: c.save_last("s", mark=20, series_max=3)).result(30):
        calls += 1
        send(box, batch("s", [at(calls), at(0)], tags={"t": [f"v{calls}", "v19"]}, x=[calls, None], y=[None, float(calls)]))
    assert calls == 6
    if ends != "ahead":
        roll(box, "s", mark=20)
    if ends == "rolled twice":
        roll(box, "s", mark=box.state.streams["s"].last_seq)
    before = picture(box)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    box.close()
    again = batches.open_box(tmp_path / "b", text, clock=clock)
    assert picture(again) == before
    again.close()


def test_a_roll_of_many_series_lets_others_pass(opens: Opens) -> None:
    box = opens()
    count = 7_000
    send(box, batch("s", [at(0)] * count, tags={"t": [f"v{i}" for i in range(count)]}, x=[1] * count))
    box.commit_roll("s", (), mark=count)
    assert (box.state.streams["s"].mark, box.state.streams["s"].hot_rows) == (count, 0)
    steps = [box.writer.call(lambda c: c.save_last("s", mark=count)).result(30)]
    assert steps == [False]
    assert len(opens().last_values("s")) == count


def test_last_values_are_those_of_the_whole_stream(opens: Opens, clock: FakeClock) -> None:
    box = opens(TEXT)
    send(box, batch("s", [at(1), at(1)], tags={"t": ["a", "b"]}, x=[1, 2], y=[0.5, None]))
    box.writer.call(lambda c: c.commit_roll("s", (), mark=2)).result(30)
    send(box, batch("s", [at(1), at(0)], tags={"t": ["a", "b"]}, x=[None, 7], z=[True, False]))
    for again in (False, True):
        rows = (opens(TEXT) if again else box).last_values("S").to_pylist()
        assert sorted((r["t"], r["x"], r["y"], r["z"], r["_seq"]) for r in rows) == [("a", 1, 0.5, True, 3), ("b", 2, None, None, 2)]
