"""A segment that an earlier version wrote means the same to this one, and its bytes are still what they were."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from appliance.cold.compaction.process import run_job
from appliance.cold.segments import FORMAT, GROUP_ROWS, hash_file, read_facts, read_segment
from appliance.manifest import Segment
from tests.cold.making import ALL_TAGS, DAY, READINGS, Lake, by_seq, read_rows
from tests.cold.test_compaction import job_of
from tests.golden.making import DAY_US, ROWS

GOLDEN = {1: "11c972c817dbc47153b3d0613f19341dae8a4648e3207d74ef14f7180f118ead"}
"""The SHA-256 of the file of each format of segments; a new format gets a file beside it, and the old ones stay."""
EXPECTED = [{**row, "_seq": number} for number, row in enumerate(ROWS, start=1)]


def test_there_is_a_golden_file_of_this_format() -> None:
    assert FORMAT in GOLDEN


@pytest.mark.parametrize("number", GOLDEN)
def test_a_segment_of_each_format_reads_as_it_was_written(number: int, tmp_path: Path) -> None:
    path = Path(__file__).with_name(f"segment-{number}.parquet")
    assert hash_file(path)[0] == GOLDEN[number]
    facts = read_facts(path)
    assert (facts.stream, facts.rows, facts.first, facts.last, facts.sorted_by) == ("readings", len(ROWS), 1, len(ROWS), ALL_TAGS)
    assert facts.schema == READINGS
    rows = [r for batch in read_segment(path, tags=facts.schema.tags, rows=GROUP_ROWS) for r in batch.to_pylist()]
    assert [r["_seq"] for r in sorted(rows, key=lambda r: r["_seq"])] == [r["_seq"] for r in EXPECTED]
    ((count, total),) = duckdb.connect().execute(f"SELECT count(*), sum(count) FROM read_parquet('{path}')").fetchall()
    assert (count, total) == (len(ROWS), sum(r["count"] or 0 for r in ROWS))
    _compacts(path, tmp_path)


def _compacts(path: Path, root: Path) -> None:
    """It goes through a compaction of today with nothing changed."""
    sha256, size = hash_file(path)
    place = root / "lake/readings/date=2024-10/golden.parquet"
    place.parent.mkdir(parents=True)
    place.write_bytes(path.read_bytes())
    ts = pq.read_table(path).column("ts").cast("int64").to_pylist()
    held = (1, len(ROWS), len(ROWS), min(ts), max(ts), size, sha256, 1, 2, 2)
    whole = Segment(1, "readings", DAY, "lake/readings/date=2024-10/golden.parquet", *held)
    lake = Lake(root)
    lake.segments = [whole]
    done = run_job(msgspec.structs.replace(job_of(lake), days=2), root=root, spill=root / "spill", emit=lambda _event: None)
    assert by_seq(read_rows(root, done.outputs)) == EXPECTED
    (output,) = done.outputs
    assert (output.day, output.days) == (DAY, (max(ts) - min(ts)) // DAY_US + 1)
