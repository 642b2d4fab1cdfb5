"""A real appliance in a process of its own, for tests that talk to it, kill it and start it again."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.nursery import COMMAND, SERVICE, Forked, nursery
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
DEADLINE_S = 60.0
LOOK_S, LOOK_S_MAX = 0.01, 0.1
"""Between two looks: the longer something takes the rarer, because a look costs what is waited for its processor."""
UNWATCHED = "[analysis]\ndefault = false\n"
"""For tests in which so much comes that the analysis of all streams, on by default, would take most of the processor."""
QUIET = """
[[source]]
kind = "drop"
rescan = "100ms"
settle = "50ms"
"""


def wait_for(condition: Callable[[], Any], *, what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of ``condition``; fails with ``what`` when there is none in time."""
    end, next_s = time.monotonic() + deadline_s, LOOK_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        pause(next_s)
        next_s = min(next_s * 1.5, LOOK_S_MAX)
    raise AssertionError(f"waited {deadline_s} s in vain for {what}")


def pause(seconds: float = 0.01) -> None:
    """Gives the processor away between two looks at a condition."""
    threading.Event().wait(seconds)


class Running:
    """A service on a folder. Not started by making it; may be started again after a kill."""

    def __init__(
        self, folder: Path, *, config: str = "", sources: str = QUIET, module: tuple[str, ...] = ("appliance", "run"), fresh: bool = False
    ) -> None:
        """``config`` is TOML without ``[http]`` listen and sources, which are added; ``module`` and its arguments are what is run.

        ``fresh`` starts an interpreter of its own each time, for tests of what a start does; else a start is a fork (tests/nursery.py).
        """
        self.folder = folder
        self.port = free_port()
        self.module = module
        self.fresh = fresh
        self.process: Forked | subprocess.Popen[bytes] | None = None
        self.config_file = folder.parent / f"{folder.name}.toml"
        http = "" if "[http]" in config else "[http]\n"
        text = (
            config.replace("[http]", f'[http]\nlisten = "127.0.0.1:{self.port}"')
            if not http
            else f'{http}listen = "127.0.0.1:{self.port}"\n{config}'
        )
        self.config_file.write_text(sources + text if sources.startswith("source =") else text + sources)
        self.log = folder.parent / f"{folder.name}.log"

    def start(self, *extra: str, wait: bool = True) -> Running:
        """Starts the process; returns when it is ready, unless told not to wait."""
        arguments = [*self.module, "--data-dir", str(self.folder), "--config", str(self.config_file), *extra]
        with self.log.open("ab") as log:
            if self.fresh:
                command = [sys.executable, "-m", *arguments]
                self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment())
            else:
                self.process = nursery(SERVICE).start(*arguments, stdout=log, stderr=log, env=environment())
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before it was ready:\n{self.said()}")
            return self.is_ready()

        wait_for(ready, what=f"the service to be ready; it said:\n{self.said()}")

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/ready")[0] == 200
        return False

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-5000:] if self.log.exists() else ""

    def request(self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def write(self, lines: str, *, precision: str = "us") -> int:
        """The status of a write of line protocol."""
        return self.request("POST", f"/write?db=x&precision={precision}", body=lines.encode())[0]

    def query(self, sql: str, **parameters: str) -> list[dict[str, Any]]:
        """Rows of a query."""
        status, body = self.request("GET", "/api/v3/query_sql?" + urlencode({"q": sql, "format": "json", **parameters}))
        assert status == 200, body
        rows: list[dict[str, Any]] = json.loads(body)
        return rows

    def status(self) -> dict[str, Any]:
        status, body = self.request("GET", "/api/status")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def kill(self) -> None:
        """SIGKILL, now."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it in order and returns its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    @property
    def is_up(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.poll() is None

    def has_died(self) -> bool:
        """The other way round."""
        return not self.is_up

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs ``appliance …`` on the folder."""
        return run_command(*arguments, "--data-dir", str(self.folder))


def run_command(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Runs ``appliance …`` with ``given`` on standard input, and returns what it said."""
    pipe = subprocess.PIPE
    process = nursery(COMMAND).start("appliance", *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment())
    said, errors = process.communicate(given)
    return subprocess.CompletedProcess(["appliance", *arguments], process.wait(), said.decode(), errors.decode())


def environment() -> dict[str, str]:
    """The process's, without what would point a service elsewhere."""
    return {k: v for k, v in os.environ.items() if k not in {"STATE_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC"}}


@contextlib.contextmanager
def running(folder: Path, *, config: str = "", sources: str = QUIET, fresh: bool = False) -> Iterator[Running]:
    """A service that is ready, and ended in order afterwards; the rest is as for ``Running``."""
    service = Running(folder, config=config, sources=sources, fresh=fresh)
    try:
        yield service.start()
    finally:
        if service.process is not None:
            service.stop()
