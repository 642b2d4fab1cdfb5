"""The cage of a query's process holds where DuckDB's own limits don't."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from appliance.clock import SystemClock
from appliance.options import QueryOptions
from appliance.serving import limits
from appliance.serving.queries import Queries
from tests.running import ROOT
from tests.serving.queries_of import ask, processes
from tests.serving.world import World, at

WRITES = """
import sys
from pathlib import Path
from appliance.serving.limits import write_only_below
place = Path(sys.argv[1])
print(write_only_below([place / "mine"]))
import duckdb
for folder in ("mine", "lake"):
    for how in ("duckdb", "python", "unlink"):
        try:
            if how == "duckdb":
                duckdb.sql("SELECT 1 AS a").write_parquet(str(place / folder / "a.parquet"))
            elif how == "python":
                (place / folder / "b").write_text("x")
            else:
                (place / folder / "there").unlink()
            print(folder, how, "done")
        except (duckdb.Error, OSError):
            print(folder, how, "denied")
"""


def test_a_process_writes_below_its_own_folder_alone(tmp_path: Path) -> None:
    for folder in ("mine", "lake"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "there").touch()
    done = subprocess.run([sys.executable, "-c", WRITES, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    if said[0] == "False":
        pytest.skip("this kernel has no Landlock")
    assert said[1:] == [
        "mine duckdb done",
        "mine python done",
        "mine unlink done",
        *(f"lake {how} denied" for how in ("duckdb", "python", "unlink")),
    ]
    assert [p.name for p in (tmp_path / "lake").iterdir()] == ["there"]


async def test_a_worker_is_caged_and_yields_to_the_service(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    world = World(tmp_path, "box")
    world.commit([{"ts": at(0), "device": "a", "value": 1.0}])
    store = world.store_of(world.state)
    options = QueryOptions(memory_max=128 << 20)
    queries = Queries(data_dir=tmp_path, options=options, clock=SystemClock(), store=store)
    try:
        assert await ask(queries, "SELECT count(*) AS n FROM readings") == [{"n": 1}]
        (process,) = processes()
        soft, _hard = process.rlimit(resource.RLIMIT_AS)
        mapped = process.memory_info().vms
        assert mapped < soft < mapped + (160 << 20)
        assert process.nice() == psutil.Process().nice() + limits.NICE
        assert _oom_score(process.pid) == 1000
    finally:
        await queries.close()


def _oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_the_address_space_is_counted_from_what_is_there() -> None:
    space = limits.AddressSpace(memory_max=1 << 30)
    assert 0 < space.base_bytes <= limits.mapped_bytes()
    assert not space.is_worn


def test_what_is_used_nowhere_stays_out_of_a_process() -> None:
    code = (
        "from appliance.serving.limits import without_unused\nwithout_unused()\n"
        "import sys, pyarrow as pa, pyarrow.parquet\npa.array([1]); pa.table({'a': [1]}).to_pydict()\n"
        "print(sorted({'pandas', 'pyarrow._s3fs'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
