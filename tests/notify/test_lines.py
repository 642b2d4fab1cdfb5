"""``file:`` on a real disk: appended, never into what is something else, never out of the data folder by the way of a link."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from appliance.errors import ConfigRefused
from appliance.notify.channel import Undelivered
from appliance.notify.channels.lines import Lines
from appliance.workload_options import NotifyOptions
from tests.notify.messages import SENDER, item, message


def lines(url: str, folder: Path) -> Lines:
    return Lines(SENDER, NotifyOptions(url=url), data_dir=folder)


def failure(url: str, folder: Path) -> Undelivered:
    with pytest.raises(Undelivered) as undelivered:
        lines(url, folder).send(message(), timeout_s=1)
    return undelivered.value


def test_each_message_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    one = lines("file:logs/alerts%20x.jsonl", tmp_path)
    one.send(message(item("d1")), timeout_s=1)
    one.send(message(item("d2\nd3")), timeout_s=1)
    found = [json.loads(line) for line in (tmp_path / "logs" / "alerts x.jsonl").read_text().splitlines()]
    assert [line["items"][0]["key"] for line in found] == [["d1"], ["d2\nd3"]]


@pytest.mark.parametrize("scheme", ["file:", "file://"])
def test_an_absolute_path_may_lie_anywhere(scheme: str, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    lines(f"{scheme}{elsewhere}/a.jsonl", folder).send(message(), timeout_s=1)
    assert (elsewhere / "a.jsonl").exists()


def test_a_torn_line_stays_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"torn": ')
    lines("file:a", tmp_path).send(message(), timeout_s=1)
    torn, whole = (tmp_path / "a").read_text().splitlines()
    assert torn == '{"torn": '
    assert json.loads(whole)["version"] == 1


def test_what_is_no_file_of_json_lines_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hot.sqlite").write_bytes(b"SQLite format 3\0")
    undelivered = failure("file:hot.sqlite", tmp_path)
    assert not undelivered.retry
    assert (tmp_path / "hot.sqlite").read_bytes() == b"SQLite format 3\0"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "target").write_text("")
    (folder / "link").symlink_to(tmp_path / "target")
    (folder / "out").symlink_to(tmp_path)
    assert not failure("file:link", folder).retry
    assert failure("file:out/target", folder).reason
    assert (tmp_path / "target").read_text() == ""


def test_a_pipe_and_a_device_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in failure("file:pipe", tmp_path).reason
    assert "no regular file" in failure("file:/dev/null", tmp_path).reason
    assert not failure("file:/dev/null", tmp_path).retry
    (tmp_path / "folder").mkdir()
    assert not failure("file:folder", tmp_path).retry


def test_a_folder_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    assert failure("file:usb/alerts.jsonl", tmp_path).retry


@pytest.mark.parametrize(
    "url",
    [
        "file:",
        "file:///",
        "file:../out",
        "file:a/../../out",
        "file:%2e%2e/out",
        "file:a/",
        "file://host/x",
        "file:a?b",
        "file:a%00b",
        "file:..",
    ],
)
def test_a_path_that_cant_be_meant_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"notify\.ops\.url"):
        lines(url, tmp_path)
