"""Files that a table names (models, reports, tables of jobs) and files that were taken: what is not as it was is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.clock import SystemClock
from appliance.door.commit import Committer
from appliance.door.lake_commits import commit_deletion
from appliance.hot import issued
from appliance.hot.models import ACCEPTED, ModelRow, add_model
from appliance.hot.reader import HotReader
from appliance.manifest import Deletion
from appliance.reconcile.derived import inbox
from appliance.reconcile.derived.registry import CHECKS
from appliance.reconcile.engine import run_checks
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look, Scope
from appliance.sources.files import FileTask
from tests.clock import NOON_US
from tests.derived.looking import harm, mended, tables
from tests.sources.boxes import Shelf, shelf

CSV = b"ts,device,v\n" + b"".join(b"2026-11-20T%02d:%02d:00Z,d%d,%d\n" % (n // 60, n % 60, n % 3, n) for n in range(600))
LINES = b"".join(b"room,device=d%d v=%d %d\n" % (n % 2, n, (NOON_US + n * 1_000_000) * 1000) for n in range(50))
TAGS = '[limits]\ndisk_free_min = 1\n[hot]\ncommit_every = "1ms"\n[stream.readings]\ntags = ["device"]\n'


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Shelf]:
    with shelf(tmp_path, TAGS) as made:
        yield made


def found(box: Shelf, scope: Scope = "full") -> list[Finding]:
    reader = HotReader(box.box.folder)
    try:
        with reader.pinned():
            look = Look(folder=box.box.folder, reader=reader, state=reader.load_state(), scope=scope, now_us=box.box.clock.now_us())
            return list(run_checks(look, CHECKS).findings)
    finally:
        reader.close()


def kinds(box: Shelf, scope: Scope = "full") -> list[str]:
    return [f.kind for f in found(box, scope)]


def put(box: Shelf, path: str, content: bytes) -> str:
    """A file of the data folder; its hash."""
    place = box.box.folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


# --- models


def model(box: Shelf, version: int) -> None:
    path = f"models/usual/{version}.json"
    sha256 = put(box, path, b"%d" % version)
    row = ModelRow("usual", version, path, sha256, "profile", "room", (), "v", version, 1.0, 1.0, 1.0, ACCEPTED, "", True, version)

    def run(committer: Committer) -> None:
        with committer.store.transaction():
            add_model(committer.store.connection, row)
            committer.store.chain.add("model", {"model": "usual", "version": version, "sha256": sha256, "why": "trained", "who": "x"})

    box.box.writer.call(run).result()


def in_use(box: Shelf) -> list[str]:
    return tables(box.box.folder)["model"]


def test_a_model_whose_file_is_not_what_was_made_gives_way_to_the_one_before(box: Shelf) -> None:
    for version in (1, 2, 3):
        model(box, version)
    assert found(box) == []
    put(box, "models/usual/3.json", b"x")
    (box.box.folder / "models/usual/2.json").unlink()
    wrong = found(box)
    assert sorted(f.kind for f in wrong) == ["model changed", "model missing"]
    mended(box.box, wrong)
    assert in_use(box) == ["('usual', 1, 'accepted', 1)", "('usual', 2, 'damaged', 0)", "('usual', 3, 'damaged', 0)"]
    assert (box.box.folder / "damaged/models/usual/3.json").read_bytes() == b"x"
    assert found(box) == []


def test_the_version_in_use_is_the_one_that_the_evidence_names(box: Shelf) -> None:
    for version in (1, 2):
        model(box, version)
    before = in_use(box)
    harm(box.box.folder, "UPDATE model SET active = 0", "UPDATE model SET active = 1 WHERE version = 1")
    wrong = found(box)
    assert [f.kind for f in wrong] == ["model not in use"]
    mended(box.box, wrong)
    assert in_use(box) == before
    harm(box.box.folder, "DELETE FROM model WHERE version = 2")
    assert [(f.kind, f.repair) for f in found(box)] == [("model not in use", None)]


# --- what was issued


def issue(box: Shelf) -> None:
    content = {form: f"a {form}".encode() for form in ("html", "json")}
    files = tuple(
        issued.File(form, f"reports/daily/2026-11-21.r1.{form}", len(c), put(box, f"reports/daily/2026-11-21.r1.{form}", c))
        for form, c in content.items()
    )
    row = issued.Issue(
        name="daily", title="Daily", day="2026-11-21", since_us=0, until_us=86_400_000_000, parameters={}, revision=1, reason="asked",
        issued_us=NOON_US, is_over=True, failed=0, blocks=1, files=files, used=(),
    )  # fmt: skip

    def run(committer: Committer) -> None:
        with committer.store.transaction():
            issued.add(committer.store.connection, row)

    box.box.writer.call(run).result()


def test_a_report_that_is_not_what_was_issued_is_put_aside(box: Shelf) -> None:
    issue(box)
    assert found(box) == []
    put(box, "reports/daily/2026-11-21.r1.html", b"a HTML")
    assert kinds(box, "newest") == [], "of the same size: its hash is looked at when all is"
    (wrong,) = found(box, "all")
    assert (wrong.kind, wrong.key) == ("report changed", "daily 2026-11-21 r1")
    (done,) = mended(box.box, [wrong])
    assert (done.state, (box.box.folder / "damaged/reports/daily/2026-11-21.r1.html").read_bytes()) == ("unmendable", b"a HTML")
    (box.box.folder / "reports/daily/2026-11-21.r1.json").unlink()
    assert kinds(box, "newest") == ["report missing"] * 2


def test_a_table_of_a_job_is_what_it_made(box: Shelf) -> None:
    sha256 = put(box, "tables/t/1.parquet", b"four")

    harm(
        box.box.folder,
        "INSERT INTO job_table (fold, name, path, rows, bytes, sha256, columns, made_us, run_id)"
        f" VALUES ('t', 't', 'tables/t/1.parquet', 1, 4, '{sha256}', '[]', 1, 1)",
    )
    assert found(box) == []
    put(box, "tables/t/1.parquet", b"five")
    assert kinds(box) == ["table changed"]
    (box.box.folder / "tables/t/1.parquet").unlink()
    assert kinds(box, "newest") == ["table missing"]


# --- taken files


def take(box: Shelf, name: str, content: bytes) -> None:
    """As the drop folder does."""
    done = box.box.folder / "inbox/done" / name
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_bytes(content)
    stream = None if done.parent.name == "done" else done.parent.name
    with done.open("rb") as file:
        assert box.taker.take(file, FileTask(name, f"drop:{name}", stream=stream)).outcome == "taken"


def forget_hot(box: Shelf) -> None:
    """The records of a file are gone from the books as if they had never been there: an older copy of the store."""
    harm(box.box.folder, "DELETE FROM batch", "UPDATE stream SET last_seq = 0")


def content(box: Shelf, *streams: str) -> list[str]:
    return sorted(repr({k: v for k, v in row.items() if k != "_seq"}) for s in streams for row in box.rows(s))


def reopen(box: Shelf) -> None:
    box.box.close()
    box.box.__init__(box.box.config)  # type: ignore[misc]  # the same box again, as after a start
    box.box.start()


@pytest.mark.parametrize("forgets_file", [False, True])
def test_records_of_taken_files_that_are_not_there_are_taken_again(box: Shelf, forgets_file: bool) -> None:
    take(box, "readings/a.csv", CSV)
    take(box, "room.lp", LINES)
    before = content(box, "readings", "room")
    assert found(box) == []
    box.box.close()
    forget_hot(box)
    if forgets_file:
        harm(box.box.folder, "DELETE FROM file")
    reopen(box)
    wrong = found(box)
    assert [f.kind for f in wrong] == ["file not taken" if forgets_file else "records of a file missing"] * 2
    assert {r.state for r in mended(box.box, wrong)} == {"repaired"}
    assert content(box, "readings", "room") == before
    assert found(box) == []


def test_what_came_since_is_not_overwritten_by_an_older_file(box: Shelf) -> None:
    take(box, "readings/a.csv", CSV)
    take(box, "readings/b.csv", CSV.replace(b",5\n", b",5000\n"))
    before = content(box, "readings")
    harm(box.box.folder, "DELETE FROM file WHERE name LIKE '%a.csv'")
    wrong = found(box, "all")
    assert [f.kind for f in wrong] == ["file not taken"]
    mended(box.box, wrong)
    assert (content(box, "readings"), found(box)) == (before, [])


def test_records_that_were_deleted_or_refused_or_bring_no_time_are_not_missed(box: Shelf) -> None:
    take(box, "readings/a.csv", CSV)
    take(box, "readings/c.csv", b"ts,device,v\n2026-11-23T00:00:00Z,d1,2\n2026-11-23T00:00:01Z,d1,two\n")
    take(box, "plain.csv", b"x\n1\n2\n")
    deletion = Deletion(0, "readings", None, NOON_US - 86_400_000_000, {"device": "d1"})
    box.box.writer.call(lambda c: commit_deletion(c, deletion)).result()
    assert found(box) == []


def test_a_file_whose_records_can_not_be_told_apart_is_not_taken_twice(tmp_path: Path) -> None:
    with shelf(tmp_path, TAGS + 'identity = "none"\n') as box:
        take(box, "readings/a.csv", CSV)
        harm(box.box.folder, "DELETE FROM file")
        wrong = found(box)
        assert [f.kind for f in wrong] == ["file not taken"]
        rows = len(box.rows("readings"))
        mended(box.box, wrong)
        assert len(box.rows("readings")) == rows


def test_a_numbered_file_belongs_to_the_stream_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    for name in ("a.csv", "a.1.csv", "b.1.csv"):
        (tmp_path / "done" / name).touch()
    assert [inbox.stream_of(tmp_path / "done" / name) for name in ("a.csv", "a.1.csv", "b.1.csv")] == ["a", "a", "b.1"]
    assert SystemClock().now_us() < inbox.ARRIVED_US
