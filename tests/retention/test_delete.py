"""``appliance delete``: narrowed or refused, said before it is done, hidden when the command returns; and what ``status`` foretells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.cli.status import disk_ahead
from appliance.door.lake_commits import commit_deletion
from appliance.errors import UsageRefused
from appliance.manifest import Deletion
from appliance.observe.status import LakeStatus
from tests.clock import NOON_US, FakeClock
from tests.door import batches
from tests.door.batches import at, batch, send
from tests.running import run_command

LAKE = LakeStatus(0, 0, 0, 0, None, None, False, None, 10**9, 10**10)


def test_a_series_is_gone_when_the_command_returns(tmp_path: Path) -> None:
    box = batches.open_box(tmp_path / "data", clock=FakeClock())
    send(box, batch("room", [at(n) for n in range(6)], tags={"device": ["a", "b"] * 3}, x=list(range(6))))
    box.close()
    folder = ("--data-dir", str(tmp_path / "data"))
    asked = run_command("delete", "room", "--where", "device=a", "--reason", "it was in the drawer", "--yes", *folder)
    assert (asked.returncode, asked.stdout) == (0, ""), asked.stderr
    assert "deleted 3 records of room (device=a) (deletion 1)" in asked.stderr
    sql = "SELECT (SELECT sum(x) FROM room) AS x, (SELECT count(*) FROM room_latest) AS n, (SELECT reason FROM _deletions) AS why"
    left = run_command("query", sql, "--format", "json", *folder)
    assert json.loads(left.stdout) == [{"x": 9, "n": 1, "why": "it was in the drawer"}], left.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--reason", "x"), "say --all"),
        (("--reason", "x", "--since", "2026-11-02", "--until", "2026-11-01"), "--until must be after"),
        (("--reason", "x", "--where", "device"), "write TAG=VALUE"),
        (("--all",), "--reason"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    from click.testing import CliRunner

    from appliance.cli.delete import delete

    found = CliRunner().invoke(delete, ["room", *arguments, "--data-dir", str(tmp_path)])
    assert found.exit_code != 0
    assert said in f"{found.output}{found.exception}"


@pytest.mark.parametrize(
    ("stream", "column", "said"),
    [
        ("nobody", "device", "there is no stream"),
        ("room", "x", "told apart by their tags"),
        ("room", "nothing", "told apart by their tags"),
    ],
)
def test_only_tags_tell_what_is_deleted(tmp_path: Path, stream: str, column: str, said: str) -> None:
    box = batches.open_box(tmp_path / "data", clock=FakeClock())
    send(box, batch("room", [at(1)], tags={"device": ["a"]}, x=[1]))
    asked = box.writer.call(lambda c: commit_deletion(c, Deletion(0, stream, None, None, {column: "1"})))
    with pytest.raises(UsageRefused, match=said):
        asked.result(30)
    assert box.state.streams["room"].deletions == ()
    box.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "no whole day to foretell from yet"),
        ({"bytes_per_day": 2048, "eater": "cpu"}, "does not get full within ten years; history grows by 2.0 KiB a day, most of it cpu"),
        (
            {"bytes_per_day": 2048, "eater": "cpu", "full_us": NOON_US + 86_400_000_000},
            "the disk is full on 2026-11-23 if it goes on like this; history grows by 2.0 KiB a day, most of it cpu",
        ),
        ({"bytes_per_day": 1, "eater": "cpu", "full_us": NOON_US - 1}, "the disk is full today if"),
        ({"bytes_per_day": 1, "eater": "cpu", "trim_us": NOON_US - 1}, "the oldest days go ([retention] disk_max) today if"),
    ],
)
def test_status_says_when_the_disk_will_be_full(changes: dict[str, object], said: str) -> None:
    import msgspec

    assert disk_ahead(msgspec.structs.replace(LAKE, **changes), now_us=NOON_US).startswith(said)
