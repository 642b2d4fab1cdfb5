"""External programs of batch work: without a shell, under limits, with their whole group killed when they have to end.

Belongs to the event loop. ``launch.py`` stands between the service and the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import msgspec
import psutil

import appliance
from appliance.batching import launch
from appliance.batching.work import Limits
from appliance.errors import ApplianceError, JobFailed, UsageRefused
from appliance.observe.processes import PathName, Processes
from appliance.serving.limits import NICE_BATCH, NICE_SOON, ioprio_set_number
from appliance.serving.usage import Usage, usage_of

OUTPUT_BYTES_MAX: Final = 16 * 1024 * 1024
LAST_WORDS_BYTES: Final = 2_000
_PIECE_BYTES: Final = 65_536
_POOL: Final = "ARROW_DEFAULT_MEMORY_POOL"
"""Read when PyArrow is imported; its default would reserve a gigabyte of the memory that a run may have at once."""


def own_program(module: str) -> tuple[str, ...]:
    """The command line of a module of this very package with a function ``main``, wherever it is started."""
    home = str(Path(appliance.__file__).parent.parent)
    first = f"import os, sys; os.environ[{_POOL!r}] = 'system'; sys.path.insert(0, {home!r})"
    return (sys.executable, "-I", "-c", f"{first}; from {module} import main; main()")


class _Told(msgspec.Struct, frozen=True):
    """What ``launch.py`` leaves."""

    status: int
    cpu_s: float
    read_bytes: int
    written_bytes: int
    memory_bytes: int


class Program:
    """One program under way."""

    def __init__(self, command: Sequence[str], *, folder: Path, limits: Limits, started: Processes | None = None) -> None:
        """``folder`` is where it runs; ``started`` is told of it; None: nobody is."""
        if not command:
            raise UsageRefused("there is no program to run")
        self._command = list(command)
        self._folder = folder
        self._limits = limits
        self._started = started
        self._process: asyncio.subprocess.Process | None = None
        self._why: ApplianceError | None = None
        self.usage = Usage()
        """Known when it has ended."""

    async def run(self, given: bytes = b"") -> bytes:
        """Its output. Raises ``JobFailed`` with its last words where its status is not 0, and what ``stop`` was told."""
        report, theirs = os.pipe()
        try:
            process = self._process = await self._start(theirs)
        except OSError as e:
            os.close(report)
            raise JobFailed(f"{self._command[0]}: can't be started: {e.strerror}") from e
        finally:
            os.close(theirs)
        try:
            with nullcontext() if self._started is None else self._started.watched(self._path, process.pid, has_group=True):
                output, words = await self._talk(process, given)
                await process.wait()
        except BaseException:
            self._kill()
            await asyncio.shield(process.wait())
            raise
        finally:
            said = os.read(report, _PIECE_BYTES)
            os.close(report)
            if said:
                told = msgspec.json.decode(said, type=_Told)
                self.usage = Usage(told.cpu_s, told.read_bytes, told.written_bytes, told.written_bytes, told.memory_bytes)
        if self._why is not None:
            raise self._why
        if process.returncode != 0:
            last = words.decode("utf-8", "replace").strip()
            raise JobFailed(f"{self._command[0]} has ended with {_how(process.returncode or 0)}{': ' + last if last else ''}")
        return output

    def stop(self, why: ApplianceError) -> None:
        """Kills it and all that it has started; ``run`` raises ``why``."""
        if self._why is None:
            self._why = why
            self._kill()

    def _kill(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended, and its launcher has ended what it had left
            started = psutil.Process(self._process.pid).children(recursive=True)
            for process in started:
                self.usage += usage_of(process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            for process in started:  # also those that have left the group
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    @property
    def _path(self) -> PathName:
        """Whose budget it uses."""
        return "cold" if self._limits.gives_way else "hybrid"

    async def _start(self, report: int) -> asyncio.subprocess.Process:
        limits = {
            "parent_pid": os.getpid(),
            "memory_max": self._limits.memory_max,
            "threads": self._limits.threads,
            "disk_bytes_max": self._limits.disk_bytes_max,
            "nice": NICE_BATCH if self._limits.gives_way else NICE_SOON,
            "ioprio_set": ioprio_set_number(),
            "report": report,
        }
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", launch.__file__),
            msgspec.json.encode(limits).decode(),
            *self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            pass_fds=(report,),
            cwd=self._folder,
            start_new_session=True,
        )

    async def _talk(self, process: asyncio.subprocess.Process, given: bytes) -> tuple[bytes, bytes]:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        output, words, _ = await asyncio.gather(self._read(process.stdout), _last(process.stderr), _give(process.stdin, given))
        return output, words

    async def _read(self, stream: asyncio.StreamReader) -> bytes:
        output = bytearray()
        while piece := await stream.read(_PIECE_BYTES):
            output += piece
            if len(output) > OUTPUT_BYTES_MAX:
                self.stop(JobFailed(f"{self._command[0]} has written more than {OUTPUT_BYTES_MAX >> 20} MiB to its standard output"))
                output.clear()
        return bytes(output)


async def _last(stream: asyncio.StreamReader) -> bytes:
    """The end of what comes, in bounded memory."""
    kept = b""
    while piece := await stream.read(_PIECE_BYTES):
        kept = (kept + piece)[-LAST_WORDS_BYTES:]
    return kept


async def _give(stream: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # it need not read what it is given
        stream.write(given)
        await stream.drain()
        stream.close()
        await stream.wait_closed()


def _how(status: int) -> str:
    number = -status if status < 0 else status - 128
    if status < 0 or 128 < status < 160:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(number).name}"
    return f"status {status}"
