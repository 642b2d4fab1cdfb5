"""What processes use: of another one out of ``/proc``, of this one by the kernel's own count."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_IO_BYTES_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used."""

    cpu_s: float = 0.0
    """Of all its threads."""
    read_bytes: int = 0
    """By system calls, out of the page cache or not."""
    written_bytes: int = 0
    """Likewise."""
    disk_bytes: int = 0
    """Of what was written, towards the disk: what wears it."""
    memory_bytes: int = 0
    """The most that it has held at once."""
    rows: int = 0
    """Records that queries in it have looked at, after skipping; not known to the process itself."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.cpu_s + other.cpu_s,
            self.read_bytes + other.read_bytes,
            self.written_bytes + other.written_bytes,
            self.disk_bytes + other.disk_bytes,
            max(self.memory_bytes, other.memory_bytes),
            self.rows + other.rows,
        )

    def since(self, before: Usage) -> Usage:
        """What was used after ``before``; nothing where the process has gone meanwhile. Memory is the most since its start."""
        return Usage(
            max(0.0, self.cpu_s - before.cpu_s),
            max(0, self.read_bytes - before.read_bytes),
            max(0, self.written_bytes - before.written_bytes),
            max(0, self.disk_bytes - before.disk_bytes),
            self.memory_bytes,
        )


def usage_of(pid: int) -> Usage:
    """Of a process of this user, out of ``/proc``; nothing where it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
        read, written, disk = _io(str(pid))
    except OSError:
        return Usage()
    ticks = sum(int(stat[at]) for at in (11, 12, 13, 14))  # utime, stime and those of children that were waited for: man 5 proc
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB").split()
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), read, written, disk, int(peak[1]) * 1024)


def own_usage() -> Usage:
    """Of this process since its start, without its children; some 10 µs."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    try:
        read, written, disk = _counted(os.pread(own_file("io", os.getpid()), _IO_BYTES_MAX, 0))
    except OSError:  # a kernel without the count of bytes
        read, written, disk = 0, 0, 0
    return Usage(used.ru_utime + used.ru_stime, read, written, disk, used.ru_maxrss * 1024)


@cache
def own_file(name: str, _pid: int) -> int:
    """A descriptor of a file below ``/proc/self`` of the process ``_pid``, which is this one: it stays open, since to open it takes
    longer than to read it."""
    return os.open(f"/proc/self/{name}", os.O_RDONLY | os.O_CLOEXEC)


def _io(pid: str) -> tuple[int, int, int]:
    descriptor = os.open(f"/proc/{pid}/io", os.O_RDONLY)  # a file object would take three times as long
    try:
        return _counted(os.read(descriptor, _IO_BYTES_MAX))
    finally:
        os.close(descriptor)


def _counted(text: bytes) -> tuple[int, int, int]:
    """Bytes read and written by system calls, and written towards the disk (man 5 proc, ``io``)."""
    words = text.split()
    return int(words[1]), int(words[3]), int(words[11])
