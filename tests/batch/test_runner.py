"""What a run asks for is done in processes of its own, within its limits; results of any size are files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from appliance.batching.runner import LimitedRunner, Processes
from appliance.batching.work import Limits
from appliance.clock import SystemClock
from appliance.errors import JobFailed, QueryCancelled, QueryRefused
from appliance.units import MIB
from tests.running import wait_for
from tests.serving.queries_of import ENDLESS, until
from tests.serving.world import World, at

LIMITS = Limits(memory_max=128 * MIB, threads=1, time_max_s=60, disk_bytes_max=64 * MIB)
pytestmark = pytest.mark.xdist_group("batch-runner")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("runner"), "readings")
    world.commit([{"ts": at(s), "device": f"d{s % 3}", "value": s} for s in range(60)])
    world.roll(30)
    return world


@asynccontextmanager
async def processes(world: World) -> AsyncIterator[Processes]:
    found = Processes(data_dir=world.root, clock=SystemClock(), store=world.store_of(world.state), jobs_max=2)
    try:
        yield found
    finally:
        await found.close()


def runner(found: Processes, **limits: Any) -> LimitedRunner:
    told = {**{f: getattr(LIMITS, f) for f in Limits.__dataclass_fields__}, **limits}
    return LimitedRunner(found, Limits(**told), run_id=7, tell=lambda _share, _what: None)


async def test_a_table_and_a_file_of_the_same_question_hold_the_same_and_say_what_was_read(world: World) -> None:
    async with processes(world) as found:
        run = runner(found)
        sql = "SELECT device, sum(value) AS s FROM readings GROUP BY ALL ORDER BY device"
        table = await run.table(sql)
        assert table.to_pydict() == {"device": ["d0", "d1", "d2"], "s": [570.0, 590.0, 610.0]}
        written = await run.file(sql, format="parquet")
        assert written.path.parent == world.root / "tmp"
        assert pq.read_table(written.path).to_pydict() == table.to_pydict()
        assert (written.rows, written.bytes, written.schema) == (3, written.path.stat().st_size, table.schema)
        assert (dict(written.read), written.version) == ({"readings": 60}, 1)
        assert run.usage.cpu_s >= 0
        assert run.usage.read_bytes > 0
        many = await run.file("SELECT i, i * 2 AS j FROM range(300000) t(i)", format="csv")
        assert many.path.read_bytes().count(b"\n") == many.rows + 1 == 300_001
        run.close()
        assert not many.path.exists()


async def test_a_worker_of_batch_work_has_the_lowest_priority(world: World) -> None:
    async with processes(world) as found:
        run = runner(found)
        await run.table("SELECT 1")
        [worker] = [p for p in psutil.Process().children() if "appliance.serving.worker" in p.cmdline()]
        assert worker.nice() == 19
        assert os.sched_getscheduler(worker.pid) == os.SCHED_BATCH
        assert worker.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE


async def test_what_is_wrong_with_sql_is_said_and_the_next_question_is_answered(world: World) -> None:
    async with processes(world) as found:
        run = runner(found)
        for sql, reason in (
            ("SELEC 1", "syntax error"),
            ("SELECT * FROM nothing", 'no stream or table "nothing"'),
            ("SELECT * FROM read_csv('/etc/passwd')", "can't be used here"),
            ("COPY (SELECT 1) TO '/tmp/x.csv'", "only statements that read"),
            ("SELECT list(a.i) FROM range(20000000) a(i)", "more memory"),
        ):
            with pytest.raises(QueryRefused, match=reason):
                await run.file(sql, format="parquet")
        with pytest.raises(QueryRefused, match="more than 10"):
            await run.table("SELECT * FROM range(11)", rows_max=10)
        assert (await run.table("SELECT count(*) AS n FROM readings")).to_pydict() == {"n": [60]}
        assert not list((world.root / "tmp").glob("result-*.parquet"))


async def test_stop_ends_a_query_that_never_would(world: World) -> None:
    async with processes(world) as found:
        run = runner(found)
        task = asyncio.create_task(run.file(ENDLESS, format="parquet"))
        await until(lambda: any(q.state == "running" for q in found.queries(LIMITS).running()), "the query to run")
        run.stop(QueryCancelled("cancelled by kim"))
        with pytest.raises(QueryCancelled, match="cancelled by kim"):
            await task
        with pytest.raises(QueryCancelled, match="cancelled by kim"):
            await run.table("SELECT 1")


async def test_a_program_runs_without_a_shell_in_the_data_folder(world: World) -> None:
    async with processes(world) as found:
        run = runner(found)
        assert await run.program(["printf", "%s", "$HOME; ls"]) == b"$HOME; ls"
        assert Path((await run.program(["pwd"])).decode().strip()) == world.root
        assert await run.program(["cat"], input=b"given") == b"given"
        burn = "sum(i * i for i in range(400000))"
        before = run.usage.cpu_s
        await run.program(["python3", "-c", burn])
        assert run.usage.cpu_s > before


async def test_a_program_that_fails_says_its_last_words(world: World) -> None:
    async with processes(world) as found:
        run = runner(found)
        with pytest.raises(JobFailed, match="sh has ended with status 3: no such valve"):
            await run.program(["sh", "-c", "echo no such valve >&2; exit 3"])
        with pytest.raises(JobFailed, match="No such file or directory"):
            await run.program(["/nothing/here"])
        with pytest.raises(JobFailed, match="signal SIGKILL"):
            await run.program(["sh", "-c", "kill -9 $$"])
        with pytest.raises(JobFailed, match="more than 16 MiB"):
            await run.program(["yes"])


async def test_a_program_has_the_memory_and_the_priority_of_its_run(world: World) -> None:
    async with processes(world) as found:
        run = runner(found)
        with pytest.raises(JobFailed, match="MemoryError"):
            await run.program(["python3", "-c", "x = bytearray(400 << 20)"])
        told = await run.program(["python3", "-c", "import os; print(os.nice(0), os.sched_getscheduler(0), len(os.sched_getaffinity(0)))"])
        assert told.split() == [b"19", str(os.SCHED_BATCH).encode(), b"1"]


async def test_all_that_a_program_has_started_ends_with_it(world: World, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"(setsid sleep 1000 & echo $! >> {pids}); sleep 1000 & echo $! >> {pids}; echo $$ >> {pids}; wait"
    async with processes(world) as found:
        run = runner(found)
        task = asyncio.create_task(run.program(["sh", "-c", script]))
        await until(lambda: pids.exists() and len(pids.read_text().split()) == 3, "the program to start its own")
        run.stop(JobFailed("took longer than it may"))
        with pytest.raises(JobFailed, match="took longer"):
            await task
        wait_for(lambda: not any(_lives(int(p)) for p in pids.read_text().split()), what="the end of all")
        left = f"sleep 1000 > /dev/null 2>&1 & echo $! > {pids}"
        await runner(found).program(["sh", "-c", left])
        assert not _lives(int(pids.read_text()))


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
