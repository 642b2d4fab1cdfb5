"""One file into the door: each content once, whatever happens on the way."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from appliance.errors import RejectPayload, RetryLater
from appliance.records import Format, Receipt, Submission
from appliance.sources.codecs import blocks
from appliance.sources.files import FileTask, Taken
from tests.sources.boxes import Shelf, shelf

ROWS = b"ts,n\n" + b"".join(b"%d,%d\n" % (1_767_225_600 + n, n) for n in range(1_000))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4096)
    with shelf(tmp_path, '[limits]\ndisk_free_min = 1\n[stream.b]\ntags = ["device"]\n') as opened:
        yield opened


def test_a_content_is_taken_once_for_each_stream(files: Shelf) -> None:
    assert files.take(ROWS).records == 1_000
    again = files.take(ROWS, name="other.csv", stream="a")
    assert (again.outcome, again.records) == ("duplicate", 0)
    assert "as a.csv" in again.reason
    assert files.take(ROWS, stream="b").records == 1_000
    assert files.values("n") == list(range(1_000))


def test_again_takes_it_once_more_and_only_once(files: Shelf) -> None:
    files.take(ROWS)
    assert files.take(ROWS, again=True).records == 1_000
    assert files.take(ROWS, again=True).records == 1_000
    assert files.take(ROWS).outcome == "duplicate"
    assert len(files.rows()) == 3_000


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.parquet", "a.lp"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_file_that_was_stopped_goes_on_exactly_where_it_was(
    files: Shelf, name: str, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.sources.codecs.parquet.ROWS_MAX", 100)
    data = _as(name)
    stopping = threading.Event()
    door = files.box.door.submit_blocking
    committed = 0

    def stop_after_some(submission: Submission, timeout_s: float | None = None) -> Receipt:
        nonlocal committed
        receipt = door(submission, timeout_s)
        committed += 1
        if committed == pieces:
            stopping.set()
        return receipt

    monkeypatch.setattr(files.box.door, "submit_blocking", stop_after_some)
    path = files.folder / "given"
    path.write_bytes(data)
    with path.open("rb") as file:
        first = files.taker.take(file, FileTask(name, "test"), stopping=stopping)
    assert first.outcome == "stopped"
    assert 0 < first.records < 1_000
    assert files.take(data, name=name).records == 1_000 - first.records
    assert files.values("n") == list(range(1_000))
    assert files.take(data, name=name).outcome == "duplicate"


def _as(name: str) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(ROWS, mtime=0)
    if name.endswith(".jsonl"):
        return b"".join(b'{"ts":%d,"n":%d}\n' % (1_767_225_600 + n, n) for n in range(1_000))
    if name.endswith(".lp"):
        return b"".join(b"a n=%di %d\n" % (n, 1_767_225_600_000_000_000 + n * 1_000) for n in range(1_000))
    if name.endswith(".parquet"):
        file = io.BytesIO()
        parquet.write_table(pa.table({"ts": range(1_767_225_600, 1_767_226_600), "n": range(1_000)}), file, row_group_size=300)
        return file.getvalue()
    return ROWS


def test_a_file_that_has_grown_brings_only_what_is_new(files: Shelf) -> None:
    half = ROWS.index(b"\n", len(ROWS) // 2) + 1
    first = files.take(ROWS[:half])
    assert files.take(ROWS, prefixes=(half,)).records == 1_000 - first.records
    assert files.values("n") == list(range(1_000))


def test_a_file_that_had_ended_within_a_line_is_taken_as_a_new_one(files: Shelf) -> None:
    files.take(ROWS[:-3])
    assert files.take(ROWS, prefixes=(len(ROWS) - 3,)).records == 1_000


def test_a_file_that_grows_while_it_is_read_can_be_gone_on_with(files: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    half = ROWS.index(b"\n", len(ROWS) // 2)
    path = files.folder / "given"
    path.write_bytes(ROWS[:half])
    door = files.box.door.submit_blocking

    def append(submission: Submission, timeout_s: float | None = None) -> Receipt:
        path.write_bytes(ROWS)
        return door(submission, timeout_s)

    monkeypatch.setattr(files.box.door, "submit_blocking", append)
    with path.open("rb") as file:
        first = files.taker.take(file, FileTask("a.csv", "test"))
    assert (first.outcome, first.size) == ("changed", half)
    assert files.take(ROWS, prefixes=(first.size,)).outcome == "taken"
    assert files.values("n") == list(range(1_000))


def test_a_file_that_is_rewritten_while_it_is_read_is_refused(files: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.folder / "given"
    path.write_bytes(ROWS)
    door = files.box.door.submit_blocking

    def rewrite(submission: Submission, timeout_s: float | None = None) -> Receipt:
        path.write_bytes(ROWS.replace(b"9", b"8"))
        return door(submission, timeout_s)

    monkeypatch.setattr(files.box.door, "submit_blocking", rewrite)
    with path.open("rb") as file:
        assert "rewritten" in files.taker.take(file, FileTask("a.csv", "test")).reason


def test_refused_records_are_dead_letters_that_can_be_replayed_alone(files: Shelf) -> None:
    taken = files.take(b"ts,n\n2026-01-01,1\n2026-01-01,x\n2026-01-01\n" + b"2026-01-01,2\n" * 50, stream="a")
    assert (taken.records, taken.rejected) == (51, 2) or taken.records == 52
    files.take(b'{"n":1}\nbad\n', name="b.jsonl")
    assert files.dead_letters()[-1] == (2, "is no JSON: Expecting value: line 1 column 1 (char 0)", b"bad", "jsonl", "b")
    letter = files.dead_letters()[0]
    assert letter[2].startswith(b"ts,n\n2026-01-01")
    assert letter[3] == "csv"


def test_what_the_door_refuses_keeps_its_bytes_too(files: Shelf) -> None:
    files.take(b"n\n1\n2\n", name="one.csv", stream="b")
    taken = files.take(b'{"n":1.5}\n{"n":true}\n', name="two.jsonl", stream="b")
    assert (taken.records, taken.rejected) == (1, 1)
    assert files.dead_letters()[0][2:] == (b'{"n":true}', "jsonl", "b")


def test_a_line_of_a_file_keeps_its_time_when_it_is_replayed_alone(files: Shelf) -> None:
    """Here the magnitude tells the unit; a dead letter alone is read in nanoseconds."""
    files.take(b"m v=1 1700000000\n", name="a.lp")
    files.take(b'm v=2 1700000001\nm v="text" 1700000002\nbroken 1700000003\n', name="b.lp")
    assert {letter[2] for letter in files.dead_letters()} == {b'm v="text" 1700000002000000000', b"broken 1700000003000000000"}


def test_a_file_that_is_mostly_refused_is_refused_whole(files: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.sources.files.BAD_FILE_REJECTS_MIN", 10)
    taken = files.take(b"a,b\n" + b"1;2\n" * 1_000)
    assert taken.outcome == "refused"
    assert "of its first" in taken.reason
    assert not files.rows()
    assert not files.dead_letters()


def test_whole_records_before_a_damage_are_kept_and_the_rest_is_said(files: Shelf) -> None:
    packed = gzip.compress(ROWS, mtime=0)[:-500]
    taken = files.take(packed, name="a.csv.gz")
    assert taken.outcome == "refused"
    assert "ends too early" in taken.reason
    assert files.values("n") == list(range(taken.records))
    assert files.take(packed, name="a.csv.gz").records == 0


@pytest.mark.parametrize("data", [b"", b"a,b\n", gzip.compress(b"")], ids=["nothing", "header", "gzip"])
def test_an_empty_file_is_taken_and_brings_nothing(files: Shelf, data: bytes) -> None:
    assert files.take(data) == Taken("taken", stream="a", format=Format.CSV, size=len(data))
    assert files.take(data).outcome == "duplicate"


def test_a_bomb_is_cut_off_and_leaves_nothing(tmp_path: Path) -> None:
    with shelf(tmp_path, '[[source]]\nkind = "drop"\nfile_max = "8MiB"\n') as small:
        taken = small.take(gzip.compress(bytes(64 << 20)), name="a.csv.gz")
        assert taken.outcome == "refused"
        lines = small.take(gzip.compress(b"n\n" + b"1\n" * (8 << 20)), name="b.csv.gz")
        assert "more than 8388608 bytes come out" in lines.reason
        assert lines.records < 4 << 20
        assert "are more than 8388608" in small.take(bytes((8 << 20) + 1)).reason


@pytest.mark.parametrize("stream", ["x" * 2_000, "a\x1bb"])
def test_a_stream_that_can_have_no_such_name_refuses_the_file(files: Shelf, stream: str) -> None:
    assert files.take(ROWS, name=f"{stream}.csv").outcome == "refused"


def test_a_door_that_takes_nothing_is_waited_for(files: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    door = files.box.door.submit_blocking
    refusals = iter(range(3))

    def reluctant(submission: Submission, timeout_s: float | None = None) -> Receipt:
        if next(refusals, None) is not None:
            assert files.taker.waiting is None or "full" in files.taker.waiting
            raise RetryLater("the disk is full", after_s=0)
        return door(submission, timeout_s)

    monkeypatch.setattr(files.box.door, "submit_blocking", reluctant)
    assert files.take(ROWS).records == 1_000
    assert files.taker.waiting is None


def test_an_upload_is_told_to_come_again_and_goes_on_then(files: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(submission: Submission, timeout_s: float | None = None) -> Receipt:
        raise RetryLater("the disk is full", after_s=0)

    path = files.folder / "given"
    path.write_bytes(ROWS)
    with monkeypatch.context() as patch, path.open("rb") as file:
        patch.setattr(files.box.door, "submit_blocking", closed)
        with pytest.raises(RetryLater):
            files.taker.take(file, FileTask("a.csv", "test"), patience_s=0.05)
    assert files.take(ROWS).records == 1_000


async def test_an_upload_gives_a_summary_or_says_why_not(files: Shelf) -> None:
    path = files.folder / "given"
    path.write_bytes(ROWS)
    found = await files.taker.take_upload(path, name="a.csv", stream=None, format=None, again=False)
    assert found == {"outcome": "taken", "reason": "", "records": 1_000, "rejected": 0, "stream": "a", "format": "csv"}
    path.write_bytes(b"\x89PNG" + bytes(100))
    with pytest.raises(RejectPayload, match="zero bytes"):
        await files.taker.take_upload(path, name="b.csv", stream=None, format=None, again=False)


def test_configured_tags_are_tags(files: Shelf) -> None:
    files.take(b"ts,device,n\n2026-01-01,x,1\n", stream="b")
    state = files.box.state.get("b")
    assert state is not None
    assert state.schema.tags == ("device",)
