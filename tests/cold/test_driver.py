"""The compaction process, really started: what it hands back, and what stays behind when it ends otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance.clock import SystemClock
from appliance.cold.compaction import driver
from appliance.cold.compaction.driver import CompactionFailure, CompactionResult, CompactionTask, Outcome, Trouble, compact, discard
from appliance.cold.compaction.plan import CompactionPlan, Reason
from appliance.cold.lake import clean
from tests.clock import FakeClock
from tests.cold.making import Lake, by_seq, files_below, read_rows, small_files
from tests.cold.test_compaction import random_rows

MIB = 1 << 20
STEPS = ["segment.written", "segment.synced", "segment.renamed", "segment.folder_synced"]


def lake_with_days(root: Path, days: int = 1, rows: int = 300) -> Lake:
    lake = Lake(root)
    for day in range(days):
        for seed in range(3):
            lake.roll([{**r, "ts": r["ts"] + day * 86_400_000_000} for r in random_rows(rows, seed=seed)])
    return lake


def tasks_of(lake: Lake, *, dedup: bool = False) -> list[CompactionTask]:
    days = sorted({s.day for s in lake.segments})
    plans = [
        CompactionPlan("readings", day, tuple(s for s in lake.segments if s.day == day), 2, dedup, lake.mark, Reason.CLOSED) for day in days
    ]
    return [CompactionTask(plan, lake.schema, lake.identity, "readings") for plan in plans]


def run(lake: Lake, tasks: list[CompactionTask], **how: Any) -> list[Outcome]:
    return list(compact(tasks, root=lake.root, node="box-1", clock=SystemClock(), memory_max_bytes=200 * MIB, **how))


def test_one_process_does_many_days_and_tells_its_steps_and_progress(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path, days=3)
    steps: list[str] = []
    progress: list[tuple[int, int]] = []
    outcomes = run(lake, tasks_of(lake), step=steps.append, progress=lambda plan, rows: progress.append((plan.day, rows)))
    results = [o for o in outcomes if isinstance(o, CompactionResult)]
    assert len(results) == 3
    assert steps == STEPS * 3
    assert progress == [(r.plan.day, 900) for r in results]
    outputs = [s for r in results for s in r.outputs]
    assert by_seq(read_rows(tmp_path, outputs)) == lake.expected()
    assert {s.level for s in outputs} == {2}
    assert not (tmp_path / "spill").exists()


def test_twins_are_made_one_and_counted(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path)
    lake.roll(random_rows(300, seed=1))
    (result,) = run(lake, tasks_of(lake, dedup=True))
    assert isinstance(result, CompactionResult)
    identities = {(r["ts"], r["device"]) for r in lake.rows}
    assert sum(s.rows for s in result.outputs) == len(identities) == 1200 - result.folded


def test_a_damaged_input_is_named_and_the_next_day_goes_on(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path, days=2)
    bad = lake.segments[1]
    (tmp_path / bad.path).unlink()
    first, second = run(lake, tasks_of(lake))
    assert isinstance(first, CompactionFailure)
    assert (first.trouble, first.damaged) == (Trouble.DAMAGED, bad)
    assert "is missing" in first.reason
    assert isinstance(second, CompactionResult)


def test_a_cancelled_compaction_leaves_everything_as_it_was(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path, days=2)
    before = files_below(tmp_path)
    steps: list[str] = []
    (outcome,) = run(lake, tasks_of(lake), step=steps.append, cancelled=lambda: bool(steps))
    assert isinstance(outcome, CompactionFailure)
    assert outcome.trouble is Trouble.CANCELLED
    assert files_below(tmp_path) == before
    assert not children()


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_any_step_leaves_everything_as_it_was(tmp_path: Path, step: str) -> None:
    lake = lake_with_days(tmp_path)
    before = files_below(tmp_path)

    def kill(name: str) -> None:
        if name == step:
            for child in children():
                child.send_signal(signal.SIGKILL)

    outcomes = run(lake, tasks_of(lake), step=kill)
    if isinstance(outcomes[0], CompactionResult):  # it was done before the signal came
        discard(tmp_path, outcomes[0])
    else:
        assert outcomes[0].trouble is Trouble.DIED
        assert "ended with -9" in outcomes[0].reason
    assert files_below(tmp_path) == before


def test_a_process_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path)
    before = files_below(tmp_path)
    clock = FakeClock()

    def hang(_name: str) -> None:
        clock.pass_s(10_000)
        for child in children():
            child.send_signal(signal.SIGSTOP)

    (outcome,) = compact(tasks_of(lake), root=tmp_path, node="n", clock=clock, memory_max_bytes=200 * MIB, step=hang)
    assert isinstance(outcome, CompactionFailure)
    assert (outcome.trouble, outcome.reason) == (Trouble.TIME, "not done after 60 s")
    assert files_below(tmp_path) == before
    assert not children()


def test_a_disk_with_little_room_is_left_to_ingest(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path)
    (outcome,) = run(lake, tasks_of(lake), disk_free_min_bytes=1 << 60)
    assert isinstance(outcome, CompactionFailure)
    assert outcome.trouble is Trouble.NO_ROOM


def test_a_disk_that_fills_on_the_way_says_so_and_keeps_the_inputs(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path, rows=3_000)
    before = files_below(tmp_path)
    with small_files(8 * 1024):
        (outcome,) = run(lake, tasks_of(lake))
    assert isinstance(outcome, CompactionFailure)
    assert outcome.trouble is Trouble.NO_ROOM
    assert files_below(tmp_path) == before


def test_a_defect_is_told_in_the_process_s_last_words(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path)
    (task,) = tasks_of(lake)
    lying = tuple(replace(s, rows=s.rows + 1) for s in task.plan.inputs)
    before = files_below(tmp_path)
    (outcome,) = run(lake, [replace(task, plan=replace(task.plan, inputs=lying))])
    assert isinstance(outcome, CompactionFailure)
    assert outcome.trouble is Trouble.DIED
    assert "AssertionError: 900 records out of 903" in outcome.reason
    assert files_below(tmp_path) == before


def test_leaving_early_ends_the_process_and_keeps_what_was_handed_over(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path, days=2)
    outcomes = compact(tasks_of(lake), root=tmp_path, node="n", clock=SystemClock(), memory_max_bytes=200 * MIB)
    first = next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]  # a generator
    assert isinstance(first, CompactionResult)
    assert not children()
    assert len(files_below(tmp_path)) == len(lake.segments) + 1


def test_an_error_in_who_watches_ends_the_process_and_cleans_up(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path)
    before = files_below(tmp_path)

    def fail(_name: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(lake, tasks_of(lake), step=fail)
    assert files_below(tmp_path) == before
    assert not children()


def test_the_process_dies_with_the_service_that_started_it(tmp_path: Path) -> None:
    lake_with_days(tmp_path, rows=10_000)
    known = files_below(tmp_path)
    service = subprocess.Popen(
        [sys.executable, "-c", _SERVICE, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], start_new_session=True
    )
    assert service.stdout is not None
    worker = psutil.Process(int(service.stdout.readline()))
    service.kill()
    service.wait()
    service.stdout.close()
    psutil.wait_procs([worker], timeout=20)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    clean(tmp_path, known=set(known))
    assert files_below(tmp_path) == known


def test_the_process_is_the_last_to_get_the_processor(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path)
    nice: list[int] = []
    run(lake, tasks_of(lake), step=lambda _name: nice.extend(c.nice() for c in children()))
    assert set(nice) == {10 + os.nice(0)} or set(nice) == {19}


def test_what_the_process_needs_is_sent_to_it(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path)
    job = driver._job(tasks_of(lake, dedup=True)[0], "box-1", 256 * MIB)
    assert job.schema == lake.schema
    assert job.inputs == tuple(lake.segments)
    assert job.dedup
    assert 100 * MIB < job.memory_bytes < 200 * MIB
    assert driver._job(tasks_of(lake)[0], "box-1", 32 * MIB).memory_bytes == 32 * MIB


def children() -> list[psutil.Process]:
    """The processes that compact for this one; a dead one has no command line."""
    return [p for p in psutil.Process().children() if "appliance.cold.compaction" in p.cmdline()]


_SERVICE = """
import sys
from pathlib import Path
import psutil
from appliance.clock import SystemClock
from appliance.cold.compaction.driver import CompactionTask, compact
from appliance.cold.compaction.plan import CompactionPlan, Reason
from appliance.cold.segments import hash_file, read_facts
from appliance.manifest import Segment
from tests.cold.making import ALL_TAGS, DAY, READINGS

root = Path(sys.argv[1])
inputs = []
for path in sorted(root.rglob("*.parquet")):
    facts, (sha256, size) = read_facts(path), hash_file(path)
    name = str(path.relative_to(root))
    inputs.append(Segment(1, "readings", DAY, name, facts.first, facts.last, facts.rows, 0, 0, size, sha256, 1, 0))
plan = CompactionPlan("readings", DAY, tuple(inputs), 2, False, 0, Reason.CLOSED)
told = []
def step(_name):
    if not told:
        told.append(print(psutil.Process().children()[0].pid, flush=True))
        import threading
        threading.Event().wait()
task = CompactionTask(plan, READINGS, ALL_TAGS, "readings")
list(compact([task], root=root, node="n", clock=SystemClock(), memory_max_bytes=2**28, step=step))
"""


def test_while_records_queue_up_the_process_stands_still(tmp_path: Path) -> None:
    lake = lake_with_days(tmp_path)
    looks: list[str] = []

    def must_pause() -> bool:
        looks.extend(child.status() for child in psutil.Process().children())
        return len(looks) < 4

    (result,) = run(lake, tasks_of(lake), must_pause=must_pause)
    assert isinstance(result, CompactionResult)
    assert psutil.STATUS_STOPPED in looks
