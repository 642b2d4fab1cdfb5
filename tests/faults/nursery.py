"""Starts ``tests.faults.program`` over and over without importing it each time: a process that has it in memory forks for each start.

What is started is a process of its own like any other and can be killed; a start takes a quarter of the time.

usage: python -m tests.faults.nursery, then one JSON array a line on stdin; one JSON value a line comes back.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, cast

from appliance.serving.limits import die_with_parent, without_pandas
from tests.running import QUIET, ROOT, Running, environment, pause


class Nursery:
    """The process that forks."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.nursery"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, env=environment())
        self._lock = threading.Lock()

    def ask(self, *words: Any) -> Any:
        """One question and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(words).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it; what it has started must have ended before."""
        self._process.communicate(timeout=10)


class Forked:
    """As much of a ``Popen`` as ``Running`` needs."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        for _ in range(int(timeout * 500)):
            found = self.poll()
            if found is not None:
                return found
            pause(0.002)
        raise AssertionError(f"process {self.pid} goes on after {timeout} s")

    def kill(self) -> None:
        self.send_signal(9)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class ForkedService(Running):
    """A ``Running`` whose process comes from the nursery."""

    def __init__(self, nursery: Nursery, folder: Path, *, config: str, sources: str = QUIET) -> None:
        super().__init__(folder, config=config, sources=sources)
        self._nursery = nursery

    def start(self, *extra: str, wait: bool = True) -> Running:
        """As ``Running.start``."""
        arguments = ["--data-dir", str(self.folder), "--config", str(self.config_file), *extra]
        pid = int(self._nursery.ask("start", arguments, str(self.log)))
        self.process = cast("subprocess.Popen[bytes]", Forked(self._nursery, pid))
        if wait:
            self.wait_ready()
        return self

    @property
    def is_up(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.poll() is None

    def has_died(self) -> bool:
        """The other way round."""
        return not self.is_up


def _start(arguments: list[str], log: str) -> int:
    nursery = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        die_with_parent(nursery)
        null, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(null, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = importlib.import_module("tests.faults.program").main(arguments)
    except BaseException:  # noqa: BLE001 - it goes to the log; what was forked must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def _poll(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def main() -> None:
    for name in ("appliance.alerting.alerting", "appliance.hot.migrations", "tests.faults.program"):
        importlib.import_module(name)
    without_pandas()

    for line in sys.stdin:
        what, *rest = json.loads(line)
        answer = _start(*rest) if what == "start" else _poll(*rest)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
