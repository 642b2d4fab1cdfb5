"""A forked process is one like any other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.nursery import COMMAND, SERVICE, Forked, nursery

PIPE = subprocess.PIPE


def started(code: str, *, modules: tuple[str, ...] = SERVICE, **more: str) -> Forked:
    """A process that runs a statement once."""
    return nursery(modules).start("timeit", "-n1", "-r1", code, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=more)


@pytest.mark.parametrize(("modules", "absent"), [(SERVICE, {"duckdb", "textual", "pandas"}), (COMMAND, {"textual", "pandas"})])
def test_it_holds_no_more_than_what_it_stands_for(modules: tuple[str, ...], absent: set[str]) -> None:
    code = f"import sys; assert not {absent} & set(sys.modules); assert 'appliance.service' in sys.modules"
    process = started(code, modules=modules)
    said = process.communicate()
    assert process.returncode == 0, said


def test_its_environment_streams_and_id_are_its_own() -> None:
    process = started("import os; print(os.getpid(), dict(os.environ), input())", HOME="here")
    said, errors = process.communicate(b"given\n")
    assert said.startswith(f"{process.pid} {{'HOME': 'here'}} given\n".encode())
    assert (errors, process.returncode) == (b"", 0)


def test_it_ends_when_its_threads_have_ended() -> None:
    process = started("import threading; threading.Timer(0.05, print, ['late']).start()")
    assert b"late" in process.communicate()[0]


def test_a_kill_and_an_error_are_told_by_its_status() -> None:
    endless = started("input()")
    endless.kill()
    assert endless.wait(60) == -9
    endless.communicate()
    wrong = started("1 / 0")
    assert b"ZeroDivisionError" in wrong.communicate()[1]
    assert wrong.returncode == 1


def test_no_descriptor_of_another_comes_with_it(tmp_path: Path) -> None:
    with (tmp_path / "open").open("wb"):
        process = started("import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:4])")
        said, _ = process.communicate()
    assert b"[0, 1, 2, 3]" in said  # the fourth is the listing's
