"""Budgets: what they make of the config, what is left of them, and real processes that stand still when theirs is used up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.clock import SystemClock
from appliance.config import BatchOptions, Budgets, CompactOptions, Config, JobOptions, QueryOptions
from appliance.observe.path_budgets import Bucket, query_threads, within_budgets
from appliance.observe.processes import Processes, use_of
from appliance.options import ColdBudget, HybridBudget
from appliance.units import MIB
from tests.running import wait_for

BUSY = "while True: pass"


def within(budgets: Budgets, **tables: object) -> Config:
    return within_budgets(Config(data_dir=Path("/nowhere"), budget=budgets, **tables))  # type: ignore[arg-type]


def test_without_budgets_the_config_is_as_it_is() -> None:
    config = Config(data_dir=Path("/nowhere"), workloads={"j": JobOptions(sql="SELECT 1", table="t", threads=8)})
    assert within_budgets(config) == config
    assert query_threads(config) is None


@pytest.mark.parametrize(
    ("memory", "threads", "batch", "jobs", "each", "threads_each"),
    [
        (None, None, BatchOptions(jobs_max=3, threads=4), 3, 256 * MIB, 4),
        (512 * MIB, None, BatchOptions(jobs_max=1), 1, 256 * MIB, 1),
        (256 * MIB, None, BatchOptions(jobs_max=1), 1, 128 * MIB, 1),
        (128 * MIB, None, BatchOptions(jobs_max=4), 1, 64 * MIB, 1),
        (256 * MIB, None, BatchOptions(jobs_max=4), 3, 64 * MIB, 1),
        (None, 4, BatchOptions(jobs_max=2, threads=8), 2, 256 * MIB, 2),
        (None, 1, BatchOptions(jobs_max=4, threads=8), 1, 256 * MIB, 1),
    ],
)
def test_what_batch_work_may_take_together_is_shared_out(
    memory: int | None, threads: int | None, batch: BatchOptions, jobs: int, each: int, threads_each: int
) -> None:
    found = within(Budgets(cold=ColdBudget(memory_bytes=memory, threads=threads)), batch=batch)
    assert (found.batch.jobs_max, found.batch.memory_max, found.batch.threads) == (jobs, each, threads_each)
    if memory is not None:
        assert found.compact.memory_max == min(256 * MIB, each)


def test_a_jobs_own_limits_are_no_way_around_the_budget() -> None:
    job = JobOptions(sql="SELECT 1", table="t", threads=8, memory_max=900 * MIB)
    found = within(Budgets(cold=ColdBudget(memory_bytes=256 * MIB, threads=2)), workloads={"j": job}).workloads["j"]
    assert isinstance(found, JobOptions)
    assert (found.memory_max, found.threads) == (128 * MIB, 2)


@given(
    memory=st.none() | st.integers(128 * MIB, 4096 * MIB),
    threads=st.none() | st.integers(1, 64),
    jobs=st.integers(1, 16),
    workers=st.integers(1, 64),
    compacts=st.booleans(),
)
def test_all_together_never_may_take_more_than_their_path(
    memory: int | None, threads: int | None, jobs: int, workers: int, compacts: bool
) -> None:
    budgets = Budgets(cold=ColdBudget(memory_bytes=memory, threads=threads), hybrid=HybridBudget(memory_bytes=memory, threads=threads))
    found = within(
        budgets,
        batch=BatchOptions(jobs_max=jobs, threads=64),
        compact=CompactOptions(enabled=compacts),
        query=QueryOptions(workers_max=workers),
    )
    if memory is not None:
        assert found.batch.jobs_max * found.batch.memory_max + compacts * found.compact.memory_max <= memory
        assert found.query.workers_max * found.query.memory_max <= memory
    if threads is not None:
        assert found.batch.jobs_max * found.batch.threads <= threads
        assert found.query.workers_max * (query_threads(found) or 0) <= threads


@pytest.mark.parametrize(
    ("rate", "used", "overdrawn"),
    [
        (1.0, [0.1, 0.1], [False, False]),
        (0.5, [0.1, 0.0, 0.0], [True, False, False]),
        (0.1, [0.1] + [0.0] * 9, [True] * 9 + [False]),
        (0.5, [0.0] * 40 + [0.54, 0.0], [False] * 40 + [True, False]),
    ],
)
def test_what_was_used_too_much_has_to_be_given_first(rate: float, used: list[float], overdrawn: list[bool]) -> None:
    bucket, found = Bucket(rate), []
    for amount in used:
        bucket = bucket.after(amount, 0.1)
        found.append(bucket.level < -1e-9)
    assert found == overdrawn


@given(st.lists(st.floats(0, 0.4), min_size=1, max_size=200), st.floats(0.05, 2))
def test_over_any_time_no_more_is_used_than_given_and_one_burst(wishes: list[float], rate: float) -> None:
    bucket, used = Bucket(rate), 0.0
    for wish in wishes:
        amount = 0.0 if bucket.is_overdrawn else wish
        bucket = bucket.after(amount, 0.1)
        used += amount
    assert used <= rate * (0.1 * len(wishes) + 1) + 0.4


# --- real processes


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-S", "-c", BUSY], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_held_path_stands_still_until_every_reason_is_gone_and_the_time_is_counted(busy: subprocess.Popen[bytes]) -> None:
    processes = Processes(SystemClock())
    processes.begin("cold", busy.pid)
    wait_for(lambda: use_of(busy.pid).cpu_s > 0, what="it to work")
    processes.hold("cold", "one")
    processes.hold("cold", "two")
    wait_for(lambda: state_of(busy.pid) == "T", what="it to stand still")
    assert processes.reasons("cold") == ("one", "two")
    assert not processes.is_held("hybrid")
    before = use_of(busy.pid).cpu_s
    processes.release("cold", "one")
    processes.release("cold", "never given")
    assert state_of(busy.pid) == "T"
    wait_for(lambda: processes.stood_s("cold") > 0.1, what="time to go by")
    assert use_of(busy.pid).cpu_s == before
    processes.release("cold", "two")
    wait_for(lambda: use_of(busy.pid).cpu_s > before, what="it to go on")
    stood_s = processes.stood_s("cold")
    assert processes.stood_s("cold") == stood_s


def test_who_comes_to_a_held_path_is_held_and_who_obeys_by_himself_is_left_alone(busy: subprocess.Popen[bytes]) -> None:
    processes = Processes(SystemClock())
    processes.hold("hybrid", "why")
    with processes.watched("hybrid", busy.pid, obeys=True):
        assert state_of(busy.pid) != "T"
    processes.begin("hybrid", busy.pid)
    wait_for(lambda: state_of(busy.pid) == "T", what="it to stand still")
    processes.release("hybrid", "why")
    wait_for(lambda: state_of(busy.pid) != "T", what="it to go on")


def test_a_group_is_held_as_a_whole_and_all_of_it_is_measured() -> None:
    script = f"{sys.executable} -S -c '{BUSY}' & {sys.executable} -S -c '{BUSY}' & wait"
    leader = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    processes = Processes(SystemClock())
    try:
        processes.begin("cold", leader.pid, has_group=True)
        wait_for(lambda: processes.use()["cold"].count == 3, what="both to be there")
        wait_for(lambda: processes.use()["cold"].cpu_s > 0.1, what="both to work")
        below = [int(p) for p in Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()]
        processes.hold("cold", "why")
        wait_for(lambda: {state_of(pid) for pid in (leader.pid, *below)} == {"T"}, what="all to stand still")
    finally:
        os.killpg(leader.pid, 9)
        leader.wait()


def test_what_an_ended_process_has_used_stays_and_its_number_is_signalled_no_more(busy: subprocess.Popen[bytes]) -> None:
    processes = Processes(SystemClock())
    processes.begin("cold", busy.pid)
    wait_for(lambda: processes.use()["cold"].cpu_s > 0, what="it to work")
    used = processes.use()["cold"]
    assert used.memory_bytes > 0
    busy.kill()
    busy.wait()
    processes.hold("cold", "a process that has gone")
    processes.release("cold", "a process that has gone")
    processes.end(busy.pid)
    processes.end(busy.pid)
    after = processes.use()["cold"]
    assert (after.count, after.memory_bytes) == (0, 0)
    assert after.cpu_s >= used.cpu_s
    assert processes.use()["hot"].memory_bytes > 0
