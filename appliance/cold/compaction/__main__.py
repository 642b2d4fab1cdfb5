"""``python -m appliance.cold.compaction ROOT``: jobs on stdin, events on stdout, one JSON object a line; ends with stdin.

Started by ``driver`` only. Runs at the lowest priority, on one core, and dies with the service that started it: a process
that outlived it could publish files after the next start has cleaned the lake.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pyarrow as pa

from appliance.cold.compaction.job import Event, Failed, Job, Writing
from appliance.cold.compaction.process import Emit, run_job
from appliance.errors import RetryLater, StoreDamaged

_NICE = 10
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Carries out jobs until there are no more; 0. ``arguments``: data folder, spill folder, id of the parent process."""
    root, spill, parent = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    _settle(parent)
    encode = msgspec.json.Encoder().encode

    def emit(event: Event) -> None:
        if isinstance(event, Writing):
            _check_parent(parent)
        sys.stdout.buffer.write(encode(event) + b"\n")
        sys.stdout.buffer.flush()

    decoder = msgspec.json.Decoder(Job)
    for line in sys.stdin.buffer:
        job = decoder.decode(line)
        emit(_outcome(job, root, spill, emit))
    return 0


def _outcome(job: Job, root: Path, spill: Path, emit: Emit) -> Event:
    try:
        return run_job(job, root=root, spill=spill, emit=emit)
    except RetryLater as error:
        return Failed(reason=str(error), no_room=True)
    except StoreDamaged as error:
        inputs = {root / s.path: s.path for s in job.inputs}
        return Failed(reason=str(error), damaged=inputs.get(error.path))


def _settle(parent: int) -> None:
    """Lowest priority, one thread, and no life after the parent's."""
    os.nice(_NICE)
    with suppress(psutil.Error, OSError):  # a sandbox may forbid it; the nice value is the better half anyway
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _check_parent(parent)


def _check_parent(parent: int) -> None:
    """Ends this process at once when the one that started it is gone; also where the kernel doesn't tell."""
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
