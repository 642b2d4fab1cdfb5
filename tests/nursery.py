"""Processes that are there at once: forked from one that has imported what they need, which takes a tenth of the time of a start.

What comes out is a process of its own like any other: with its own arguments, environment, folder and standard streams; it can be
limited and killed, dies with who asked for it, and ends as an interpreter does: threads joined, exit functions called, streams flushed.
What it has not gone through is a start: tests of that (what is imported when, its memory, the console script) start an interpreter.

usage (by ``Nursery`` alone): python -m tests.nursery DESCRIPTOR MODULE…
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import io
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

_ROOT: Final = Path(__file__).parents[1]
MESSAGE_BYTES_MAX: Final = 1 << 17
READ_BYTES: Final = 1 << 16
SERVICE: Final = (
    "appliance.cli.run",
    "appliance.cli.main",
    "appliance.service",
    "appliance.hot.migrations",
    "appliance.sources.drop",
    "appliance.sources.host",
    "appliance.sources.line_protocol",
    "uvicorn.lifespan.off",
    "watchdog.observers",
)
"""What a service has imported when it is ready. No DuckDB, as in production."""
COMMAND: Final = (
    *SERVICE,
    *(f"appliance.cli.{name}" for name in ("alerts", "config", "deadletter", "ingest", "query", "sessions", "status", "streams", "verify")),
    "appliance.serving.alone",
    "appliance.serving.engine",
    "appliance.serving.folder",
    "appliance.serving.formats",
    "appliance.serving.writing",
    "duckdb",
)
"""What some command or other imports."""
_ALONE: Final = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""No thread at import: a fork copies but the thread that forks."""


class Forked:
    """As much of a ``Popen`` as tests need; safe for threads."""

    def __init__(self, nursery: Nursery, pid: int, given: tuple[int | None, int | None, int | None]) -> None:
        self._nursery = nursery
        self._lock = threading.RLock()
        self.pid = pid
        self.returncode: int | None = None
        to, out, errors = given
        self.stdin: IO[bytes] | None = None if to is None else os.fdopen(to, "wb", buffering=0)
        self.stdout: io.BufferedReader | None = None if out is None else os.fdopen(out, "rb")
        self.stderr: io.BufferedReader | None = None if errors is None else os.fdopen(errors, "rb")

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None:
                self.returncode = self._nursery.ask({"poll": self.pid})
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises ``subprocess.TimeoutExpired``."""
        if self.poll() is None:
            with os.fdopen(os.pidfd_open(self.pid), "rb") as ended:  # nobody but poll takes the process off the table
                select.select([ended], [], [], timeout)
        found = self.poll()
        if found is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return found

    def communicate(self, given: bytes = b"", timeout: float = 100) -> tuple[bytes, bytes]:
        """Writes ``given``, reads both streams to their ends and waits for that of the process. Raises ``subprocess.TimeoutExpired``."""
        end = time.monotonic() + timeout
        if self.stdin is not None and not self.stdin.closed:
            with self.stdin:
                self.stdin.write(given)  # the tests' few bytes fit into a pipe
        said = {stream: b"" for stream in (self.stdout, self.stderr) if stream is not None and not stream.closed}
        with selectors.DefaultSelector() as waiting:
            for stream in said:
                waiting.register(stream, selectors.EVENT_READ)
            while waiting.get_map():
                ready = waiting.select(max(0.0, end - time.monotonic()))
                if not ready:
                    raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
                for key, _ in ready:
                    reader = next(stream for stream in said if stream is key.fileobj)
                    got = reader.read1(READ_BYTES)
                    said[reader] += got
                    if not got:
                        waiting.unregister(reader)
                        reader.close()
        self.wait(max(0.0, end - time.monotonic()))
        out, errors = (said.get(stream, b"") if stream is not None else b"" for stream in (self.stdout, self.stderr))
        return out, errors

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        with self._lock:
            if self.poll() is None:
                os.kill(self.pid, number)


class Nursery:
    """The process that forks. Ends when this one does, and what it has forked with it."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.nursery", str(theirs.fileno()), *modules]
            environment = os.environ | _ALONE
            self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment)
        atexit.register(self.close)

    def start(
        self,
        *arguments: str,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.DEVNULL,
        stderr: int | IO[Any] = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
        cwd: Path = _ROOT,
    ) -> Forked:
        """``python -m arguments…``; the rest is as for ``Popen``."""
        ours: list[int | None] = []
        theirs: list[int] = []
        try:
            for place, stream in enumerate((stdin, stdout, stderr)):
                if stream == subprocess.PIPE:
                    ends = os.pipe()
                    theirs.append(ends[place > 0])
                    ours.append(ends[place == 0])
                else:
                    theirs.append(os.open(os.devnull, os.O_RDWR) if stream == subprocess.DEVNULL else _copy(stream))
                    ours.append(None)
            asked = {"arguments": arguments, "environment": dict(os.environ if env is None else env), "cwd": str(cwd)}
            pid = self.ask(asked, theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return Forked(self, pid, (ours[0], ours[1], ours[2]))

    def ask(self, asked: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """One question and its answer."""
        message = json.dumps(asked).encode()
        assert len(message) < MESSAGE_BYTES_MAX
        with self._lock:
            socket.send_fds(self._socket, [message], descriptors)
            answer = self._socket.recv(MESSAGE_BYTES_MAX)
        assert answer, "the nursery has ended; standard error says why"
        return json.loads(answer)

    def close(self) -> None:
        """Ends it and what it has started."""
        self._socket.close()
        self._process.wait(60)


@functools.cache
def nursery(modules: tuple[str, ...]) -> Nursery:
    """The one of this process that has imported ``modules``, started when it is first asked for."""
    return Nursery(modules)


def _copy(stream: int | IO[Any]) -> int:
    return os.dup(stream if isinstance(stream, int) else stream.fileno())


def main(descriptor: int, modules: Sequence[str]) -> None:
    """Forks until nobody can ask any more."""
    from appliance.serving.limits import without_unused

    without_unused()  # a box has none; before the service says so, or each fork would load it
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that a collection in a fork copies no page of what lies here
    nursery = os.getpid()
    with socket.socket(fileno=descriptor) as asks:
        while True:
            message, given, _, _ = socket.recv_fds(asks, MESSAGE_BYTES_MAX, 3)
            if not message:
                os._exit(0)  # nothing to clear up
            asked = json.loads(message)
            if "poll" in asked:
                asks.send(json.dumps(_poll(asked["poll"])).encode())
                continue
            threads = len(list(Path("/proc/self/task").iterdir()))
            assert threads == 1, f"{threads} threads: a fork would copy one of them and the locks of all"
            pid = os.fork()
            if pid == 0:
                break
            for copy in given:
                os.close(copy)
            asks.send(json.dumps(pid).encode())
    _become(asked, given, nursery)


def _poll(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _become(asked: dict[str, Any], descriptors: Sequence[int], nursery: int) -> None:
    """Is the program that was asked for, to its end."""
    from appliance.serving.limits import die_with_parent

    die_with_parent(nursery)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    os.chdir(asked["cwd"])
    sys.stdin, sys.stdout, sys.stderr = (_text(n) for n in range(3))
    module, *arguments = asked["arguments"]
    sys.argv = [module, *arguments]
    sys.orig_argv = [sys.executable, "-m", module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as e:
        if not isinstance(e.code, int | None):
            raise
        status = e.code or 0
    else:
        status = 0
    threading._shutdown()  # type: ignore[attr-defined]  # joins threads, and ends those of executors
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # taking each module apart would take longer than most of what is done here


def _text(number: int) -> io.TextIOWrapper:
    """A standard stream as the interpreter opens it at its start."""
    raw = open(number, "rb" if number == 0 else "wb", closefd=False)  # noqa: SIM115 - lives as long as the process
    errors = "backslashreplace" if number == 2 else "strict"
    return io.TextIOWrapper(raw, errors=errors, line_buffering=number == 2 or raw.isatty())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
