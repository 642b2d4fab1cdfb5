"""``exec:COMMAND ARGS``: a command of this machine, run without a shell, the message as JSON on its standard input.

In its environment: APPLIANCE_RULE, APPLIANCE_STATE, APPLIANCE_SEVERITY, APPLIANCE_SUMMARY, APPLIANCE_IDEMPOTENCY_KEY; it runs in the data
folder. It is over when it has ended and nobody holds its output any more. At the time-out its whole process group is killed: what
then counts is how the command itself ended, if it had. 0 is delivered; every other status, and being killed, is tried again, since
a script rarely says whether it was for good; a command that can't be started for want of the file or of leave is for good.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, Literal

from appliance.clock import Clock
from appliance.hot.alerts.values import Message
from appliance.notify.bodies import facts, json_body, json_bytes
from appliance.notify.channel import ANSWER_BYTES_MAX, Channel, Delivery, Sender, Undelivered, one_line, refused
from appliance.notify.deadline import Deadline
from appliance.workload_options import NotifyOptions

SCHEME: Final = "exec"
_NOT_HANDED_ON: Final = ("APPLIANCE_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "CREDENTIALS_DIRECTORY")
"""Beginnings of variables that are the service's own: options that hold secrets, and what systemd says to it alone."""
_FOR_GOOD: Final = (FileNotFoundError, PermissionError, NotADirectoryError)
_EX_TEMPFAIL: Final = 75
_REAP_S: Final = 1.0


class Command(Channel):
    """One command line."""

    def __init__(self, sender: Sender, options: NotifyOptions, *, data_dir: Path, clock: Clock) -> None:
        """Raises ``ConfigRefused``."""
        try:
            words = shlex.split(options.url.partition(":")[2])
        except ValueError as error:
            raise refused(sender.channel, f"is no command line: {str(error).lower()}") from error
        if not words or not words[0] or any("\0" in word for word in words):
            raise refused(sender.channel, "must be exec:COMMAND ARGS")
        super().__init__(sender, options, f"exec:{words[0]}")
        self._words = words
        self._folder = data_dir
        self._clock = clock
        self._lock = threading.Lock()
        self._running: set[_Run] = set()
        self._closings = 0

    def send(self, message: Message, *, timeout_s: float) -> Delivery:
        text = json_bytes(json_body(message, self.sender)) + b"\n"
        environment = _environment(os.environ, facts(message))
        deadline = Deadline(self._clock, timeout_s)
        closings = self._closings
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise Undelivered(f"{self._words[0]} can't be started: {error.strerror}", retry=not isinstance(error, _FOR_GOOD)) from error
        run = _Run(process, text)
        with self._lock:
            self._running.add(run)
            if self._closings != closings:  # while the process was being started, when nothing of it could be told yet
                run.interrupt()
        try:
            ended = run.carry_through(deadline)
        finally:
            with self._lock:
                self._running.discard(run)
            run.close()
        return self._judged(run, ended, timeout_s)

    def close(self) -> None:
        with self._lock:
            self._closings += 1
            for run in self._running:
                run.interrupt()

    def _judged(self, run: _Run, ended: Literal["ended", "timed out", "interrupted"], timeout_s: float) -> Delivery:
        said = one_line(run.output.decode("utf-8", "replace"))
        after = f": {said}" if said else ""
        if run.status == 0:
            return Delivery(f"exit status 0{after}")
        if run.status is None or run.status < 0:
            why = f"did not end within {timeout_s:g} s and was killed" if ended == "timed out" else "was killed"
            raise Undelivered(f"{self._words[0]} {why}{after}", retry=True)
        name = " (EX_TEMPFAIL)" if run.status == _EX_TEMPFAIL else ""
        raise Undelivered(f"{self._words[0]}: exit status {run.status}{name}{after}", retry=True, answered=True)


class _Run:
    """One process on its way. ``status``: its exit status, negative for a signal, None while it is not known."""

    def __init__(self, process: subprocess.Popen[bytes], text: bytes) -> None:
        self._process = process
        self._left = memoryview(text)
        self._ended = os.pidfd_open(process.pid)
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.output = bytearray()
        self.status: int | None = None

    def carry_through(self, deadline: Deadline) -> Literal["ended", "timed out", "interrupted"]:
        """Feed it and read it until it has ended and its output too. The process is not reaped before the group is dealt with:
        until then its number can belong to nobody else."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        for pipe in (stdin, stdout):
            os.set_blocking(pipe.fileno(), False)
        outcome: Literal["ended", "timed out", "interrupted"] = "ended"
        with selectors.DefaultSelector() as waiting:
            waiting.register(stdin, selectors.EVENT_WRITE)
            waiting.register(stdout, selectors.EVENT_READ)
            waiting.register(self._ended, selectors.EVENT_READ)
            waiting.register(self._stop_read, selectors.EVENT_READ)
            while {stdout, self._ended} & {key.fileobj for key in waiting.get_map().values()}:
                try:
                    ready = waiting.select(deadline.left_s())
                except TimeoutError:
                    outcome = "timed out"
                    break
                if any(key.fileobj == self._stop_read for key, _ in ready):
                    outcome = "interrupted"
                    break
                self._serve(waiting, {key.fileobj for key, _ in ready}, stdin, stdout)
        if outcome != "ended":
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or runs as somebody else, whom we can't end
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process the kernel holds fast is reaped by a later start
            self.status = self._process.wait(_REAP_S)
        return outcome

    def _serve(self, waiting: selectors.BaseSelector, ready: set[object], stdin: IO[bytes], stdout: IO[bytes]) -> None:
        if stdin in ready and self._is_fed(stdin):
            waiting.unregister(stdin)
            stdin.close()
        if stdout in ready and self._is_read(stdout):
            waiting.unregister(stdout)
        if self._ended in ready:
            waiting.unregister(self._ended)

    def _is_fed(self, stdin: IO[bytes]) -> bool:
        """Whether there is nothing more to write, or nobody who reads."""
        try:
            self._left = self._left[os.write(stdin.fileno(), self._left) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
        return not self._left

    def _is_read(self, stdout: IO[bytes]) -> bool:
        """Whether nobody holds the output any more. What is above the limit is read and let go, so that the command can go on."""
        try:
            got = os.read(stdout.fileno(), 65_536)
        except BlockingIOError:
            return False
        self.output += got[: ANSWER_BYTES_MAX - len(self.output)]
        return not got

    def interrupt(self) -> None:
        with contextlib.suppress(OSError):  # the run is over, and its pipe closed
            os.write(self._stop_write, b"x")

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not written found no reader
                    pipe.close()
        for descriptor in (self._ended, self._stop_read, self._stop_write):
            os.close(descriptor)


def _environment(ours: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    handed_on = {name: value for name, value in ours.items() if not name.startswith(_NOT_HANDED_ON)}
    return handed_on | {f"APPLIANCE_{name}": value for name, value in said.items()}
