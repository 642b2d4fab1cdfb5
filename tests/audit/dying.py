"""Stories that are killed at a named step, each in a process forked for it: imports are paid for once.

usage: python -m tests.audit.dying FOLDER STORY STEP:N …      each gets the folder FOLDER/STEP-N; a line a kill: how it ended
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.audit.evidence import NOON_DAY, compact, records, roll
from tests.clock import FakeClock
from tests.door.batches import open_box
from tests.running import ROOT
from tests.training.school import history, school

Step = Callable[[str], None]


def lake(folder: Path, step: Step) -> None:
    """Two rolls, a compaction, a segment set aside."""
    box = open_box(folder / "data", clock=FakeClock(), step=step)
    for start in (0, 10):
        records(box, range(start, start + 10))
        roll(box)
    compact(box, NOON_DAY, folder / "spill")
    box.set_aside("readings", box.state.streams["readings"].segments[0], state="damaged", reason="for the test")


def model(folder: Path, step: Step) -> None:
    """Two versions of a model."""
    with school(folder / "data", step=step) as class_:
        class_.learn(history(days=28))
        class_.train()
        class_.train(method="seasonal")


STORIES: dict[str, Callable[[Path, Step], None]] = {"lake": lake, "model": model}


def kill_at(folder: Path, story: str, steps: Sequence[str]) -> None:
    """Lets a story die at each of ``STEP:N``; afterwards the folder is ``folder / "STEP:N"``."""
    command = [sys.executable, "-m", "tests.audit.dying", str(folder), story, *steps]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stdout.split() == [str(-signal.SIGKILL)] * len(steps), said.stderr


def _fork(folder: Path, story: str, step: str) -> int:
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    name, _, nth = step.partition(":")
    seen: Counter[str] = Counter()

    def reached(found: str) -> None:
        seen[found] += 1
        if found == name and seen[found] == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        STORIES[story](folder / step, reached)
    except BaseException:  # noqa: BLE001 - what was forked must not go on as its parent
        traceback.print_exc()
    os._exit(70)


if __name__ == "__main__":
    importlib.import_module("appliance.hot.migrations")
    for each in sys.argv[3:]:
        print(_fork(Path(sys.argv[1]), sys.argv[2], each), flush=True)
