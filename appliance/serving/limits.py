"""The cage of a process that runs SQL from outside: address space, files, priority. Linux; says what it could not do.

DuckDB's own memory limit and interrupt don't hold against a hostile query (measured: 23 GB under a limit of 128 MB), so the
kernel holds them. Everything here is for good: only a process that is made for queries calls it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from appliance.serving.usage import own_file

log = logging.getLogger(__name__)
NICE = 5
"""A query gives way to ingest where both want the processor."""
NICE_SOON = 10
"""What somebody will want to know within half a minute: a tenth of a core that others want as well."""
NICE_BATCH = 19
"""What nobody waits for gives way to everything."""
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
"""Number of the system call by machine (asm/unistd.h); 32-bit ones are left out, where the disk is shared evenly then."""
_IOPRIO_WHO_PROCESS, _IOPRIO_IDLE = 1, 3 << 13
_PR_SET_PDEATHSIG = 1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_M_ARENA_MAX = -8
"""malloc.h"""
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_VERSION = 1
_RULE_PATH_BENEATH = 1
_WRITE_FILE, _REMOVE_DIR, _REMOVE_FILE = 1 << 1, 1 << 4, 1 << 5
_MAKE = sum(1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14


class AddressSpace:
    """The limit on what the process may map: what it holds when warm, and a query's memory on top."""

    def __init__(self, *, memory_max: int) -> None:
        """Measures now: call it when all that every query needs is loaded."""
        self.base_bytes = mapped_bytes()
        self._memory_max = memory_max

    def allow(self, *, extra_bytes: int = 0) -> None:
        """Sets the limit; ``extra_bytes`` are mapped besides a query's own memory (hot rows that were handed over)."""
        limit = self.base_bytes + self._memory_max + extra_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))

    @property
    def is_worn(self) -> bool:
        """Whether the allocator has kept so much that a next query would find less than half of its memory free."""
        return mapped_bytes() > self.base_bytes + self._memory_max // 2


class _Unused:
    """An import hook that has never heard of what no box uses."""

    names = frozenset({"pandas", "pyarrow._s3fs", "pyarrow._gcsfs", "pyarrow._azurefs", "pyarrow._hdfs"})

    @classmethod
    def find_spec(cls, name: str, _path: object = None, _target: object = None) -> None:
        if name in cls.names:
            raise ModuleNotFoundError(f"{name} is not for this process", name=name)


def without_unused() -> None:
    """Keeps PyArrow from loading what is used nowhere here, before it is imported itself.

    Pandas, where it is installed, only to ask whether a list is a Series: 0.3 s and 40 MB; file systems of clouds: 4 MB.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _Unused)


def with_little_memory() -> None:
    """For a process that lives for months: freed memory goes back to the system, before anything is allocated.

    Two heaps of the C library in place of eight for each core, and PyArrow on them instead of an allocator of its own: 6 MB less of an
    idle service, no more processor time for a record.
    """
    import pyarrow as pa  # heavy, and only the service calls this

    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    pa.set_memory_pool(pa.system_memory_pool())


def mapped_bytes() -> int:
    """Address space of this process."""
    return int(os.pread(own_file("statm", os.getpid()), 128, 0).split()[0]) * _PAGE_BYTES


def die_with_parent(parent_pid: int) -> None:
    """Makes the kernel end this process when its parent ends; ends it now if that has happened already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def give_way() -> None:
    """Lower priority than that of the service, for every thread that there is: Linux keeps it for each, and new ones inherit it."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.setpriority(os.PRIO_PROCESS, int(thread.name), NICE)


def give_way_wholly() -> None:
    """The lowest priority for processor and disk: for work that nobody waits for. For good, and for all that it starts."""
    os.setpriority(os.PRIO_PROCESS, 0, NICE_BATCH)
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as e:
        log.debug("the scheduler can't be told that this is batch work: %s", e)
    number = ioprio_set_number()
    if number:
        ctypes.CDLL(None, use_errno=True).syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE)


def ioprio_set_number() -> int:
    """The number of the system call that sets a process's priority for the disk; 0 where it is not known."""
    return _IOPRIO_SET.get(os.uname().machine, 0)


def go_first() -> None:
    """The first to go when the machine runs out of memory."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    except OSError as e:
        log.debug("a query's process can't offer itself to the out-of-memory killer: %s", e)


def write_only_below(folders: Iterable[Path]) -> bool:
    """Takes from this process the right to write, make or remove files anywhere but below ``folders`` (Landlock, Linux 5.13).

    False, and a line in the log, where the kernel has no Landlock; the gate before the SQL still refuses to write then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_VERSION))
    if version < 1:
        log.debug("no Landlock here (%s): segments are guarded by the SQL gate alone", os.strerror(ctypes.get_errno()))
        return False
    rights = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    handled = struct.pack("Q", rights)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint32(0))
    if ruleset < 0:
        log.debug("Landlock can't be used (%s)", os.strerror(ctypes.get_errno()))
        return False
    try:
        for folder in folders:
            place = os.open(folder, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", rights, place)
                failed = libc.syscall(_LANDLOCK_ADD_RULE, ruleset, ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
            finally:
                os.close(place)
            if failed:
                log.debug("Landlock can't be used for %s (%s)", folder, os.strerror(ctypes.get_errno()))
                return False
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)):
            log.debug("Landlock can't be used (%s)", os.strerror(ctypes.get_errno()))
            return False
    finally:
        os.close(ruleset)
    return True
