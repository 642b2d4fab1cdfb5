"""Starts the compaction process, gives it one job after the other, and watches it: time, cancellation, death.

Runs in the housekeeper's thread. The process is killed when that thread ends, so nothing writes to the lake unwatched.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, TypeAlias

import msgspec

from appliance.clock import Clock
from appliance.cold.compaction.job import MIB, Done, Event, Failed, Job, Progress, Stepped, Writing
from appliance.cold.compaction.plan import SEGMENT_ROWS_MAX, CompactionPlan
from appliance.cold.files import Step, locate, no_step, remove
from appliance.cold.segments import LAKE, folder_of
from appliance.manifest import Deletion, Segment
from appliance.records import Schema
from appliance.tally import Tallies

SPILL = "spill"
"""Folder of the data folder for what DuckDB spills; empty unless a compaction runs."""
_LIBRARIES_BYTES = 128 * MIB
"""Of interpreter, PyArrow and NumPy: what the process takes before it holds a row."""
_ROWS_BYTES_MIN = 32 * MIB
_SECONDS_MIN = 60.0
_ROWS_PER_S_MIN = 20_000
"""A tenth of what a small board does: a process that is slower hangs."""
_POLL_S = 0.25
_STDERR_TAIL = 2_000
_ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""35 MB less are resident than with Arrow's own allocator. A fixed trim threshold would save 25 more and cost a third of the speed."""


@dataclass(frozen=True, slots=True)
class CompactionTask:
    """A plan, with what its stream is like now."""

    plan: CompactionPlan
    schema: Schema
    """The newest version: that of the outputs."""
    identity: tuple[str, ...] | None
    """As of ``StreamState.identity_columns``."""
    folder: str
    """The stream's encoded name."""
    deletions: tuple[Deletion, ...] = ()
    """All that are not done with; their records are left out."""


@dataclass(frozen=True, slots=True)
class CompactionResult:
    """Outputs that are published and synced, and wait to be swapped for the plan's inputs in one transaction."""

    plan: CompactionPlan
    outputs: tuple[Segment, ...]
    """``id`` 0."""
    folded: int
    """Records that were merged into a later twin."""
    cpu_s: float
    wall_s: float
    removed: int = 0
    """Records that were left out because they were deleted."""
    untouched: bool = False
    """True: the only input holds nothing that was deleted and stays."""
    purged: int = 0
    """Highest id of the deletions that were looked for."""
    changes: Tallies = field(default_factory=dict)
    """As of ``Done.changes``."""

    @property
    def bytes(self) -> int:
        return sum(s.bytes for s in self.outputs)


class Trouble(StrEnum):
    """Why a task failed, by what to do."""

    DAMAGED = "damaged"
    """An input is not what the manifest says: set it aside, then plan again."""
    NO_ROOM = "no room"
    """The disk is too full: later."""
    TIME = "took too long"
    CANCELLED = "cancelled"
    DIED = "died"
    """The process ended by itself: a defect, or the kernel was out of memory."""


@dataclass(frozen=True, slots=True)
class CompactionFailure:
    """A task that left everything as it was."""

    plan: CompactionPlan
    trouble: Trouble
    reason: str
    damaged: Segment | None = None
    """The input to set aside."""


Outcome: TypeAlias = CompactionResult | CompactionFailure


def compact(
    tasks: Sequence[CompactionTask],
    *,
    root: Path,
    node: str,
    clock: Clock,
    memory_max_bytes: int,
    disk_free_min_bytes: int = 0,
    step: Step = no_step,
    cancelled: Callable[[], bool] = lambda: False,
    must_pause: Callable[[], bool] = lambda: False,
    progress: Callable[[CompactionPlan, int], None] = lambda _plan, _rows: None,
    watched: Callable[[int], AbstractContextManager[None]] = lambda _pid: nullcontext(),
) -> Iterator[Outcome]:
    """Carry out the tasks in one process, in this order; each outcome as soon as it is there, to be committed before the next.

    A result that is not committed must be given to ``discard``. A failure ends the run when it would hit the next task too
    (cancelled, died, no room); the tasks after it are then not mentioned. ``progress`` is told the records written so far. While
    ``must_pause`` says so the process stands still, and its time doesn't count. ``watched`` is entered with its number while it lives.
    """
    if not tasks:
        return
    clear_spill(root)
    with tempfile.TemporaryFile() as errors:
        process = _start(root, errors)
        worker = _Worker(process, errors, clock, step=step, cancelled=cancelled, must_pause=must_pause, progress=progress)
        try:
            with watched(process.pid):
                for task in tasks:
                    outcome = _refuse_without_room(task, root, disk_free_min_bytes) or worker.run(task, root, node, memory_max_bytes)
                    yield outcome
                    if isinstance(outcome, CompactionFailure) and outcome.trouble is not Trouble.DAMAGED:
                        return
        finally:
            worker.stop()
            clear_spill(root)


def discard(root: Path, result: CompactionResult) -> None:
    """Remove the files of a result that can't be committed, e.g. since an input is live no more."""
    remove(root, [s.path for s in result.outputs])


def clear_spill(root: Path) -> None:
    """Remove what DuckDB left; at start, and around each run."""
    spill = locate(root, SPILL)
    if spill.exists():
        shutil.rmtree(spill)


class _Worker:
    """Holds the process; one job at a time."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        errors: IO[bytes],
        clock: Clock,
        *,
        step: Step,
        cancelled: Callable[[], bool],
        must_pause: Callable[[], bool],
        progress: Callable[[CompactionPlan, int], None],
    ) -> None:
        self._process = process
        self._errors = errors
        self._clock = clock
        self._step = step
        self._cancelled = cancelled
        self._must_pause = must_pause
        self._stands = False
        self._progress = progress
        self._decode = msgspec.json.Decoder(Event).decode
        self._rest = b""

    def run(self, task: CompactionTask, root: Path, node: str, memory_max_bytes: int) -> Outcome:
        """Give the process the task and follow it to its end; whatever happens, a failure leaves no file behind."""
        started = self._clock.monotonic_ns()
        written: list[str] = []
        try:
            self._send(_job(task, node, memory_max_bytes))
            ending = self._follow(task.plan, written, deadline_ns=started + round(1e9 * _seconds_max(task.plan)))
        except BaseException:
            self.stop()
            _clean_up(task, root, written)
            raise
        if isinstance(ending, Done):
            wall_s = (self._clock.monotonic_ns() - started) / 1e9
            purged = max((d.id for d in task.deletions), default=0)
            return CompactionResult(
                task.plan, ending.outputs, ending.folded, ending.cpu_s, wall_s, ending.removed, ending.untouched, purged, ending.changes
            )
        if ending.trouble in (Trouble.TIME, Trouble.CANCELLED, Trouble.DIED):
            self.stop()
        _clean_up(task, root, written)
        return ending

    def stop(self) -> None:
        """Kill the process, if it is there, and wait for it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()

    def _send(self, job: Job) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(msgspec.json.encode(job) + b"\n")
            pipe.flush()
        except BrokenPipeError:
            return  # what it died of is told when its output ends

    def _follow(self, plan: CompactionPlan, written: list[str], *, deadline_ns: int) -> Done | CompactionFailure:
        by_path = {s.path: s for s in plan.inputs}
        while True:
            if self._cancelled():
                return CompactionFailure(plan, Trouble.CANCELLED, "cancelled")
            deadline_ns += self._paused_ns()
            if self._clock.monotonic_ns() > deadline_ns:
                return CompactionFailure(plan, Trouble.TIME, f"not done after {_seconds_max(plan):.0f} s")
            for event in self._events():
                match event:
                    case Done():
                        return event
                    case Failed(reason=reason, damaged=damaged, no_room=no_room):
                        trouble = Trouble.NO_ROOM if no_room else Trouble.DAMAGED if damaged else Trouble.DIED
                        return CompactionFailure(plan, trouble, reason, by_path.get(damaged or ""))
                    case Writing(path=path):
                        written.append(path)
                    case Stepped(name=name):
                        self._step(name)
                    case Progress(rows=rows):
                        self._progress(plan, rows)
                    case None:
                        return CompactionFailure(plan, Trouble.DIED, self._last_words())

    def _paused_ns(self) -> int:
        """Stops the process or lets it go on, as it should be now; the time that it stood still in here."""
        started = self._clock.monotonic_ns()
        while not self._cancelled() and self._must_pause():
            if not self._stands:
                self._process.send_signal(signal.SIGSTOP)
                self._stands = True
            select.select([], [], [], _POLL_S)
        if not self._stands:
            return 0
        self._process.send_signal(signal.SIGCONT)
        self._stands = False
        return self._clock.monotonic_ns() - started

    def _events(self) -> Iterator[Event | None]:
        """What has come within a poll's time; None: the process is gone."""
        pipe = self._process.stdout
        assert pipe is not None
        if not select.select([pipe], [], [], _POLL_S)[0]:
            return
        got = os.read(pipe.fileno(), 1 << 16)
        if not got:
            yield None
            return
        *lines, self._rest = (self._rest + got).split(b"\n")
        for line in lines:
            yield self._decode(line)

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _STDERR_TAIL))
        said = self._errors.read().decode("utf-8", "replace").strip()
        return f"the compaction process ended with {status}" + (f": {said.splitlines()[-1]}" if said else "")


def _start(root: Path, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "appliance.cold.compaction", str(root), str(root / SPILL), str(os.getpid())]
    environment = {**os.environ, **_ENVIRONMENT}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, bufsize=0)


def _job(task: CompactionTask, node: str, memory_max_bytes: int) -> Job:
    plan, schema = task.plan, task.schema
    return Job(
        folder=task.folder,
        node=node,
        stream=schema.stream,
        schema_version=schema.version,
        columns=schema.columns,
        identity=task.identity,
        day=plan.day,
        level=plan.level,
        dedup=plan.dedup,
        inputs=plan.inputs,
        rows_max=SEGMENT_ROWS_MAX,
        memory_bytes=max(_ROWS_BYTES_MIN, memory_max_bytes - _LIBRARIES_BYTES),
        days=plan.days,
        deletions=task.deletions,
    )


def _refuse_without_room(task: CompactionTask, root: Path, disk_free_min_bytes: int) -> CompactionFailure | None:
    """Inputs and outputs lie side by side for a while, and ingest comes first."""
    free, needed = shutil.disk_usage(root).free, task.plan.bytes + disk_free_min_bytes
    if free >= needed:
        return None
    return CompactionFailure(task.plan, Trouble.NO_ROOM, f"{free} bytes free, {needed} needed")


def _seconds_max(plan: CompactionPlan) -> float:
    return _SECONDS_MIN + plan.rows / _ROWS_PER_S_MIN


def _clean_up(task: CompactionTask, root: Path, written: Iterable[str]) -> None:
    """Remove what a dead process may have left: files it had told of, and its temporary ones."""
    place = f"{LAKE}/{task.folder}/{folder_of(task.plan.day, task.plan.days)}"
    remove(root, [*written, *(f"{place}/{p.name}" for p in (root / place).glob("compact-*.tmp"))])
