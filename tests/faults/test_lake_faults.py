"""Faults of a lake with files of months, and of what is made of it: said, tried again, nothing lost, and every other answer right."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from appliance.cold.compaction.job import Done, Event, Job, Progress
from appliance.cold.compaction.plan import FINAL
from appliance.cold.compaction.process import run_job
from appliance.cold.segments import GROUP_ROWS
from appliance.door.lake_commits import commit_compaction
from appliance.errors import RetryLater
from appliance.manifest import Segment
from appliance.serving import source
from tests.faults.disk import Disk, why_not
from tests.reports.living import living
from tests.reports.test_issuing import HOURLY, fill
from tests.running import run_command
from tests.views.house import House

needs_disks = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
DAYS, DEVICES = 6, 3
ROWS = GROUP_ROWS * 2 + 10_000
"""Of the days of October: three row groups in one file."""
TOTALS = "SELECT count(*) AS n, sum(value)::BIGINT AS total, count(DISTINCT device) AS devices FROM readings"


def month(house: House, *, emit: Callable[[Event], None] = lambda _event: None) -> Segment:
    """All that lies in the lake as one file of several days, as the compaction of a month makes it."""
    state = house.box.state.streams["readings"]
    first, last = min(s.day for s in state.segments), max(s.day_last for s in state.segments)
    job = Job(
        folder=state.folder,
        node="n",
        stream="readings",
        schema_version=state.schema.version,
        columns=state.schema.columns,
        identity=state.identity_columns(),
        day=first,
        days=last - first + 1,
        level=FINAL,
        dedup=False,
        inputs=state.segments,
        rows_max=1 << 22,
        memory_bytes=64 << 20,
    )
    done: Done = run_job(job, root=house.folder, spill=house.root / "spill", emit=emit)
    commit = partial(
        commit_compaction,
        key="readings",
        inputs=state.segments,
        outputs=done.outputs,
        clean_days=None,
        up_to_seq=state.mark,
        changes=done.changes,
    )
    assert house.box.writer.call(commit).result()
    (made,) = house.box.state.streams["readings"].segments
    return made


def old_days(house: House) -> None:
    """Records of six days of October, by day in the lake."""
    hours = [-24 * 40 - 12 + n * DAYS * 24 / ROWS for n in range(ROWS)]  # from midnight on
    house.come([(h, f"d{n % DEVICES}", n * 7919 % 1009) for n, h in enumerate(hours)])
    house.roll()


def spoil(path: Path, *, group: int) -> None:
    """Zeros where a sector of the values of a row group was; the file's length and footer stay as they are."""
    column = pq.ParquetFile(path).metadata.row_group(group).column(2)
    assert column.path_in_schema == "value"
    with path.open("r+b") as file:
        file.seek(column.data_page_offset)
        file.write(bytes(min(4096, column.total_compressed_size)))


def other_records(house: House) -> dict[str, int]:
    """Some of November in the lake, some hot; what they come to."""
    house.come([(n / 10, "d0", n) for n in range(10)])
    house.roll()
    house.come([(n / 10, "d1", n) for n in range(100, 105)])
    return {"n": 15, "total": 45 + 510, "devices": 2}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, {})
    yield made
    made.close()


def test_a_months_file_that_is_damaged_in_the_middle_of_a_scan_is_said_with_how_much_and_the_rest_is_right(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_days(house)
    segment = month(house)
    whole = house.ask(TOTALS)[0]
    rest = other_records(house)
    assert house.ask(TOTALS)[0]["total"] == whole["total"] + rest["total"]
    spoil(house.folder / segment.path, group=1)
    table, _ = house.answered(TOTALS, house.source())
    assert table.to_pylist() == [{**rest, "n": whole["n"] + rest["n"], "total": whole["total"] + rest["total"], "devices": 3}], (
        "as long as all of it is in memory as well, the file is not asked"
    )
    monkeypatch.setattr(source, "HELD_ROWS_MAX", 0)
    table, explain = house.answered(TOTALS, house.source())
    assert table.to_pylist() == [rest]
    (note,) = explain.notes
    assert f"{ROWS} records" in note
    assert segment.path in note
    assert house.damaged == [segment.path]
    assert house.offline(TOTALS) == [rest]
    narrow = f"{TOTALS} WHERE ts >= TIMESTAMP '2026-11-01'"
    assert house.answered(narrow, house.source())[1].notes == (), "it matters to nobody who asks about other days"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path, mib=48)
    yield made
    made.remove()


@needs_disks
def test_a_lake_with_months_on_a_read_only_disk_is_asked_and_tells_what_it_lacks(disk: Disk) -> None:
    house = House(disk.root, {})
    old_days(house)
    segment = month(house)
    whole, rest = house.ask(TOTALS)[0], other_records(house)
    house.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk.root)], check=True, capture_output=True)
    asked = run_command("query", TOTALS, "--format", "csv", "--data-dir", str(house.folder))
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.split()[1] == f"{ROWS + 15},{whole['total'] + rest['total']},{DEVICES}"
    subprocess.run(["mount", "-o", "remount,rw", str(disk.root)], check=True, capture_output=True)
    spoil(house.folder / segment.path, group=1)
    subprocess.run(["mount", "-o", "remount,ro", str(disk.root)], check=True, capture_output=True)
    asked = run_command("query", TOTALS, "--format", "csv", "--data-dir", str(house.folder))
    assert asked.stdout.split()[1] == f"15,{rest['total']},2", asked.stderr
    assert f"{ROWS} records" in asked.stderr
    service = run_command("run", "--data-dir", str(house.folder))
    assert service.returncode != 0
    assert "Traceback" not in service.stderr, service.stderr
    assert "can't be made: Read-only file system; the service needs a disk that it can write to" in service.stderr
    assert len(service.stderr.splitlines()) == 1


class Small:
    """A disk of some megabytes that a test fills and empties."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    def fill(self, *, but: int = 0) -> None:
        """Nothing is free any more, but so many bytes."""
        with self._filler.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, file.tell() + shutil.disk_usage(self.root).free - but)

    def empty(self) -> None:
        self._filler.unlink()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)], check=True)
    yield Small(place)
    subprocess.run(["umount", "-l", str(place)], check=True)


@needs_disks
def test_a_disk_that_fills_during_a_months_compaction_loses_nothing_and_it_is_done_later(small: Small) -> None:
    house = House(small.root, {})
    try:
        old_days(house)
        before, files = house.ask(TOTALS), sorted(house.folder.rglob("lake/**/*"))

        def fill(event: Event) -> None:
            if isinstance(event, Progress) and event.rows <= GROUP_ROWS:
                small.fill()

        with pytest.raises(RetryLater, match="no room on the disk"):
            month(house, emit=fill)
        assert [p for p in sorted(house.folder.rglob("lake/**/*")) if p.name != "date=2026-10"] == files
        assert house.ask(TOTALS) == before
        small.empty()
        house.come([(0, "d0", 1)])
        assert month(house).rows == ROWS
        assert house.ask(TOTALS)[0]["n"] == before[0]["n"] + 1
    finally:
        house.close()


@needs_disks
def test_a_disk_that_fills_during_a_refresh_leaves_the_view_right_and_the_next_refresh_is_whole(small: Small) -> None:
    filled: list[str] = []

    def at(step: str) -> None:
        if step == "views.computed" and not filled and shutil.disk_usage(small.root).free:
            filled.append(step)
            small.fill()

    house = House(small.root, step=at)
    try:
        house.come([(n / 100 - 500, f"d{n % DEVICES}", n) for n in range(20_000)])
        house.roll()
        with pytest.raises(RetryLater, match="disk is full"):
            house.refresh()
        assert filled
        house.check()
        small.empty()
        house.come([(-400, "late", 5)])
        house.check()
        house.refresh()
        assert house.state().active is not None
        house.check()
    finally:
        house.close()


@needs_disks
async def test_a_disk_that_fills_while_a_report_is_written_leaves_no_half_of_it_and_the_next_run_issues_it(small: Small) -> None:
    async with living(small.root, HOURLY) as box:
        fill(box)
        box.at_step = lambda name: small.fill() if name == "report.written" and box.steps.count(name) == 1 else None
        with pytest.raises(RetryLater, match="no room on the disk"):
            await box.run("hourly")
        assert box.desk.picture().issues == ()
        assert await box.sql("SELECT count(*) AS n FROM readings") == [{"n": 24}], "it goes on answering"
        small.empty()
        box.at_step = lambda _name: None
        assert "revision 1" in (await box.run("hourly")).words
        assert box.files("hourly") == ["2026-11-21.r1.html", "2026-11-21.r1.json", "2026-11-21.r1.md"]
