"""Reports of a real box: issued once, revised when late records change their days, and right whatever fails around them."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import pytest

from appliance.batching.report_works import REVISIONS
from appliance.door.lake_commits import commit_deletion, end_deletions
from appliance.errors import QueryRefused, RetryLater, StoreDamaged, UsageRefused
from appliance.hot import deletions
from appliance.hot.alerts.telling import tell
from appliance.manifest import Deletion, Segment
from tests.clock import NOON_US
from tests.reports.living import DAY, HOUR, Living, living

YESTERDAY = NOON_US - DAY
HOURLY = '''
[workload.hourly]
kind = "report"
title = "By the hour"
parameters = { device = "d1" }
formats = ["html", "md"]
notify = ["ops"]
text = """
Of {device} on {day}.

```sql title="Hours" key=hour
SELECT date_part('hour', time_bucket(INTERVAL '1 hour', ts))::VARCHAR || 'h' AS hour, count(*) AS n, max(value) AS peak
FROM readings WHERE ts >= {since} AND ts < {until} AND device = {device} GROUP BY ALL ORDER BY ALL
```
```chart bar title="Course"
SELECT time_bucket(INTERVAL '1 hour', ts) AS hour, count(*) AS n FROM readings WHERE ts >= {since} AND ts < {until} GROUP BY ALL
```
"""
'''


def fill(box: Living, *, day_us: int = YESTERDAY, device: str = "d1") -> None:
    """One record an hour from 23:00 UTC of the day before on, which is midnight in Berlin."""
    ts = [day_us - 13 * HOUR + n * HOUR for n in range(24)]
    box.write("readings", ts, value=[float(n) for n in range(24)], device=[device] * 24)


def document(box: Living, file: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((box.box.folder / "reports" / "hourly" / file).read_text())
    return found


async def test_a_report_is_issued_once_and_again_with_what_differs_when_late_records_come(tmp_path: Path) -> None:
    async with living(tmp_path, HOURLY) as box:
        fill(box)
        done = await box.run("hourly")
        assert done.words == "hourly 2026-11-21 revision 1"
        assert dict(done.parameters) == {"day": "2026-11-21"}
        assert box.files("hourly") == ["2026-11-21.r1.html", "2026-11-21.r1.json", "2026-11-21.r1.md"]
        first = {f: (box.box.folder / "reports/hourly" / f).read_bytes() for f in box.files("hourly")}
        assert document(box, "2026-11-21.r1.json")["streams"] == [
            {"stream": "readings", "seq": 24, "records": 24, "newest": "2026-11-21T22:00:00Z", "dirty": []}
        ]
        assert (await box.run("hourly")).words == "hourly 2026-11-21: nothing differs from revision 1"  # a run that is repeated
        assert (await box.run(REVISIONS)).words == "nothing to make anew"

        box.write("readings", [NOON_US - 1], value=[99.0])  # today: no matter of yesterday's report
        box.write("readings", [YESTERDAY + 1, YESTERDAY + 2], value=[50.0, 51.0])
        assert (await box.run(REVISIONS)).words == "nothing to make anew"  # too soon after the first
        box.clock.pass_s(3_600)
        done = await box.run(REVISIONS)
        assert done.words == "1 made anew; hourly 2026-11-21 revision 2; differs in: 1 row of Hours; 1 row of Course"
        assert {f: (box.box.folder / "reports/hourly" / f).read_bytes() for f in first} == first, "nothing is overwritten"
        assert document(box, "2026-11-21.r2.json")["difference"]["parts"][0]["changes"] == [  # type: ignore[index]
            {"kind": "changed", "key": {"hour": "12h"}, "was": {"n": 1, "peak": 13.0}, "now": {"n": 3, "peak": 51.0}}
        ]
        box.clock.pass_s(DAY / 1e6)
        assert (await box.run(REVISIONS)).words == "nothing to make anew"

        [one, two] = box.messages()
        assert box.handed_over == [one.id, two.id]
        assert one.items[0].summary == "By the hour 2026-11-21 from box-1"
        assert two.items[0].summary == "By the hour 2026-11-21 (revision 2) from box-1"
        assert "Against revision 1 differs: 1 row of Hours" in two.items[0].text
        assert two.items[0].attachments == ("reports/hourly/2026-11-21.r2.html",)
        assert one.items[0].idempotency_key != two.items[0].idempotency_key
        rows = await box.sql("SELECT name, day, revision, reason, complete, delivered, difference FROM _reports")
        assert rows == [
            {"name": "hourly", "day": "2026-11-21", "revision": 2, "reason": "late records", "complete": "readings: 27",
             "delivered": "ops: waiting", "difference": "1 row of Hours; 1 row of Course"},
            {"name": "hourly", "day": "2026-11-21", "revision": 1, "reason": "schedule", "complete": "readings: 24",
             "delivered": "ops: waiting", "difference": ""},
        ]  # fmt: skip
        for issue in box.desk.picture().issues:
            for file in issue.files:
                assert hashlib.sha256((box.box.folder / file.path).read_bytes()).hexdigest() == file.sha256


def delete(box: Living, since_us: int, until_us: int, **matching: str) -> Deletion:
    wanted = Deletion(0, "Readings", since_us, until_us, matching, author="me", reason="a test")
    done: Deletion = box.box.writer.call(lambda c: commit_deletion(c, wanted)).result(30)
    return done


async def test_deleted_records_make_the_reports_that_used_their_days_due_for_a_revision(tmp_path: Path) -> None:
    async with living(tmp_path, HOURLY) as box:
        fill(box)
        await box.run("hourly")
        box.clock.pass_s(3_600)
        delete(box, NOON_US - HOUR, NOON_US)  # today: no matter of yesterday's report
        delete(box, YESTERDAY, YESTERDAY + 3 * HOUR, device="nobody")
        assert (await box.run(REVISIONS)).words == "nothing to make anew"
        wide = delete(box, YESTERDAY, YESTERDAY + 3 * HOUR, device="d1")
        done = await box.run(REVISIONS)
        assert done.words == "1 made anew; hourly 2026-11-21 revision 2; differs in: 3 rows of Hours; 3 rows of Course"
        assert document(box, "2026-11-21.r2.json")["streams"][0]["records"] == 21  # type: ignore[index]
        [newest, _] = await box.sql("SELECT revision, reason FROM _reports")
        assert newest == {"revision": 2, "reason": "deleted records"}
        box.clock.pass_s(DAY / 1e6)
        made = box.steps.count("report.registered")
        assert (await box.run(REVISIONS)).words == "nothing to make anew"
        box.box.writer.call(lambda c: end_deletions(c, "readings", [wide.id])).result(30)
        with box.reports.surroundings.reader() as reader:
            assert [d.id for d in deletions.after(reader.cursor, wide.id - 1)] == [wide.id], "one that is done is known still"
        assert box.steps.count("report.registered") == made


async def test_a_report_of_records_that_retention_has_removed_stays_as_it_was_issued(tmp_path: Path) -> None:
    async with living(tmp_path, HOURLY) as box:
        fill(box)
        await box.run("hourly")
        box.clock.pass_s(3_600)
        day = YESTERDAY // DAY
        gone = Segment(9, "readings", day, "lake/x", 1, 24, 24, YESTERDAY, YESTERDAY + HOUR, 1, "", 1, 2)
        db, now_us = box.box.store.connection, box.clock.now_us()

        def expire(_: object) -> None:
            with box.box.store.transaction():
                deletions.add_removals(db, 1, [gone], kind="retention", why="old", author="appliance", now_us=now_us)

        box.box.writer.call(expire).result(30)
        delete(box, YESTERDAY, YESTERDAY + HOUR)
        box.write("readings", [YESTERDAY + 1], value=[50.0])
        assert (await box.run(REVISIONS)).words == "nothing to make anew"
        [issue] = box.desk.picture().issues
        assert issue.revision == 1


async def test_a_value_is_a_value_and_a_report_with_other_parameters_another_report(tmp_path: Path) -> None:
    hostile = "d' OR '1'='1"
    async with living(tmp_path, HOURLY) as box:
        fill(box)
        fill(box, device=hostile)
        assert "revision 1" in (await box.run("hourly", device=hostile)).words
        [file] = [f for f in box.files("hourly") if f.endswith("json")]
        assert file.startswith("2026-11-21.device_d_or_1_1~")
        assert document(box, file)["parts"][1]["rows"][0] == ["0h", 1, 1.0]  # type: ignore[index]
        assert "revision 1" in (await box.run("hourly")).words
        with pytest.raises(UsageRefused, match="no parameter 'devise'"):
            await box.run("hourly", devise="d1")
        done = await box.run("hourly", reason="after hourly view", devise="of somebody else", day="2026-11-20")
        assert done.words == "hourly 2026-11-20 revision 1"


async def test_days_of_23_and_25_hours_have_all_their_records(tmp_path: Path) -> None:
    changes = {"2026-03-29": 23, "2026-10-25": 25, "2026-10-26": 24}
    async with living(tmp_path, HOURLY) as box:
        start = 1_774_738_800_000_000 - 48 * HOUR  # before 2026-03-29 00:00 in Berlin
        for since in (start, start + 209 * DAY):
            box.write("readings", [since + n * HOUR for n in range(130)], value=[1.0] * 130)
        for day, hours in changes.items():
            await box.run("hourly", day=day)
            found = document(box, f"{day}.r1.json")
            assert found["streams"][0]["records"] == hours  # type: ignore[index]
            assert len(found["parts"][2]["rows"]) == hours  # type: ignore[index]


async def test_a_day_that_goes_on_says_so_and_is_revised_once_it_is_over(tmp_path: Path) -> None:
    async with living(tmp_path, HOURLY) as box:
        fill(box, day_us=NOON_US)
        box.clock.now = NOON_US
        said, row = await box.desk.issue("hourly", day="today", parameters={})
        assert (said, row.is_over, row.reason) == ("hourly 2026-11-22 revision 1", False, "asked")
        assert "This day is not over" in (box.box.folder / "reports/hourly/2026-11-22.r1.md").read_text()
        box.write("readings", [NOON_US + 5], value=[77.0])
        box.clock.pass_s(6 * 3_600)
        assert (await box.run(REVISIONS)).words == "nothing to make anew"
        box.clock.pass_s(12 * 3_600)
        assert (await box.run(REVISIONS)).words.startswith("1 made anew; hourly 2026-11-22 revision 2")
        with pytest.raises(UsageRefused, match="has not begun"):
            await box.desk.issue("hourly", day="2026-11-29", parameters={})


PARTLY = '''
[workload.partly]
kind = "report"
text = """
```sql title=Right
SELECT count(*) AS n FROM readings
```
```sql title=Gone
SELECT count(*) FROM gone
```
```sql title=Outside
SELECT * FROM read_csv('/etc/passwd')
```
```sql title=Writes
DELETE FROM readings
```
"""
[workload.nothing]
kind = "report"
sql = "SELECT * FROM gone"
'''


async def test_what_fails_says_so_in_its_place_and_the_rest_is_right(tmp_path: Path) -> None:
    async with living(tmp_path, PARTLY) as box:
        fill(box)
        done = await box.run("partly")
        assert done.words == "partly 2026-11-21 revision 1, 3 of 4 parts failed"
        told = (box.box.folder / "reports/partly/2026-11-21.r1.md").read_text()
        assert "| 24 |" in told
        assert '> **Gone could not be answered: there is no stream or table "gone"' in told
        assert "Outside could not be answered" in told
        assert "Writes could not be answered" in told
        with pytest.raises(QueryRefused, match='no part of the report could be answered; the first: there is no stream or table "gone"'):
            await box.run("nothing")
        assert box.files("nothing") == []


async def test_the_daily_report_of_an_empty_box_and_of_one_with_odd_streams(tmp_path: Path) -> None:
    async with living(tmp_path) as box:
        assert (await box.run("daily")).words == "daily 2026-11-21 revision 1"
        odd = ['odd "name"', "it's", "<script>", "{day}"]
        for name in odd:
            box.write(name, [YESTERDAY, YESTERDAY + 5 * HOUR], value=[1.0, 2.0])
        box.write("<script>", [YESTERDAY + n * 600_000_000 for n in range(20)], value=[1.0] * 20)
        said, row = await box.desk.issue("daily", day=None, parameters={})
        assert (row.failed, row.revision) == (0, 2), said
        page = (box.box.folder / row.files[0].path).read_text()
        assert '<td class="text">&lt;script&gt;</td>' in page
        assert "<script>" not in page
        assert {u.stream: u.records for u in row.streams} == {'odd "name"': 2, "it's": 2, "<script>": 21}
        text, kind = await box.desk.render("daily", day="2026-11-21", parameters={}, format="csv")
        assert kind == "text/csv; charset=utf-8"
        assert "# Gaps\n" in text


async def test_a_full_disk_leaves_nothing_behind_and_the_next_run_issues_it(tmp_path: Path) -> None:
    async with living(tmp_path, HOURLY) as box:
        fill(box)

        def full(name: str) -> None:
            if name == "report.written" and box.steps.count(name) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")

        box.at_step = full
        with pytest.raises(RetryLater, match="no room on the disk"):
            await box.run("hourly")
        assert box.messages() == []
        assert box.desk.picture().issues == ()
        box.at_step = lambda _name: None
        assert "revision 1" in (await box.run("hourly")).words
        assert box.files("hourly") == ["2026-11-21.r1.html", "2026-11-21.r1.json", "2026-11-21.r1.md"]


async def test_old_reports_go_and_what_nobody_knows_goes_and_no_file_of_others(tmp_path: Path) -> None:
    async with living(tmp_path, HOURLY.replace("formats =", 'keep = "2d"\nformats =')) as box:
        fill(box)
        await box.run("hourly")
        folder = box.box.folder / "reports/hourly"
        left = ["2026-11-20.r1.html", "2026-W01.r12.md", "report-7.tmp", "2026-11-20.device_x~00aa.r3.json"]
        kept = ["my own.html", "2026-11-20.html", "result-2026-11-20.parquet"]
        for name in (*left, *kept):
            (folder / name).write_text("x")
        box.reports.tidy()
        assert set(left) & set(box.files("hourly")) == set()
        assert set(kept) <= set(box.files("hourly"))
        assert len(box.files("hourly")) == 6
        box.clock.pass_s(3 * 86_400)
        assert (await box.run(REVISIONS)).words == "nothing to make anew; 1 removed because of their age"
        assert sorted(kept) == box.files("hourly")
        [row] = box.desk.picture().issues
        assert row.removed_us == box.clock.now_us()
        assert box.desk.file(row.files[0].path) is None


async def test_only_what_was_issued_is_handed_out_and_only_whole(tmp_path: Path) -> None:
    async with living(tmp_path, HOURLY) as box:
        fill(box)
        await box.run("hourly")
        content, kind = box.desk.file("reports/hourly/2026-11-21.r1.html") or (b"", "")
        assert kind == "text/html; charset=utf-8"
        assert content.startswith(b"<!doctype html>")
        for path in ("hot.sqlite", "reports/../hot.sqlite", "/etc/passwd", "reports/hourly/2026-11-21.r%.html", ""):
            assert box.desk.file(path) is None
        (box.box.folder / "reports/hourly/2026-11-21.r1.html").write_text("short")
        with pytest.raises(StoreDamaged, match="not what was issued"):
            box.desk.file("reports/hourly/2026-11-21.r1.html")
        (box.box.folder / "reports/hourly/2026-11-21.r1.json").write_text("{broken")
        assert (await box.run("hourly")).words == "hourly 2026-11-21 revision 2; differs in: revision 1 can't be read any more"


async def test_the_same_message_is_told_once(tmp_path: Path) -> None:
    async with living(tmp_path) as box:
        db = box.box.store.connection

        def told(key: str) -> int | None:
            def run(_: object) -> int | None:
                with box.box.store.transaction():
                    return tell(db, "ops", "Job failed\x1b", "why\nand more", ["reports/x"], about="job nightly", key=key, now_us=7)

            return box.box.writer.call(run).result(10)

        assert told("run 1") == 1
        assert told("run 1") is None
        assert told("run 2") == 2
        assert [(m.group, m.items[0].text) for m in box.messages()] == [
            ("note=job nightly run 1", "why\nand more"),
            ("note=job nightly run 2", "why\nand more"),
        ]
