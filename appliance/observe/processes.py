"""The processes that the appliance has started, by path: what they use, and holding them still without ending them.

Whoever starts a process says so here and says when it has ended. What they use is read from the kernel's own account of each process
(``/proc``); they are held with SIGSTOP and let go on with SIGCONT. No process is signalled that was not named here, or has ended.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from appliance.clock import Clock

log = logging.getLogger(__name__)
PathName = Literal["hot", "cold", "hybrid"]
PATHS: Final[tuple[PathName, ...]] = ("hot", "cold", "hybrid")
_CPU_AT: Final = (11, 12, 13, 14)
"""utime, stime, and those of children that were waited for, counted behind the name: proc_pid_stat(5)."""


@dataclass(frozen=True, slots=True)
class Use:
    """What processes have used, and hold."""

    cpu_s: float = 0.0
    io_bytes: int = 0
    """From and to the disk; what the page cache has answered is not in it."""
    memory_bytes: int = 0
    """Resident now."""
    count: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(
            self.cpu_s + other.cpu_s, self.io_bytes + other.io_bytes, self.memory_bytes + other.memory_bytes, self.count + other.count
        )


@dataclass(slots=True)
class _Started:
    path: PathName
    pid: int
    descriptor: int | None
    """A pidfd: it means this process and no later one of the same number; None where the kernel has none."""
    has_group: bool
    obeys: bool
    use: Use = Use()


class Processes:
    """See the module. Any thread may call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._started: dict[int, _Started] = {}
        self._gone: dict[PathName, Use] = {path: Use() for path in PATHS}
        self._held: dict[PathName, set[str]] = {path: set() for path in PATHS}
        self._since_ns: dict[PathName, int] = {}
        self._stood_ns: dict[PathName, int] = dict.fromkeys(PATHS, 0)

    def begin(self, path: PathName, pid: int, *, has_group: bool = False, obeys: bool = False) -> None:
        """A child of this process works for ``path`` from now on, at once held where the path is.

        ``has_group``: it leads a process group, all of which is meant. ``obeys``: whoever watches it asks ``is_held`` and stops it
        himself; it is only measured here.
        """
        with self._lock:
            started = self._started[pid] = _Started(path, pid, _pidfd(pid), has_group, obeys)
            if self._held[path]:
                _signal(started, signal.SIGSTOP)

    def end(self, pid: int) -> None:
        """It has ended, or is about to be ended; a second call does nothing."""
        with self._lock:
            started = self._started.pop(pid, None)
            if started is None:
                return
            used = started.use
            self._gone[started.path] += Use(used.cpu_s, used.io_bytes)
            if started.descriptor is not None:
                os.close(started.descriptor)

    @contextmanager
    def watched(self, path: PathName, pid: int, *, has_group: bool = False, obeys: bool = False) -> Iterator[None]:
        """``begin`` and ``end`` around a block."""
        self.begin(path, pid, has_group=has_group, obeys=obeys)
        try:
            yield
        finally:
            self.end(pid)

    def use(self) -> Mapping[PathName, Use]:
        """By path: used since the start by all processes of it, also those that have ended (up to the look before their end); held now.

        The service's own process is the hot path.
        """
        with self._lock:
            found = dict(self._gone)
            for started in self._started.values():
                started.use = _use_of_all(started)
                found[started.path] += started.use
        found["hot"] += use_of(os.getpid())
        return found

    def hold(self, path: PathName, why: str) -> None:
        """Its processes stand still until ``release`` has been called for each reason."""
        assert path != "hot", "the hot path is never held"
        with self._lock:
            is_new = not self._held[path]
            self._held[path].add(why)
            if is_new:
                self._since_ns[path] = self._clock.monotonic_ns()
                self._signal(path, signal.SIGSTOP)

    def release(self, path: PathName, why: str) -> None:
        """Takes one reason away; without any the processes go on. One that was not given means nothing."""
        with self._lock:
            if why in self._held[path]:
                self._held[path].remove(why)
                if not self._held[path]:
                    self._stood_ns[path] += self._clock.monotonic_ns() - self._since_ns[path]
                    self._signal(path, signal.SIGCONT)

    def is_held(self, path: PathName) -> bool:
        """Whether it stands still."""
        return bool(self._held[path])

    def reasons(self, path: PathName) -> tuple[str, ...]:
        """Why it stands still; empty: it doesn't."""
        return tuple(sorted(self._held[path]))

    def stood_s(self, path: PathName) -> float:
        """For how long it has stood still since the start, all together: time limits leave it out."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            return (self._stood_ns[path] + (now_ns - self._since_ns[path] if self._held[path] else 0)) / 1e9

    def _signal(self, path: PathName, number: signal.Signals) -> None:
        for started in self._started.values():
            if started.path == path:
                _signal(started, number)


def use_of(pid: int) -> Use:
    """Of a process of this user; nothing where it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text("ascii").splitlines())
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return Use()
    ticks = sum(int(stat[at]) for at in _CPU_AT)
    disk = int(io["read_bytes"]) + int(io["write_bytes"])
    return Use(ticks / os.sysconf("SC_CLK_TCK"), disk, pages * os.sysconf("SC_PAGE_SIZE"), 1)


def _use_of_all(started: _Started) -> Use:
    """Of a process, and of those that it has started where it leads a group; never less CPU and I/O than before."""
    found = use_of(started.pid)
    if started.has_group:
        for pid in _below(started.pid):
            found += use_of(pid)
    before = started.use
    return Use(max(found.cpu_s, before.cpu_s), max(found.io_bytes, before.io_bytes), found.memory_bytes, found.count)


def _below(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those below them; none where the kernel doesn't tell."""
    with suppress(OSError):
        for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split():
            yield int(word)
            yield from _below(int(word))


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError as e:
        log.debug("process %d is known by its number alone: %s", pid, e.strerror)
        return None


def _signal(started: _Started, number: signal.Signals) -> None:
    """To a process (its group) that has not ended: its pidfd is asked first."""
    if started.obeys:
        return
    with suppress(OSError):  # it has ended
        if started.descriptor is not None:
            signal.pidfd_send_signal(started.descriptor, number)
        if started.has_group:
            os.killpg(started.pid, number)
        elif started.descriptor is None:
            os.kill(started.pid, number)
