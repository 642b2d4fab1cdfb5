"""``appliance alerts`` and ``appliance reload``: against a service, and on a folder that nobody serves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from appliance.cli.main import run
from appliance.errors import ConfigRefused, RetryLater, UsageRefused
from appliance.observe.alerts import AlertsPicture, OutboxRow
from appliance.observe.author import author
from tests.clock import NOON_US
from tests.http.alert_desk import D1, SILENCE, step
from tests.http.serving import Serving
from tests.serving.test_alert_rows import folder as stored_folder  # noqa: F401 - a fixture

HOUR_US = 3_600_000_000


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path / "data") as started:
        yield started


class Command:
    """Runs command lines on a folder and keeps what they said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        status = run([*arguments, "--data-dir", str(self._folder)])
        self.out, self.err = self._capsys.readouterr()
        return status


@pytest.fixture
def command(serving: Serving, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(serving.config.data_dir, capsys)


def show(serving: Serving, monkeypatch: pytest.MonkeyPatch, picture: AlertsPicture) -> None:
    monkeypatch.setattr(serving.alerts, "picture", lambda: picture)


def test_alerts_alone_lists_what_fires(command: Command, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    fired = msgspec.structs.replace(D1, summary="d1 is hot", acked_by="bob@press", silenced_by=3, since_us=NOON_US - HOUR_US)
    over = msgspec.structs.replace(D1, phase="ok", key={"device": "d2"})
    lost = msgspec.structs.replace(D1, phase="nodata", was="firing", key={}, values={})
    show(serving, monkeypatch, AlertsPicture(at_us=NOON_US, alerts=(fired, lost, over), truncated=7))
    assert command("alerts") == 0
    heading, first, second = command.out.splitlines()
    assert heading.split() == ["state", "severity", "rule", "key", "since", "for", "values", "told", "summary"]
    assert re.split("  +", first) == [
        "FIRING", "critical", "hot", "device=d1", "2026-11-22T11:00:00Z", "1h", "avg(t)=83.5",
        "acknowledged by bob@press, silenced by 3", "d1 is hot",
    ]  # fmt: skip
    assert second.startswith("nodata (was firing)")
    assert command.err == "1 firing, 1 without data\n7 more are not shown\n"
    assert command("alerts", "--all", "--json") == 0
    assert [a["key"] for a in json.loads(command.out)] == [{"device": "d1"}, {}, {"device": "d2"}]
    assert command("alerts", "list", "--all") == 0
    assert "device=d2" in command.out


def test_foreign_texts_can_t_move_the_terminal(command: Command, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "\x1b[2J\u202e"
    row = msgspec.structs.replace(D1, rule=evil, key={evil: evil}, summary=evil, values={evil: evil}, reason=evil, acked_by=evil)
    message = OutboxRow(id=1, channel=evil, state="dead", title=evil, created_us=1, due_us=1, error=evil)
    silence = msgspec.structs.replace(SILENCE, matchers=(evil,), author=evil, comment=evil)
    show(serving, monkeypatch, AlertsPicture(at_us=NOON_US, alerts=(row,), outbox=(message,), silences=(silence,)))
    serving.alerts.stored = [msgspec.structs.replace(step(1), rule=evil, reason=evil, values={evil: evil}, kind=evil)]
    for what in ("list", "history", "silences", "outbox"):
        assert command("alerts", what) == 0
        assert "\\x1b[2J\\u202e" in command.out
        assert not set(command.out) & {"\x1b", "\u202e"}


def test_the_history_is_asked_by_rule(command: Command, serving: Serving) -> None:
    serving.alerts.stored = [step(n, rule="hot" if n % 2 else "cold") for n in range(1, 8)]
    assert command("alerts", "history", "--rule", "hot", "--limit", "2") == 0
    assert [line.split()[0] for line in command.out.splitlines()] == ["id", "7", "5"]
    assert "ok -> firing" in command.out
    assert command("alerts", "history", "--json") == 0
    assert [t["id"] for t in json.loads(command.out)] == [7, 6, 5, 4, 3, 2, 1]


def test_an_acknowledgement_names_the_key_the_time_and_who(command: Command, serving: Serving) -> None:
    assert command("alerts", "ack", "hot", "device=d1", "line=", "--for", "2h", "--comment", "on my way") == 0
    assert command.out == "hot device=d1: acknowledged\n"
    ((what, given),) = serving.alerts.asked
    assert (what, given["key"], given["author"], given["comment"]) == ("ack", {"device": "d1", "line": None}, author(), "on my way")
    assert command("alerts", "unack", "hot", "--author", "bob") == 0
    assert serving.alerts.asked[-1] == ("unack", {"rule": "hot", "key": None, "author": "bob"})


def test_a_silence_is_made_for_a_time_or_until_one(command: Command, serving: Serving) -> None:
    assert command("alerts", "silence", "device=d1", "rule!=a*", "--until", "2099-01-01T00:00:00Z", "--comment", "c") == 0
    assert command.out == "silence 3 until 1970-01-01T00:00:00Z: rule=hot\n"
    assert serving.alerts.asked[-1][1]["matchers"] == ("device=d1", "rule!=a*")
    assert serving.alerts.asked[-1][1]["until_us"] == 4_070_908_800_000_000
    assert command("alerts", "unsilence", "3") == 0
    assert serving.alerts.asked[-1] == ("unsilence", {"id": 3, "author": author()})


def test_a_test_prints_what_the_other_side_said(command: Command, serving: Serving) -> None:
    assert command("alerts", "test", "ops") == 0
    assert command.out == "200 OK\n"
    serving.alerts.refuse = RetryLater("the other side hung up")
    assert command("alerts", "test", "ops") == 1
    assert command.err == "appliance: the other side hung up\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("ack",),
        ("ack", "hot", "d1"),
        ("ack", "hot", "--for", "soon"),
        ("ack", "hot", "--for", "2h", "--until", "2099-01-01"),
        ("ack", "hot", "--until", "2020-01-01"),
        ("silence", "--for", "2h", "--comment", "c"),
        ("silence", "device=d1", "--comment", "c"),
        ("silence", "device=d1", "--for", "2h"),
        ("unsilence", "99"),
        ("unsilence", "x"),
        ("history", "--limit", "0"),
        ("nothing",),
    ],
)
def test_wrong_usage_ends_with_2_and_a_line_that_says_why(command: Command, serving: Serving, arguments: tuple[str, ...]) -> None:
    serving.config.data_dir.joinpath("appliance.toml").write_text("source = []\n")
    assert command("alerts", *arguments) == 2
    assert command.err
    assert serving.alerts.asked == []


def test_what_the_desk_refuses_is_wrong_usage(command: Command, serving: Serving) -> None:
    serving.alerts.refuse = UsageRefused("nothing fires of rule 'hot'")
    assert command("alerts", "ack", "hot") == 2
    assert command.err == "appliance: nothing fires of rule 'hot'\n"


def test_a_reload_says_what_changed_and_a_bad_config_is_status_2(command: Command, serving: Serving) -> None:
    assert command("reload") == 0
    assert command.out == "the config is right and unchanged\n"

    def refuse() -> str:
        raise ConfigRefused("unknown option 'whenn'", file="appliance.toml", nearest="when")

    serving.reload = refuse
    assert command("reload") == 2
    assert command.err == "appliance: appliance.toml: unknown option 'whenn'; did you mean 'when'?\n"


def test_without_a_service_the_stored_state_is_shown_and_nothing_done(stored_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    command = Command(stored_folder, capsys)
    assert command("alerts") == 0
    assert [line.split()[0] for line in command.out.splitlines()] == ["state", "FIRING", "FIRING", "FIRING", "pending", "nodata"]
    assert command.err.startswith("no service runs: this is what was stored\n3 firing")
    assert command("alerts", "history", "--rule", "cold", "--limit", "2") == 0
    assert [line.split()[0] for line in command.out.splitlines()] == ["id", "10", "8"]
    assert command("alerts", "silences") == 0
    assert "device=d2" in command.out
    for action in (("ack", "hot"), ("unsilence", "1"), ("test", "ops"), ("silence", "a=b", "--for", "1h", "--comment", "c")):
        assert command("alerts", *action) == 1
        assert "no service runs on" in command.err
    assert command("reload") == 1


def test_a_folder_without_data_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = Command(tmp_path, capsys)
    assert command("alerts") == 2
    assert "is no data folder" in command.err
