"""The worker processes of the service: started when one is needed, kept warm, ended when idle, killed when they don't listen.

Belongs to the event loop. The service itself never loads DuckDB: whatever a query does to its process, ingest doesn't feel it.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

import appliance
from appliance.background import Background
from appliance.config import QueryOptions
from appliance.errors import RetryLater
from appliance.observe.processes import PathName, Processes
from appliance.serving.chunks import Held
from appliance.serving.protocol import LENGTH, FromWorker, Message, Ready, frame, from_worker
from appliance.serving.usage import Usage, usage_of

log = logging.getLogger(__name__)
WAITING_MAX: Final = 32
"""Queries that may wait for a worker; further ones are told to come again."""
WAIT_MAX_S: Final = 20.0
START_MAX_S: Final = 20.0
LEAVE_MAX_S: Final = 1.0
"""Time in which a process has to go after its socket was closed."""
TEMP: Final = "tmp"
"""Folder of the data folder for what queries spill to disk; emptied at the start."""
SPILL_SHARE: Final = 0.5
"""Part of the disk's free space that one query may spill to: the rest stays for ingest."""
SPILL_BYTES_MAX: Final = 8 << 30
_READ_BYTES: Final = 256 * 1024


class WorkerGone(Exception):
    """The process has ended, or its socket is closed."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What the processes of a pool are for."""

    name: str = "query"
    """Begins the names of their temporary folders; no two pools of a service have the same."""
    section: str = "query"
    """Of the config, where their limits stand."""
    is_batch: bool = False
    """Nobody waits: lowest priority for processor and disk."""
    path: PathName = "hybrid"
    """Whose budget they use."""
    temp_bytes_max: int | None = None
    """What one of them may spill; None: ``SPILL_BYTES_MAX``. Never more than ``SPILL_SHARE`` of what is free."""


class WorkerProcess:
    """One process and its socket."""

    def __init__(self, process: asyncio.subprocess.Process, sock: socket.socket, temp: Path) -> None:
        self._process = process
        self._sock = sock
        self.pid = process.pid
        self.temp = temp
        """Where it may write; goes with it."""
        self._received = bytearray()
        self._reading = memoryview(bytearray(_READ_BYTES))
        self.is_warm = False
        """It has waited idle, and may have been ended by the system meanwhile."""
        self._told = Usage()
        self.held = Held()
        """The hot rows that it has."""

    async def send(self, message: Message, *, descriptor: int | None = None) -> None:
        """Raises ``WorkerGone``."""
        data = frame(message)
        loop = asyncio.get_running_loop()
        try:
            if descriptor is not None:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
                sent = self._sock.sendmsg([data], rights)  # a few bytes to a worker that waits for them: never blocks
                data = data[sent:]
            await loop.sock_sendall(self._sock, data)
        except OSError as e:
            raise WorkerGone(f"the query's process has gone ({e})") from e

    async def receive(self) -> FromWorker:
        """The next message. Raises ``WorkerGone``."""
        while not self.has_message:
            await self._take()
        (length,) = LENGTH.unpack_from(self._received)
        body = bytes(memoryview(self._received)[LENGTH.size : LENGTH.size + length])
        del self._received[: LENGTH.size + length]
        return from_worker(body)

    @property
    def has_message(self) -> bool:
        """Whether the next message is here already, whole."""
        return LENGTH.size <= len(self._received) and LENGTH.size + LENGTH.unpack_from(self._received)[0] <= len(self._received)

    async def _take(self) -> None:
        """Some of what comes next."""
        try:
            count = await asyncio.get_running_loop().sock_recv_into(self._sock, self._reading)
        except ConnectionResetError:  # it ended with something of ours unread
            count = 0
        except OSError as e:
            raise WorkerGone(f"the query's process has gone ({e})") from e
        if count == 0:
            status = await self._process.wait()
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise WorkerGone(f"the query's process has ended ({how})")
        self._received += self._reading[:count]

    def used(self, told: Usage | None) -> Usage:
        """What it has used since this was asked last, its start included. ``told`` is its own word of all that it has used; None: it has
        said none, and the system is asked, which knows nothing once it has gone."""
        now = usage_of(self._process.pid) if told is None else told
        found, self._told = now.since(self._told), now
        return found

    def kill(self) -> None:
        """Ends the process now."""
        with contextlib.suppress(ProcessLookupError):  # it has ended
            self._process.kill()

    async def close(self) -> None:
        """Lets the process go, and makes it go when it doesn't; removes what it has spilled."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # whoever waits for the worker hears of it; a closed socket would never tell
        try:
            async with asyncio.timeout(LEAVE_MAX_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        self._sock.close()
        await asyncio.to_thread(shutil.rmtree, self.temp, ignore_errors=True)  # what stays, the next start removes


class Pool:
    """At most ``workers_max`` processes; who comes when all are busy waits in line."""

    def __init__(self, *, data_dir: Path, options: QueryOptions, threads: int, processes: Processes, manner: Manner | None = None) -> None:
        """The pool of queries, which a service makes first, empties the folder of what is temporary. ``processes`` is told of each."""
        self._data_dir = data_dir.absolute()
        self._manner = manner or Manner()
        self._options = options
        self._threads = threads
        self._processes = processes
        self._idle: deque[tuple[WorkerProcess, asyncio.TimerHandle]] = deque()
        self._free = asyncio.Semaphore(options.workers_max)
        self._waiting = 0
        self._count = 0
        self._closed = False
        self._closing = Background()
        if manner is None:
            shutil.rmtree(self._data_dir / TEMP, ignore_errors=True)  # nobody reads what stays; it is tried again at each start

    @property
    def idle(self) -> int:
        """Warm processes without a query."""
        return len(self._idle)

    async def acquire(self) -> WorkerProcess:
        """A worker for one query. Raises ``RetryLater`` when too many wait or none gets free in time."""
        if self._closed:
            raise RetryLater("the appliance is stopping; try again when it has started", after_s=2)
        if self._waiting >= WAITING_MAX:
            raise RetryLater(f"{self._waiting} queries wait already; try again", after_s=5)
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()  # at once
        try:
            if self._idle:
                worker, timer = self._idle.pop()  # the warmest; the others get their chance to go
                timer.cancel()
                worker.is_warm = True
                return worker
            return await self._start()
        except BaseException:
            self._free.release()
            raise

    async def _wait(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await self._free.acquire()
        except TimeoutError:
            raise RetryLater(f"all {self._options.workers_max} query processes are busy; try again", after_s=5) from None
        finally:
            self._waiting -= 1

    def release(self, worker: WorkerProcess, *, worn: bool) -> None:
        """Gives a worker back; a worn one, or one in the middle of something, is ended."""
        self._free.release()
        if worn or self._closed:
            self._retire(worker)
            return
        timer = asyncio.get_running_loop().call_later(self._options.idle_s, self._retire_idle, worker)
        self._idle.append((worker, timer))

    def stood_s(self) -> float:
        """For how long its processes have been held still since the start, all together."""
        return self._processes.stood_s(self._manner.path)

    def let_idle_go(self) -> None:
        """Ends the processes that wait for a query: their memory is wanted elsewhere."""
        while self._idle:
            worker, timer = self._idle.pop()
            timer.cancel()
            self._retire(worker)

    async def close(self) -> None:
        """Ends all processes that are idle; those with a query are their queries' to end, and none is started any more."""
        self._closed = True
        self.let_idle_go()
        await self._closing.finish()

    def _retire_idle(self, worker: WorkerProcess) -> None:
        self._idle = deque((w, t) for w, t in self._idle if w is not worker)
        self._retire(worker)

    def _retire(self, worker: WorkerProcess) -> None:
        self._processes.end(worker.pid)
        self._closing.begin(worker.close(), f"the end of the query process {worker.pid}")

    async def _start(self) -> WorkerProcess:
        self._count += 1
        temp = self._data_dir / TEMP / f"{self._manner.name}-{os.getpid()}-{self._count}"
        temp.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        try:
            process = await self._spawn(theirs.fileno(), temp)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = WorkerProcess(process, ours, temp)
        try:
            async with asyncio.timeout(START_MAX_S):
                first = await worker.receive()
            assert isinstance(first, Ready), "a worker begins with Ready"
        except BaseException as e:
            worker.kill()
            self._retire(worker)
            if isinstance(e, WorkerGone | TimeoutError):
                log.exception("a query process did not start")
                raise RetryLater("a query process could not be started; the log says why", after_s=5) from e
            raise
        self._processes.begin(self._manner.path, worker.pid)  # not before it is ready: one that is held could not be waited for
        return worker

    async def _spawn(self, descriptor: int, temp: Path) -> asyncio.subprocess.Process:
        free = shutil.disk_usage(temp).free
        options = {
            "descriptor": descriptor,
            "parent_pid": os.getpid(),
            "data_dir": str(self._data_dir),
            "temp_dir": str(temp),
            "temp_bytes_max": min(int(free * SPILL_SHARE), self._manner.temp_bytes_max or SPILL_BYTES_MAX),
            "is_batch": self._manner.is_batch,
            "memory_max": self._options.memory_max,
            "threads": self._threads,
            "log_level": log.getEffectiveLevel(),
        }
        home = str(Path(appliance.__file__).parent.parent)
        environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONPATH": _first_on_path(home)}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "appliance.serving.worker",
            msgspec.json.encode(options).decode(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=(descriptor,),
            env=environment,
            cwd=temp,
        )


def _first_on_path(home: str) -> str:
    """The search path by which the process finds this very package."""
    given = os.environ.get("PYTHONPATH", "")
    return f"{home}{os.pathsep}{given}" if given else home
