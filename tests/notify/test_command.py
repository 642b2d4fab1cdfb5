"""``exec:`` with real commands: those that work, fail, never end, fork and hold on to the pipe, or talk without end."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from appliance.clock import SystemClock
from appliance.errors import ConfigRefused
from appliance.notify.channel import ANSWER_BYTES_MAX, Undelivered
from appliance.notify.channels.command import Command
from appliance.workload_options import NotifyOptions
from tests.notify.messages import SENDER, item, message
from tests.running import wait_for

LONG_S = 60.0
SHORT_S = 1.5


def command(line: str, folder: Path) -> Command:
    return Command(SENDER, NotifyOptions(url=f"exec:{line}"), data_dir=folder, clock=SystemClock())


def python(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


def failure(line: str, folder: Path, *, timeout_s: float = LONG_S) -> Undelivered:
    with pytest.raises(Undelivered) as undelivered:
        command(line, folder).send(message(), timeout_s=timeout_s)
    return undelivered.value


def is_gone(pid: int) -> bool:
    """Ended; a zombie that nobody has fetched yet counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_command_gets_the_message_and_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_HTTP_TOKENS", "hunter2")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    program = (
        "import json, os, sys\n"
        "with open('out', 'w') as out:\n"
        "    json.dump([json.load(sys.stdin), dict(os.environ), os.getcwd(), sys.argv[1:]], out)\n"
        "print('ok')"
    )
    said = command(python(program) + " 'a b' c", tmp_path).send(message(), timeout_s=LONG_S).said
    body, environment, folder, arguments = json.loads((tmp_path / "out").read_text())
    assert body["items"][0]["rule"] == "overheating"
    assert {name: value for name, value in environment.items() if name.startswith("APPLIANCE_")} == {
        "APPLIANCE_RULE": "overheating",
        "APPLIANCE_STATE": "firing",
        "APPLIANCE_SEVERITY": "critical",
        "APPLIANCE_SUMMARY": "d1 at 83.2 °C",
        "APPLIANCE_IDEMPOTENCY_KEY": item().idempotency_key,
    }
    assert "NOTIFY_SOCKET" not in environment
    assert folder == str(tmp_path)
    assert arguments == ["a b", "c"]
    assert said == "exit status 0: ok"


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    command("echo $(touch evil) ; touch evil", tmp_path).send(message(), timeout_s=LONG_S)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("status", [1, 2, 75, 127])
def test_a_status_other_than_0_is_tried_again(status: int, tmp_path: Path) -> None:
    undelivered = failure(f"sh -c 'echo no such user >&2; exit {status}'", tmp_path)
    assert (undelivered.retry, undelivered.answered) == (True, True)
    assert undelivered.reason.startswith(f"sh: exit status {status}")
    assert undelivered.reason.endswith("no such user")


def test_a_command_that_is_not_there_is_a_failure_for_good(tmp_path: Path) -> None:
    undelivered = failure("/no/such/command", tmp_path)
    assert not undelivered.retry
    assert "No such file" in undelivered.reason


def test_a_command_that_may_not_be_run_is_a_failure_for_good(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert not failure("./script", tmp_path).retry


def test_a_command_that_never_ends_is_killed_with_what_it_started(tmp_path: Path) -> None:
    undelivered = failure("sh -c 'sleep 1000 & echo $! > child; echo $$ > parent; wait'", tmp_path, timeout_s=SHORT_S)
    assert undelivered.retry
    assert "was killed" in undelivered.reason
    pids = [int((tmp_path / name).read_text()) for name in ("parent", "child")]
    wait_for(lambda: all(is_gone(pid) for pid in pids), what="the end of both")


def test_a_command_that_heeds_no_signal_is_killed(tmp_path: Path) -> None:
    assert failure("sh -c 'trap \"\" TERM INT HUP; while :; do sleep 1; done'", tmp_path, timeout_s=SHORT_S).retry


def test_what_a_command_leaves_behind_with_its_output_open_is_ended_and_its_own_status_counts(tmp_path: Path) -> None:
    said = command("sh -c 'sleep 1000 & echo $! > child; echo done'", tmp_path).send(message(), timeout_s=SHORT_S).said
    assert said == "exit status 0: done"
    wait_for(lambda: is_gone(int((tmp_path / "child").read_text())), what="the end of the child")


def test_a_command_that_reads_nothing_is_no_trouble(tmp_path: Path) -> None:
    many = message(*(item(f"d{n}") for n in range(100)))
    assert command("true", tmp_path).send(many, timeout_s=LONG_S).said == "exit status 0"


def test_a_command_that_sleeps_without_reading_is_fed_no_longer_than_its_time(tmp_path: Path) -> None:
    big = message(*(item("d" * 3_000 + str(n)) for n in range(100)))
    with pytest.raises(Undelivered, match="was killed"):
        command("sleep 1000", tmp_path).send(big, timeout_s=SHORT_S)


def test_of_endless_output_a_beginning_is_kept(tmp_path: Path) -> None:
    undelivered = failure("sh -c 'head -c 5000000 /dev/zero | tr \"\\0\" x; exit 3'", tmp_path)
    assert "exit status 3" in undelivered.reason
    assert len(undelivered.reason) < ANSWER_BYTES_MAX


def test_close_ends_a_command_that_runs(tmp_path: Path) -> None:
    one = command("sh -c 'echo $$ > parent; exec sleep 1000'", tmp_path)
    ended: list[Undelivered] = []

    def send() -> None:
        try:
            one.send(message(), timeout_s=1_000)
        except Undelivered as undelivered:
            ended.append(undelivered)

    thread = threading.Thread(target=send)  # noqa: TID251 - joined below
    thread.start()
    wait_for(lambda: (tmp_path / "parent").exists(), what="the command")
    one.close()
    thread.join(20)
    assert ended


def test_close_ends_a_command_that_is_just_being_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = command("sh -c 'test -e again || exec sleep 1000'", tmp_path)
    start = subprocess.Popen

    def started_and_closed(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = start(*words, **options)
        one.close()
        return process

    monkeypatch.setattr("appliance.notify.channels.command.subprocess.Popen", started_and_closed)
    with pytest.raises(Undelivered, match="was killed"):
        one.send(message(), timeout_s=LONG_S)
    monkeypatch.setattr("appliance.notify.channels.command.subprocess.Popen", start)
    (tmp_path / "again").touch()
    assert one.send(message(), timeout_s=LONG_S).said == "exit status 0"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    one = command("true", tmp_path)
    one.send(message(), timeout_s=LONG_S)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    for _ in range(5):
        one.send(message(), timeout_s=LONG_S)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - a count


@pytest.mark.parametrize("line", ["", "   ", "'unclosed", "''"])
def test_a_command_line_that_cant_be_read_is_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"notify\.ops\.url"):
        command(line, tmp_path)
