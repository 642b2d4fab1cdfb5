"""Starts a program under limits and says what it has used: ``python -I -S launch.py LIMITS PROGRAM [ARGUMENT …]``.

Between the service and the program, so that the limits hold from the program's first instruction, and whatever it has started ends
with it. Made of the standard library alone, because it is started without anything else. On the descriptor that it is told of it
leaves one line of JSON at the end: ``status``, ``cpu_s``, ``read_bytes``, ``written_bytes``, ``memory_bytes``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_NOT_FOUND, _NOT_RUN = 127, 126
"""What a shell gives for a program that is not there, or can't be run."""
_BLOCK_BYTES = 512
_LOWEST = 19


def main() -> None:
    """Ends with the program's status; a signal becomes 128 and its number."""
    limits = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != limits["parent_pid"]:
        os._exit(1)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _give_way(libc, limits["nice"], limits["ioprio_set"])
    starter = os.getpid()
    child = os.fork()
    if not child:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != starter:
            os._exit(1)
        os.close(limits["report"])
        _run(limits)
    for number in (0, 1):
        os.close(number)
    _, status = os.waitpid(child, 0)
    _end_rest()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = os.waitstatus_to_exitcode(status)
    told = {
        "status": code,
        "cpu_s": used.ru_utime + used.ru_stime,
        "read_bytes": used.ru_inblock * _BLOCK_BYTES,
        "written_bytes": used.ru_oublock * _BLOCK_BYTES,
        "memory_bytes": used.ru_maxrss * 1024,
    }
    os.write(limits["report"], json.dumps(told).encode())
    os._exit(code if code >= 0 else 128 - code)


def _give_way(libc: ctypes.CDLL, nice: int, ioprio_set: int) -> None:
    """At 19 for the disk as well, and as work that nobody waits for."""
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    # where the kernel forbids either, the nice value above gives way alone
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:  # noqa: PTH123 - as below
        file.write(str(nice))  # sched(7): where sessions are scheduled as groups, a nice value counts only within its own
    if nice < _LOWEST:
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    if ioprio_set:
        libc.syscall(ioprio_set, 1, 0, 3 << 13)


def _run(limits: dict[str, int]) -> None:
    """In the child: the limits, then the program in its place."""
    cores = sorted(os.sched_getaffinity(0))[-limits["threads"] :]
    os.sched_setaffinity(0, cores)
    resource.setrlimit(resource.RLIMIT_DATA, (limits["memory_max"], limits["memory_max"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits["disk_bytes_max"], limits["disk_bytes_max"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - that is the point
    except OSError as e:
        os.write(2, f"{sys.argv[2]}: {e.strerror}\n".encode())
        os._exit(_NOT_FOUND if isinstance(e, FileNotFoundError) else _NOT_RUN)


def _end_rest() -> None:
    """Ends what the program has left behind: its orphans have come to this process."""
    while True:
        for child in children():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def children() -> list[int]:
    """Processes that this one has to wait for; none where the kernel doesn't tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123 - pathlib takes long to load
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    main()
