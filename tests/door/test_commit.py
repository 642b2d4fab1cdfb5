"""What a group of submissions becomes: rows, sequences, receipts, streams, dead letters; and what a refused one leaves behind, nothing."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from appliance.box import Box
from appliance.door.door import ALL
from appliance.errors import RejectPayload
from appliance.hot.reader import HotReader
from appliance.records import Batch, Column, FileProgress, Format, Kind, Receipt, Reject, Submission
from tests.clock import FakeClock
from tests.door.batches import at, batch, ring_rows, rows_of, send, submission
from tests.door.conftest import Opens

LIMITS = "[hot]\ncommit_every = '1ms'\n[limits]\ndisk_free_min = 1\n"


def together(box: Box, *submissions: Submission) -> list[Receipt | BaseException]:
    """Commits submissions in one group, whatever the pace."""
    held = box.writer.call(lambda _: [box.door.put(s) for s in submissions]).result(30)
    return [f.exception(30) or f.result() for f in held]


def letters(box: Box) -> list[tuple[Any, ...]]:
    return read(box, "SELECT source, stream, format, reason, line, raw, replayed_us FROM dead_letter ORDER BY id")


def read(box: Box, sql: str) -> list[tuple[Any, ...]]:
    reader: HotReader = box.reader()
    try:
        return reader.execute(sql)
    finally:
        reader.close()


def test_submissions_of_one_group_get_their_own_sequences(opens: Opens) -> None:
    box = opens()
    found = together(
        box,
        submission(batch("a", [at(0), at(1)], x=[1, 2]), batch("b", [at(0)], x=[1])),
        submission(batch("b", [at(1), at(2)], x=[2, 3])),
        submission(batch("a", [at(2)], x=[3]), batch("a", [at(3)], y=[4.0])),
        submission(),
    )
    assert [(r.records, r.sequences) for r in found if isinstance(r, Receipt)] == [
        (3, {"a": (1, 2), "b": (1, 1)}),
        (2, {"b": (2, 3)}),
        (2, {"a": (3, 4)}),
        (0, {}),
    ]
    assert box.writer.commits == 1
    assert [(r["_seq"], r["x"], r["y"]) for r in rows_of(box, "a")] == [(1, 1, None), (2, 2, None), (3, 3, None), (4, None, 4.0)]
    assert rows_of(box, "a") == ring_rows(box, "a")


def test_many_small_submissions_are_stored_as_few_batches(opens: Opens) -> None:
    box = opens()
    found = together(box, *(submission(batch("a", [at(i)], tags={"t": [f"v{i % 7}"]}, x=[i])) for i in range(500)))
    assert [r.sequences for r in found if isinstance(r, Receipt)] == [{"a": (i + 1, i + 1)} for i in range(500)]
    assert read(box, "SELECT first, last FROM batch") == [(1, 500)]
    assert [(r["t"], r["x"]) for r in rows_of(box, "a")] == [(f"v{i % 7}", i) for i in range(500)]


def test_each_submission_gets_its_own_rejects(opens: Opens) -> None:
    box = opens()
    first, second, third = together(
        box,
        submission(batch("a", [at(0), at(1)], x=[1.0, math.nan])),
        submission(batch("a", [at(2)], x=[2.0])),
        submission(batch("a", [at(3), None, at(4)], x=[math.inf, 4.0, 5.0]), rejects=(Reject("no line", b"??", 7),)),
    )
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert isinstance(third, Receipt)
    assert (first.records, first.sequences, [r.raw for r in first.rejected]) == (1, {"a": (1, 1)}, [b"raw 1"])
    assert (second.records, second.sequences, second.rejected) == (1, {"a": (2, 2)}, ())
    assert (third.records, third.sequences) == (1, {"a": (3, 3)})
    assert [(r.raw, r.line) for r in third.rejected] == [(b"??", 7), (b"raw 0", 1), (b"raw 1", 2)]
    assert [row["x"] for row in rows_of(box, "a")] == [1.0, 2.0, 5.0]


def test_dead_letters_hold_reason_source_and_original_bytes(opens: Opens) -> None:
    box = opens()
    receipt = send(box, batch("a", [at(0)], x=[math.nan]), source="mqtt:plant/1", rejects=(Reject("not a line", b"\xff\x00", 3, "s"),))
    assert receipt.records == 0
    assert letters(box) == [
        ("mqtt:plant/1", "s", "lp", "not a line", 3, b"\xff\x00", None),
        ("mqtt:plant/1", "a", "lp", "'x' is not a finite number", 1, b"raw 0", None),
    ]
    assert box.state.streams == {}


def test_a_replay_marks_its_letter_in_the_same_commit(opens: Opens, clock: FakeClock) -> None:
    box = opens()
    send(box, rejects=(Reject("r", b"1"), Reject("r", b"2")))
    clock.pass_s(5)
    send(box, batch("a", [at(0)], x=[1]), replay_of=(2,))
    assert [row[-1] for row in letters(box)] == [None, clock.now_us()]
    failed = box.door.put(submission(batch("a", [at(0)], x=[math.nan]), replay_of=(1,), all_or_nothing=True))
    assert isinstance(failed.exception(30), RejectPayload)
    assert letters(box)[0][-1] is None


def test_all_or_nothing_leaves_no_trace(opens: Opens) -> None:
    box = opens()
    send(box, batch("old", [at(0)], tags={"t": ["a"]}, x=[1]))
    before = box.state
    found = together(
        box,
        submission(batch("new", [at(0)], x=[1]), batch("old", [at(1)], tags={"t": ["b"]}, y=[1.0], x=[math.nan]), all_or_nothing=True),
    )
    assert "x' is not a finite number" in str(found[0])
    assert isinstance(found[0], RejectPayload)
    assert box.state is before
    assert len(box.committer.books["old"].series) == 1
    assert letters(box) == []
    assert set(box.committer.books) == {"old"}


def test_all_or_nothing_harms_no_other_submission_of_its_group(opens: Opens) -> None:
    box = opens(LIMITS + "series_max = 2\n")
    kept, refused, taken, last = together(
        box,
        submission(batch("a", [at(0)], tags={"t": ["1"]}, x=[1])),
        submission(batch("a", [at(1), at(2)], tags={"t": ["2", "3"]}, x=[2, 3], y=[1.0, 1.0]), all_or_nothing=True),
        submission(batch("a", [at(3)], tags={"t": ["2"]}, x=[4]), batch("b", [at(3)], x=[1]), all_or_nothing=True),
        submission(batch("a", [at(4)], tags={"t": ["1"]}, x=[5])),
    )
    assert isinstance(kept, Receipt)
    assert isinstance(refused, RejectPayload)
    assert isinstance(taken, Receipt)
    assert isinstance(last, Receipt)
    assert (kept.sequences, taken.sequences, last.sequences) == ({"a": (1, 1)}, {"a": (2, 2), "b": (1, 1)}, {"a": (3, 3)})
    assert [c.name for c in box.state.streams["a"].schema.columns] == ["t", "x"]


def test_all_or_nothing_with_a_reject_of_the_source_is_refused(opens: Opens) -> None:
    (found,) = together(opens(), submission(batch("a", [at(0)], x=[1]), rejects=(Reject("bad line", b""),), all_or_nothing=True))
    assert isinstance(found, RejectPayload)
    assert "bad line" in str(found)


def test_a_stream_evolves_within_one_group(opens: Opens) -> None:
    box = opens()
    together(
        box,
        submission(batch("a", [at(0)], tags={"t": ["1"]}, x=[1])),
        submission(batch("a", [at(1)], tags={"t": ["1"], "u": ["2"]}, x=[1.5])),
        submission(batch("a", [at(2)], tags={"t": ["1"]}, x=[2], note=["n"])),
    )
    state = box.state.streams["a"]
    assert (state.schema.version, list(state.schemas)) == (1, [1])
    assert state.schema.columns == (Column("t", Kind.TAG), Column("u", Kind.TAG), Column("x", Kind.FLOAT), Column("note", Kind.TEXT))
    rows = [{k: v for k, v in row.items() if k not in ("ts", "_seq")} for row in rows_of(box, "a")]
    assert rows == [
        {"t": "1", "u": None, "x": 1.0, "note": None},
        {"t": "1", "u": "2", "x": 1.5, "note": None},
        {"t": "1", "u": None, "x": 2.0, "note": "n"},
    ]


def test_versions_rise_by_one_with_each_commit_that_changes_the_schema(opens: Opens) -> None:
    box = opens()
    send(box, batch("a", [at(0)], x=[1]))
    together(box, submission(batch("a", [at(1)], y=[1])), submission(batch("a", [at(2)], z=[1])))
    send(box, batch("a", [at(3)], x=[4]))
    state = box.state.streams["a"]
    assert (state.schema.version, sorted(state.schemas)) == (2, [1, 2])
    assert read(box, "SELECT version FROM schema") == [(1,), (2,)]
    assert [c.schema_version for c in state.ring] == [1, 2]
    box = opens()
    assert box.state.streams["a"].schemas == state.schemas


def test_a_name_in_another_case_is_the_known_stream_said_once(opens: Opens, caplog: pytest.LogCaptureFixture) -> None:
    box = opens()
    caplog.set_level("INFO")
    together(box, submission(batch("Room", [at(0)], Temp=[1.0])), submission(batch("room", [at(1)], temp=[2.0])))
    receipt = send(box, batch("ROOM", [at(2)], TEMP=[3.0]), batch("room", [at(3)], temp=[4.0]))
    assert receipt.sequences == {"Room": (3, 4)}
    assert [row["Temp"] for row in rows_of(box, "room")] == [1.0, 2.0, 3.0, 4.0]
    said = [r.getMessage() for r in caplog.records if "differs" in r.getMessage()]
    assert said == [f"stream {n!r} differs from 'Room' only in case: taken as the same" for n in ("room", "ROOM")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "stream has an empty name"),
        ("_alerts", "stream name '_alerts' starts with an underscore, which is kept for the appliance's own tables"),
        ("a\nb", "stream name 'a\\nb' holds control characters"),
        ("a\udcffb", "stream name 'a\\udcffb' is not UTF-8"),
        ("x" * 10_000, "stream name is longer than 1024 bytes"),
    ],
)
def test_names_that_no_stream_can_have_go_to_the_dead_letters(opens: Opens, name: str, reason: str) -> None:
    box = opens()
    receipt = send(box, batch(name, [at(0)], x=[1]), batch("good", [at(0)], x=[1]))
    assert receipt.records == 1
    assert [r.reason for r in receipt.rejected] == [reason]
    assert letters(box)[0][3] == reason


@pytest.mark.parametrize("name", ["..", "a/b", 'quo"te', "select", "sp ace", "naïve", "CON", "x" * 1024, "date=2020", "~", "-"])
def test_any_other_name_is_a_stream(opens: Opens, name: str) -> None:
    box = opens()
    assert send(box, batch(name, [at(0)], x=[1])).sequences == {name: (1, 1)}
    folder = box.state.streams[name.lower()].folder
    assert "/" not in folder
    assert folder not in (".", "..")
    assert len(folder) < 64
    box = opens()
    assert box.state.streams[name.lower()].name == name


def test_names_from_a_file_system_may_be_no_text(opens: Opens) -> None:
    box = opens()
    progress = FileProgress("d" * 64, "b\udcff.csv", 10, 10, True, "s")
    receipt = send(
        box, batch("s", [at(0)], x=[1]), source="drop:b\udcff.csv", rejects=(Reject("r\udcff", b"", 1, "s\udcff"),), progress=progress
    )
    assert receipt.records == 1
    assert letters(box)[0][:4] == ("drop:b\\udcff.csv", "s\\udcff", "lp", "r\\udcff")
    assert read(box, "SELECT name FROM file") == [("b\\udcff.csv",)]


def test_there_is_a_limit_of_streams(opens: Opens) -> None:
    box = opens(LIMITS + "streams_max = 2\n")
    send(box, batch("a", [at(0)], x=[1]))
    first, second = together(
        box, submission(batch("b", [at(0)], x=[1])), submission(batch("c", [at(0)], x=[1]), batch("a", [at(1)], x=[2]))
    )
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert (first.records, second.records) == (1, 1)
    assert [r.reason for r in second.rejected] == ["there are 2 streams already, the limit [limits] streams_max"]
    assert set(box.state.streams) == {"a", "b"}


def test_a_stream_of_which_every_record_is_refused_is_not_made(opens: Opens) -> None:
    box = opens(LIMITS + "streams_max = 1\n")
    send(box, batch("bad", [None], x=[1]))
    assert send(box, batch("good", [at(0)], x=[1])).records == 1


def test_there_is_a_limit_of_series_and_known_ones_go_on(opens: Opens) -> None:
    box = opens(LIMITS + "series_max = 3\n")
    first, second = together(
        box,
        submission(batch("a", [at(i) for i in range(3)], tags={"t": ["1", "2", "1"]}, x=[0, 1, 2])),
        submission(batch("a", [at(i) for i in range(5)], tags={"t": ["3", "4", "2", "5", "3"]}, x=[3, 4, 5, 6, 7])),
    )
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert (first.records, second.records) == (3, 3)
    assert [r.raw for r in second.rejected] == [b"raw 1", b"raw 3"]
    assert "3 different sets of tag values already" in second.rejected[0].reason
    assert [row["x"] for row in rows_of(box, "a")] == [0, 1, 2, 3, 5, 7]
    box = opens(LIMITS + "series_max = 3\n")
    found = send(box, batch("a", [at(10), at(11)], tags={"t": ["2", "9"]}, x=[8, 9]))
    assert (found.records, len(found.rejected)) == (1, 1)


def test_records_from_the_future_count_as_series_too(opens: Opens) -> None:
    box = opens(LIMITS + "series_max = 2\n")
    far = 200 * 365 * 86_400.0
    found = send(box, batch("a", [at(far)] * 4, tags={"t": ["1", "2", "3", "4"]}, x=[1, 2, 3, 4]))
    assert (found.records, len(found.rejected)) == (2, 2)
    assert send(box, batch("a", [at(far)], tags={"t": ["5"]}, x=[5])).records == 0


def test_a_million_tag_values_stay_within_the_limit(opens: Opens) -> None:
    box = opens(LIMITS + "series_max = 1000\n")
    rows = 20_000
    for start in range(0, 1_000_000, 400_000):
        values = pa.array([f"v{i}" for i in range(start, start + rows)]).dictionary_encode()
        data = pa.RecordBatch.from_arrays(
            [pa.array([at(0)] * rows, pa.timestamp("us")), values, pa.array([1] * rows)], names=["ts", "t", "x"]
        )
        send(box, Batch("a", ("t",), data))
    book = box.committer.books["a"]
    assert len(book.series) == 1000
    assert len(book.last.rows()[0]) == 1000
    assert read(box, "SELECT count(*) FROM dead_letter") == [(59_000,)]


def test_a_files_progress_is_committed_with_its_records(opens: Opens) -> None:
    box = opens()
    half = FileProgress("d" * 64, "a.csv", 100, 50, done=False, stream="a")
    send(box, batch("a", [at(0), at(1)], x=[1.0, math.nan]), source="drop:a.csv", format_=Format.CSV, progress=half)
    assert box.file_progress(half.digest, "a") == half
    assert box.file_progress(half.digest, "b") is None
    whole = FileProgress("d" * 64, "renamed.csv", 100, 100, done=True, stream="a")
    send(box, batch("a", [at(2)], x=[2.0]), source="drop:a.csv", format_=Format.CSV, progress=whole)
    assert box.file_progress(half.digest, "a") == whole
    assert read(box, "SELECT records, rejected, done FROM file") == [(2, 1, 1)]
    box = opens()
    assert box.file_progress(half.digest, "a") == whole


def test_the_first_source_decides_the_identity(opens: Opens) -> None:
    box = opens()
    send(box, batch("lines", [at(0)], x=[1]), source="drop:lines.lp", format_=Format.LP)
    send(box, batch("log", [at(0)], x=[1]), source="drop:log.csv", format_=Format.CSV)
    send(box, batch("loaded", [at(0)], x=[1]), source="ingest:x.jsonl", format_=Format.JSONL)
    send(box, batch("posted", [at(0)], x=[1]), source="http", format_=Format.JSONL)
    send(box, batch("log", [at(1)], x=[1]), source="http")
    box = opens()
    assert {s.name: s.identity for s in box.state.streams.values()} == {"lines": ("*",), "log": None, "loaded": None, "posted": ("*",)}


def test_the_config_goes_before_the_source(opens: Opens, caplog: pytest.LogCaptureFixture) -> None:
    text = LIMITS + '[stream.Readings]\nidentity = ["Device", "ts"]\n[stream.events]\nidentity = "none"\n'
    box = opens(text)
    send(box, batch("readings", [at(0)], device=[7], x=[1]), source="drop:r.csv", format_=Format.CSV)
    send(box, batch("events", [at(0)], x=[1]))
    readings = box.state.streams["readings"]
    assert readings.identity == ("Device", "ts")
    assert readings.identity_columns() == ("device", "ts")
    assert readings.schema.columns == (Column("device", Kind.TAG), Column("x", Kind.INT))
    assert box.state.streams["events"].identity is None
    box = opens()
    assert box.state.streams["readings"].identity == ("Device", "ts")
    assert not caplog.records
    opens(LIMITS + '[stream.events]\nidentity = ["ts"]\n')
    assert "keeps the identity that it was created with, none" in caplog.text


def test_an_identity_names_only_columns_that_are_there(opens: Opens) -> None:
    box = opens(LIMITS + '[stream.a]\nidentity = ["device", "ts"]\n')
    send(box, batch("a", [at(0)], x=[1]))
    assert box.state.streams["a"].identity_columns() == ("ts",)


def test_large_submissions_are_stored_in_batches_of_bounded_size(opens: Opens) -> None:
    box = opens()
    rows = 150_000
    data = pa.RecordBatch.from_arrays([pa.array(range(rows)).cast(pa.timestamp("us")), pa.array(range(rows))], names=["ts", "x"])
    assert send(box, Batch("a", (), data)).sequences == {"a": (1, rows)}
    assert read(box, "SELECT first, last FROM batch") == [(1, 65_536), (65_537, 131_072), (131_073, rows)]
    assert [r["x"] for r in rows_of(box, "a")] == list(range(rows))


def test_a_few_rows_of_a_large_block_keep_nothing_of_it(opens: Opens) -> None:
    box = opens()
    rows = 100_000
    tags = pa.array([f"value {i}" for i in range(rows)]).dictionary_encode()
    whole = pa.RecordBatch.from_arrays([pa.array([at(0)] * rows, pa.timestamp("us")), tags, pa.array(range(rows))], names=["ts", "t", "x"])
    for i in (5, 50_000):
        send(box, Batch("few", ("t",), whole.slice(i, 2)))
    send(box, Batch("many", ("t",), whole.slice(5_000, 300)))
    assert box.ring.bytes < 50_000
    assert read(box, "SELECT sum(length(body)) < 10000 FROM batch") == [(1,)]
    assert [(r["t"], r["x"]) for r in rows_of(box, "few")] == [(f"value {i}", i) for i in (5, 6, 50_000, 50_001)]
    assert ring_rows(box, "few") == rows_of(box, "few")
    assert [r["t"] for r in rows_of(box, "many")] == [f"value {i}" for i in range(5_000, 5_300)]


def test_counters_tell_what_was_taken_and_what_was_refused(opens: Opens, clock: FakeClock) -> None:
    box = opens()
    send(box, batch("a", [at(0), at(1)], x=[1.0, math.nan]), source="drop:x.csv", rejects=(Reject("r", b""),))
    refused = box.door.put(submission(batch("a", [at(0)], x=[math.nan]), all_or_nothing=True))
    assert isinstance(refused.exception(30), RejectPayload)
    assert (box.door.totals, box.door.rejected, box.door.inflight_bytes) == ({"drop": 1}, {"drop": 2}, 0)
    assert box.door.latency.status(at_ns=clock.monotonic_ns()).count == 1
    clock.pass_s(1)
    assert box.door.rates.history("a", at_ns=clock.monotonic_ns())[-1] == 1
    assert box.door.rates.history(ALL, at_ns=clock.monotonic_ns())[-1] == 1
