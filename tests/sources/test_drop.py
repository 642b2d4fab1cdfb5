"""The drop folder: what is taken, what goes to failed/, and that each content is taken once."""

from __future__ import annotations

import errno
import gzip
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.clock import SystemClock
from appliance.errors import ConfigRefused
from appliance.options import DropSource
from appliance.records import Receipt, Submission
from appliance.sources.codecs import blocks
from appliance.sources.drop import DropFolder
from appliance.sources.drop.inbox import Found, Inbox, Look
from appliance.sources.drop.settle import Settling
from appliance.sources.file_names import printable
from tests.running import ROOT, wait_for
from tests.sources.boxes import SOON, dropped, shelf


def test_each_notation_becomes_records_and_moves_to_done(tmp_path: Path) -> None:
    with dropped(tmp_path, before={"early.csv": b"v\n1\n2\n"}) as box:
        box.put("a.csv")
        box.put("readings/b.jsonl.gz", gzip.compress(b'{"v":1}\n{"v":2}\n'))
        box.put("c.lp", b"m v=1\nn v=2\n")
        box.put("empty.csv", b"")
        for name in ("early.csv", "a.csv", "readings/b.jsonl.gz", "c.lp", "empty.csv"):
            box.arrives(name)
        assert [len(box.rows(stream)) for stream in ("early", "a", "readings", "m", "n")] == [2, 1, 2, 1, 1]
        assert [path for path in box.everything() if not path.startswith("done/")] == []
        status = box.drop.status()
        assert (status.state, status.records, status.rejected) == ("ok", 7, 0)


def test_the_same_name_again_overwrites_nothing(tmp_path: Path) -> None:
    with dropped(tmp_path) as box:
        one = gzip.compress(b"v\n1\n")
        box.put("a.csv.gz", one)
        box.arrives("a.csv.gz")
        box.put("a.csv.gz", gzip.compress(b"v\n2\n"))
        assert gzip.decompress(box.arrives("a.1.csv.gz").read_bytes()) == b"v\n2\n"
        box.put("a.csv.gz", one)
        box.arrives("a.2.csv.gz")
        assert sorted(box.values("v")) == [1, 2]
        assert "1 known already" in box.drop.status().detail


def test_a_file_that_has_grown_since_brings_only_its_new_lines(tmp_path: Path) -> None:
    with dropped(tmp_path) as box:
        for rows in (3, 5, 9):
            box.put("log.csv", b"v\n" + b"".join(b"%d\n" % n for n in range(rows)))
            box.arrives("log.csv" if rows == 3 else f"log.{1 if rows == 5 else 2}.csv")
            assert len(box.rows("log")) == rows
        assert box.values("v", "log") == list(range(9))


def test_a_file_that_has_grown_waits_while_it_is_not_known_what_was_taken_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[int] = []
    folder = Inbox._folder

    @contextmanager
    def scarce(inbox: Inbox, *parts: str) -> Iterator[int]:
        if parts[:1] == ("done",) and not faults:
            faults.append(1)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        with folder(inbox, *parts) as descriptor:
            yield descriptor

    with dropped(tmp_path) as box:
        box.put("log.csv", b"v\n1\n2\n")
        box.arrives("log.csv")
        monkeypatch.setattr(Inbox, "_folder", scarce)
        box.put("log.csv", b"v\n1\n2\n3\n")
        box.arrives("log.1.csv")
        assert faults
        assert box.values("v", "log") == [1, 2, 3]


def test_a_file_that_grows_while_it_is_taken_brings_the_rest_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that opens the file for each line: between two of them it looks finished."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1024)
    with dropped(tmp_path) as box:
        work = box.inbox / ".work" / "log.csv"
        door = box.box.door.submit_blocking
        lines = iter(range(2_000, 2_003))

        def append(submission: Submission, timeout_s: float | None = None) -> Receipt:
            receipt = door(submission, timeout_s)
            if (line := next(lines, None)) is not None:
                with work.open("ab") as file:
                    file.write(b"%d\n" % line)
            return receipt

        monkeypatch.setattr(box.box.door, "submit_blocking", append)
        box.put("log.csv", b"v\n" + b"".join(b"%d\n" % n for n in range(2_000)))
        box.arrives("log.csv")
        assert box.values("v", "log") == list(range(2_003))


def test_a_file_is_not_taken_while_it_is_being_written(tmp_path: Path) -> None:
    with dropped(tmp_path) as box:
        slow = (box.inbox / "slow.csv").open("wb")
        slow.write(b"v\n1\n")
        slow.flush()
        box.put("other.csv")
        box.arrives("other.csv")
        wait_for(lambda: "open for writing" in box.drop.status().detail, what="the open file to be said")
        slow.write(b"2\n")
        slow.close()
        box.arrives("slow.csv")
        assert box.values("v", "slow") == [1, 2]


def test_names_of_unfinished_files_are_left_alone(tmp_path: Path) -> None:
    names = [".hidden.csv", "a.csv.part", "b.csv.tmp", "c.csv~"]
    with dropped(tmp_path, before=dict.fromkeys(names, b"v\n1\n")) as box:
        box.put("last.csv")
        box.arrives("last.csv")
        assert sorted(name for name in box.everything() if not name.startswith("done")) == sorted(names)


def test_what_is_no_file_of_records_goes_to_failed_with_the_reason(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_bytes(b"v\n1\n")
    with dropped(tmp_path) as box:
        inbox = box.inbox
        (inbox / "link.csv").symlink_to(secret)
        (inbox / "escape").symlink_to("/etc")
        os.mkfifo(inbox / "pipe.csv")
        (inbox / "folder.csv").mkdir()
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(inbox / "socket.csv"))
        for name in ("esc\x1b[31m.csv", "new\nline.csv", "utf\udcff8.csv"):
            (inbox / name).write_bytes(b"v\n1\n")
        assert "symbolic link" in box.failed("link.csv")
        assert "symbolic link" in box.failed("escape")
        assert "a pipe" in box.failed("pipe.csv")
        assert "a folder" in box.failed("folder.csv")
        assert "a socket" in box.failed("socket.csv")
        assert "control characters" in box.failed("esc\x1b[31m.csv")
        assert "control characters" in box.failed("new\nline.csv")
        assert "not UTF-8" in box.failed("utf\udcff8.csv")
        server.close()
        assert secret.read_bytes() == b"v\n1\n"
        assert not box.box.state.streams


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("binary.csv", b"\x89PNG\r\n\x1a\n" + bytes(1_000), "zero bytes"),
        ("utf16.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("cut.csv.gz", gzip.compress(b"v\n1\n" * 100)[:-9], "ends too early"),
        ("bomb.csv.gz", gzip.compress(bytes(40_000_000)), "zero bytes"),
        ("no.parquet", b"PAR1....", "no readable Parquet"),
        ("headerless.csv", b"1,2\n3,4\n", "a header is needed"),
        ("big.csv", bytes(5_000_000), "limit of a file"),
    ],
    ids=["binary", "utf16", "cut", "bomb", "parquet", "headerless", "big"],
)
def test_content_that_can_not_be_read_goes_to_failed(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    options = DropSource(rescan_s=0.2, settle_s=0.05, file_bytes_max=4_000_000)
    text = '[limits]\ndisk_free_min = 1\n[[source]]\nkind = "drop"\nfile_max = 4_000_000\n'
    with dropped(tmp_path, options, text=text) as box:
        box.put(name, data)
        said = box.failed(name)
        assert reason in said
        assert "records taken" in said
        assert (box.inbox / "failed" / name).read_bytes() == data
        box.put("good.csv")
        box.arrives("good.csv")
        assert "1 in failed/" in box.drop.status().detail


def test_a_hard_link_and_a_copy_are_taken_once(tmp_path: Path) -> None:
    with dropped(tmp_path) as box:
        outside = tmp_path / "outside.csv"
        outside.write_bytes(b"v\n1\n")
        (box.inbox / "s").mkdir()
        os.link(outside, box.inbox / "s" / "link.csv")
        shutil.copy(outside, box.inbox / "s" / "copy.csv")
        box.arrives("s/link.csv")
        box.arrives("s/copy.csv")
        assert box.values("v", "s") == [1]


def test_a_name_of_255_bytes_is_taken_and_moved_and_numbered(tmp_path: Path) -> None:
    name = "n" * 251 + ".csv"
    with dropped(tmp_path) as box:
        box.put(name)
        box.arrives(name)
        box.put(name, b"v\n2\n")
        box.arrives("n" * 249 + ".1.csv")
        box.put(name, b"1,2\n")
        box.arrives("n" * 248 + ".reason", "failed")


def test_deep_folders_are_said_and_left(tmp_path: Path) -> None:
    with dropped(tmp_path) as box:
        deep = box.inbox / "s" / "deeper"
        deep.mkdir(parents=True)
        (deep / "a.csv").write_bytes(b"v\n1\n")
        wait_for(lambda: "deeper" in box.drop.status().detail, what="the folder to be said")
        assert (deep / "a.csv").exists()


def test_many_files_at_once_are_each_taken_once(tmp_path: Path) -> None:
    files = {f"s/{n}.csv": b"v\n%d\n" % n for n in range(300)}
    with dropped(tmp_path, before=files) as box:
        wait_for(lambda: len(list((box.inbox / "done").rglob("*.csv"))) == 300, what="300 files in done/")
        assert sorted(box.values("v", "s")) == list(range(300))


def test_a_file_without_an_event_is_found_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DropFolder, "_watch", lambda _self: None)
    looks, look = [], Inbox.look

    def noted(inbox: Inbox) -> Look:
        looks.append(1)
        return look(inbox)

    monkeypatch.setattr(Inbox, "look", noted)
    with dropped(tmp_path) as box:
        wait_for(lambda: looks, what="the first look, which finds nothing")
        box.put("a.csv")
        box.arrives("a.csv")


def test_a_leftover_of_an_earlier_process_is_gone_on_with(tmp_path: Path) -> None:
    with dropped(tmp_path, before={".work/s/a.csv": b"v\n1\n", ".work/b.csv": b"v\n2\n"}) as box:
        box.arrives("s/a.csv")
        box.arrives("b.csv")
        assert sorted(box.values("v", "s") + box.values("v", "b")) == [1, 2]


def test_the_folder_may_vanish_and_come_back(tmp_path: Path) -> None:
    with dropped(tmp_path) as box:
        box.inbox.rename(tmp_path / "gone")
        wait_for(box.inbox.is_dir, what="the folder to be made again")
        (tmp_path / "a.csv").write_bytes(b"v\n1\n")
        (tmp_path / "a.csv").rename(box.inbox / "a.csv")
        box.arrives("a.csv")


def test_a_defect_costs_the_file_and_not_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with dropped(tmp_path) as box:
        with monkeypatch.context() as patch:
            patch.setattr(box.taker, "take", _broken)
            box.put("a.csv")
            assert "a defect of the appliance" in box.failed("a.csv")
        assert any(record.levelno == logging.ERROR for record in caplog.records)
        box.put("b.csv")
        box.arrives("b.csv")


def _broken(*_arguments: Any, **_options: Any) -> None:
    raise TypeError("a defect")


def test_a_file_that_can_not_be_read_stays_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with dropped(tmp_path) as box:
        with monkeypatch.context() as patch:
            patch.setattr(Inbox, "open_claimed", _denied)
            box.put("a.csv")
            wait_for(lambda: "Permission denied" in box.drop.status().detail, what="the file to be said")
        box.arrives("a.csv")


def _denied(*_arguments: Any) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read a file")
def test_a_file_of_somebody_else_is_said_and_waits() -> None:
    """In a process that gives up root's rights when everything is running."""
    program = """
import os, sys
from pathlib import Path
from tests.sources.boxes import dropped, wait_for
with dropped(Path(sys.argv[1])) as box:
    box.put("first.csv")
    box.arrives("first.csv")
    for name in ("", ".work", "done", "failed"):
        (box.inbox / name).chmod(0o777)
    os.seteuid(65534)
    box.put("theirs.csv")
    wait_for(lambda: "Permission denied" in box.drop.status().detail, what="the file to be said")
    box.put("mine.csv")
    box.arrives("mine.csv")
    assert (box.inbox / "theirs.csv").exists()
    os.seteuid(0)
"""
    program = program.replace(
        'box.put("theirs.csv")', 'os.seteuid(0); box.put("theirs.csv"); (box.inbox / "theirs.csv").chmod(0o600); os.seteuid(65534)'
    )
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        done = subprocess.run([sys.executable, "-c", program, name], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_can_not_be_made_refuses_the_config(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with shelf(tmp_path) as box:
        drop = DropFolder(DropSource(folder=str(tmp_path / "file" / "inbox")), taker=box.taker, data_dir=tmp_path, clock=SystemClock())
        with pytest.raises(ConfigRefused, match="can't be used"):
            drop.start()


def test_a_file_settles_when_size_time_and_inode_stand_still() -> None:
    settling = Settling(settle_ns=500)

    def look(now_ns: int, *look: int) -> list[str]:
        return [found.name for found in settling.look([Found("", "a", (look[0], look[1], look[2]))], now_ns=now_ns)]

    assert look(0, 1, 1, 1) == []
    assert settling.next_ns == 500
    assert look(499, 1, 1, 1) == []
    assert look(500, 1, 1, 1) == ["a"]
    assert settling.next_ns is None
    assert look(600, 2, 1, 1) == []
    assert look(700, 2, 2, 1) == []
    assert look(800, 2, 2, 2) == []
    assert look(1_300, 2, 2, 2) == ["a"]
    assert settling.look([], now_ns=1_400) == []
    assert look(1_500, 2, 2, 2) == []


def test_a_drop_folder_is_named_by_its_place() -> None:
    assert printable(Found("s", "a\x1b", (0, 0, 0)).label) == "s/a\\x1b"
    assert SOON.settle_s < SOON.rescan_s
