"""Days that lie in one file: the same records, in the order of a segment, and the folder as any reader of hive folders sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from appliance.clock import US_PER_DAY
from appliance.cold.compaction.job import Done, Job
from appliance.cold.compaction.process import run_job
from appliance.cold.lake import Replaced, clean, deletable, delete
from appliance.manifest import Deletion, Segment
from tests.cold.making import DAY, MIDNIGHT, Lake, by_seq, completed, files_below, read_rows
from tests.cold.test_compaction import job_of

DAYS = 6


def rows(*, every_s: int = 3_600, days: int = DAYS, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"ts": MIDNIGHT + (first * 86_400 + s) * 1_000_000, "device": f"d{n}", "value": float(s % 7), "count": s}
        for s in range(0, days * 86_400, every_s)
        for n in range(3)
    ]


def together(lake: Lake, *, dedup: bool = False, deletions: tuple[Deletion, ...] = ()) -> Done:
    """All segments as one; the files that it replaces are removed."""
    inputs = list(lake.segments)
    first, last = min(s.day for s in inputs), max(s.day_last for s in inputs)
    job: Job = msgspec.structs.replace(job_of(lake, dedup=dedup), day=first, days=last - first + 1, deletions=deletions)
    done = run_job(job, root=lake.root, spill=lake.root / "spill", emit=lambda _event: None)
    if not done.untouched:
        delete(lake.root, deletable([Replaced(s.path, 0) for s in inputs], leases=(), keep_s=1, now_us=10**9))
        lake.segments = list(done.outputs)
    return done


def test_days_of_a_month_become_one_file_in_its_folder(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.roll(rows())
    assert len(lake.segments) == DAYS
    (segment,) = together(lake).outputs
    assert segment.path.startswith("lake/readings/date=2024-10/")
    assert (segment.day, segment.days, segment.rows) == (DAY, DAYS, DAYS * 72)
    assert by_seq(read_rows(tmp_path, [segment])) == [completed(r, lake.schema) for r in lake.rows]
    assert files_below(tmp_path) == [segment.path]
    assert clean(tmp_path, {segment.path}).orphans == ()


def test_a_late_day_and_its_twins_go_into_the_months_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.roll(rows())
    together(lake)
    late = {**rows()[100], "value": None, "count": -1}
    lake.roll([late, {**late, "device": "new"}])
    done = together(lake, dedup=True)
    assert (done.folded, done.outputs[0].rows) == (1, DAYS * 72 + 1)
    found = {(r["ts"], r["device"]): (r["value"], r["count"]) for r in read_rows(tmp_path, done.outputs)}
    assert found[late["ts"], late["device"]] == (rows()[100]["value"], -1)


def test_any_reader_of_hive_folders_reads_days_and_months_side_by_side(tmp_path: Path) -> None:
    import pandas as pd
    import polars as pl

    lake = Lake(tmp_path)
    lake.roll(rows())
    together(lake)
    month = list(lake.segments)
    lake.segments = []
    alone = lake.roll(rows(first=40, days=2))
    lake.segments = [*month, *alone]
    count, total = len(lake.rows), sum(r["count"] for r in lake.rows)
    folder = tmp_path / "lake/readings"
    assert {p.name for p in folder.iterdir()} == {"date=2024-10", "date=2024-11-13", "date=2024-11-14"}
    sql = "SELECT count(*), sum(count)::BIGINT, max(ts) FROM read_parquet('{}/**/*.parquet', hive_partitioning = {})"
    for hive in ("true", "false"):
        (found,) = duckdb.connect().execute(sql.format(folder, hive)).fetchall()
        assert found[:2] == (count, total)
    frame = pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).select(pl.len(), pl.col("count").sum()).collect()
    assert frame.row(0) == (count, total)
    table = pd.read_parquet(folder)
    assert (len(table), int(table["count"].sum())) == (count, total)
    assert set(table["date"].astype(str)) == {"2024-10", "2024-11-13", "2024-11-14"}


@pytest.mark.parametrize("tag", ["d1", "nobody", None])
def test_deleted_records_leave_a_file_and_a_file_without_any_stays(tmp_path: Path, tag: str | None) -> None:
    lake = Lake(tmp_path)
    lake.roll(rows())
    together(lake)
    before = list(lake.segments)
    gone = Deletion(4, "readings", MIDNIGHT + US_PER_DAY, MIDNIGHT + 2 * US_PER_DAY, {"DEVICE": tag}, up_to_seq=lake.mark)
    done = together(lake, deletions=(gone,))
    if tag != "d1":
        assert (done.untouched, done.outputs, files_below(tmp_path)) == (True, (), [before[0].path])
        return
    assert (done.removed, done.outputs[0].purged, done.outputs[0].rows) == (24, 4, DAYS * 72 - 24)
    assert not [r for r in read_rows(tmp_path, done.outputs) if r["device"] == "d1" and 0 <= r["ts"] - gone.since_us < US_PER_DAY]


def test_a_deletion_of_everything_leaves_no_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.roll(rows())
    together(lake)
    done = together(lake, deletions=(Deletion(1, "readings", None, None, {}, up_to_seq=lake.mark),))
    assert (done.outputs, done.removed, files_below(tmp_path)) == ((), DAYS * 72, [])


def test_what_came_after_the_deletion_stays(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.roll(rows(days=1))
    mark = lake.mark
    lake.roll([rows()[0]])
    done = together(lake, dedup=True, deletions=(Deletion(1, "readings", None, None, {}, up_to_seq=mark),))
    assert [r["_seq"] for r in read_rows(tmp_path, done.outputs)] == [mark + 1]


def described() -> Segment:
    return Segment(1, "s", DAY, "lake/s/x", 1, 9, 5, 0, 1, 10, "", 1, 2, 3)


def test_a_file_of_several_days_says_so() -> None:
    assert described().describe() == "lake/s/x (sequences 1 to 9, 5 records of 2024-10-04 to 2024-10-06)"
