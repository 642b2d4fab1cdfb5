"""The command ``query``: data on standard output, talk on standard error, the same answer with and without a service."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.running import ROOT, Running, environment, running, wait_for

ENDLESS = "SELECT count(*) FROM range(10000000) a(i), range(10000000) b(j) WHERE hash(i + j) % 7 = 0"
LINES = "\n".join(f"room,sensor=s{n % 2} temperature={20 + n} {1_767_225_600_000_000 + n * 60_000_000}" for n in range(10))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("cli") / "data", config="[node]\ntimezone = 'Europe/Berlin'\n") as started:
        assert started.write(LINES) == 204
        evil = '"\x1b]0;title\x07"'
        assert started.write(f"evil text={evil} 1") == 204
        yield started


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Running:
    with running(tmp_path_factory.mktemp("cli-off") / "data", config="[node]\ntimezone = 'Europe/Berlin'\n") as started:
        assert started.write(LINES) == 204
    return started


@pytest.fixture(params=["service", "folder"])
def box(request: pytest.FixtureRequest, service: Running, stopped: Running) -> Running:
    return service if request.param == "service" else stopped


def query(box: Running, sql: str, *options: str) -> subprocess.CompletedProcess[str]:
    return box.command("query", sql, "--config", str(box.config_file), *options)


def test_csv_is_what_a_pipe_gets(box: Running) -> None:
    done = query(box, "SELECT ts, sensor, temperature FROM room ORDER BY ts LIMIT 2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ['"ts","sensor","temperature"', '"2026-01-01T00:00:00Z","s0",20', '"2026-01-01T00:01:00Z","s1",21']


def test_each_format_can_be_chosen_and_written_to_a_file(box: Running, tmp_path: Path) -> None:
    sql = "SELECT sensor, count(*) AS n FROM room GROUP BY ALL ORDER BY ALL"
    wanted = [{"sensor": "s0", "n": 5}, {"sensor": "s1", "n": 5}]
    assert json.loads(query(box, sql, "--format", "json").stdout) == wanted
    assert [json.loads(line) for line in query(box, sql, "-f", "jsonl").stdout.splitlines()] == wanted
    assert query(box, sql, "-f", "table").stdout.splitlines()[0].split() == ["sensor", "n"]
    file = tmp_path / "out.parquet"
    assert query(box, sql, "--format", "parquet", "-o", str(file)).returncode == 0
    assert pq.read_table(file).to_pylist() == wanted
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_appears_only_when_it_is_whole(box: Running, tmp_path: Path) -> None:
    done = query(box, "SELECT nope FROM room", "-o", str(tmp_path / "out.csv"))
    assert done.returncode == 1
    assert done.stderr.startswith("appliance: Binder Error")
    assert list(tmp_path.iterdir()) == []


def test_since_and_until_are_in_the_zone_of_the_node_unless_they_name_one(box: Running) -> None:
    for since, count in (("2026-01-01 01:05", 5), ("2026-01-01T00:05:00Z", 5), ("2026-01-01T01:05+01:00", 5), ("1h", 0)):
        done = query(box, "SELECT count(*) AS n FROM room", "--since", since, "-f", "json")
        assert json.loads(done.stdout) == [{"n": count}], since
    done = query(box, "SELECT count(*) AS n FROM room", "--since", "2026-01-01 01:05", "--until", "2026-01-01 01:07", "-f", "json")
    assert json.loads(done.stdout) == [{"n": 2}]
    wrong = query(box, "SELECT 1", "--since", "10m")
    assert wrong.returncode == 2
    assert "--since" in wrong.stderr
    assert "min" in wrong.stderr


def test_explain_tells_rows_files_and_times_instead_of_the_rows(box: Running) -> None:
    done = query(box, "SELECT * FROM room WHERE ts >= '2026-01-01 00:05:00'", "--explain")
    assert done.returncode == 0
    assert done.stdout.startswith("stream room: from 2026-01-01T00:05:00Z to the end")
    assert "hot   10 rows" in done.stdout
    assert "first rows" in done.stdout
    as_json = json.loads(query(box, "SELECT * FROM room", "--explain", "--format", "json").stdout)
    assert as_json["rows"] == 10


def test_what_cannot_be_answered_is_one_line_and_a_status(box: Running) -> None:
    for sql, status, words in (
        ("SELECT * FROM rom", 1, 'did you mean "room"'),
        ("DROP TABLE room", 1, "only statements that read"),
        ("SELECT len(range(2000000000))", 1, "memory"),
    ):
        done = query(box, sql)
        assert done.returncode == status
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_sql_can_come_from_standard_input(stopped: Running) -> None:
    command = [sys.executable, "-m", "appliance", "query", "-", "--data-dir", str(stopped.folder), "-f", "json"]
    done = subprocess.run(command, cwd=ROOT, input="SELECT 1 AS n", capture_output=True, text=True, env=environment(), check=True)
    assert json.loads(done.stdout) == [{"n": 1}]


def test_the_other_end_of_a_pipe_may_go(box: Running) -> None:
    command = [sys.executable, "-m", "appliance", "query", "SELECT * FROM range(5000000)", "--data-dir", str(box.folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 1
        assert process.stderr.read() == b""


@contextlib.contextmanager
def on_terminal(box: Running, sql: str, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "appliance", "query", sql, "--data-dir", str(box.folder), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(), start_new_session=True)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def screen(ours: int, process: subprocess.Popen[bytes], *, until: bytes | None = None) -> bytes:
    """What the terminal got, up to some bytes or the end of the process."""
    seen = io.BytesIO()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
            seen.write(piece)
        elif process.poll() is not None:
            break
        if until is not None and until in seen.getvalue():
            break
    return seen.getvalue()


@pytest.mark.parametrize("format_", ["table", "csv", "json", "jsonl"])
def test_a_terminal_is_not_moved_by_what_the_data_holds(service: Running, format_: str) -> None:
    with on_terminal(service, "SELECT text FROM evil", "-f", format_) as (process, ours):
        shown = screen(ours, process)
        assert process.wait(30) == 0
    assert b"title" in shown
    assert b"\x1b]" not in shown
    assert b"\x07" not in shown


def test_a_terminal_gets_a_table_and_no_binary(service: Running) -> None:
    with on_terminal(service, "SELECT sensor, max(temperature) AS t FROM room GROUP BY ALL ORDER BY ALL") as (process, ours):
        lines = screen(ours, process).decode().split()
    assert lines[:2] == ["sensor", "t"]
    assert lines[-4:] == ["s0", "28.0", "s1", "29.0"]
    with on_terminal(service, "SELECT 1", "-f", "parquet") as (process, ours):
        assert b"-o" in screen(ours, process)
        assert process.wait(30) == 2


def test_ctrl_c_ends_the_query_with_130_and_shows_progress_meanwhile(box: Running) -> None:
    with on_terminal(box, ENDLESS) as (process, ours):
        shown = screen(ours, process, until=b"ctrl+c cancels")
        assert b"ctrl+c cancels" in shown
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    if box.process is not None and box.process.poll() is None:
        wait_for(lambda: box.status()["queries_running"] == 0, what="the query to end in the service")
        assert box.query("SELECT count(*) AS n FROM room") == [{"n": 10}]
