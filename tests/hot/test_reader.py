from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.box import Box
from appliance.errors import StoreDamaged, StoreTooNew
from appliance.hot.reader import HotReader
from appliance.hot.state import State
from appliance.records import EVERYTHING, TimeRange
from tests.clock import FakeClock
from tests.door.batches import at, batch, open_box, send


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """Ten batches of ten records, one a second."""
    made = open_box(tmp_path / "box", clock=FakeClock())
    for i in range(0, 100, 10):
        send(made, batch("s", [at(i + k) for k in range(10)], x=list(range(i + 1, i + 11))), batch("other", [at(i)], x=[i]))
    yield made
    made.close()


def values(reader: HotReader, state: State, *, after: int, before: int, span: TimeRange = EVERYTHING) -> list[int]:
    """Checks that each value is its own sequence and gives them."""
    found: list[int] = []
    for chunk in reader.rows(state.streams["s"], after_seq=after, before_seq=before, span=span):
        assert chunk.data.column("x").to_pylist() == list(range(chunk.first, chunk.last + 1))
        found += range(chunk.first, chunk.last + 1)
    return found


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (0, 2**63 - 1, range(1, 101)),
        (0, 101, range(1, 101)),
        (99, 101, range(100, 101)),
        (10, 21, range(11, 21)),
        (13, 18, range(14, 18)),
        (13, 38, range(14, 38)),
        (13, 15, range(14, 15)),
        (13, 14, range(0)),
        (100, 500, range(0)),
        (0, 1, range(0)),
    ],
)
def test_rows_between_two_sequences(box: Box, after: int, before: int, expected: range) -> None:
    reader = box.reader()
    assert values(reader, reader.load_state(), after=after, before=before) == list(expected)
    reader.close()


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (TimeRange(at(0), at(1)), range(1, 11)),
        (TimeRange(at(9), at(11)), range(1, 21)),
        (TimeRange(at(99), None), range(91, 101)),
        (TimeRange(None, at(0)), range(0)),
        (TimeRange(at(100), None), range(0)),
    ],
)
def test_batches_that_cannot_matter_to_a_time_are_left_out(box: Box, span: TimeRange, expected: range) -> None:
    reader = box.reader()
    assert values(reader, reader.load_state(), after=0, before=1000, span=span) == list(expected)
    reader.close()


def test_what_is_pinned_stays_as_it_was(box: Box) -> None:
    reader = box.reader()
    with reader.pinned():
        state = reader.load_state()
        send(box, batch("s", [at(100)], x=[101]))
        box.commit_roll("s", (), mark=50)
        assert values(reader, state, after=0, before=1000) == list(range(1, 101))
        assert reader.mark(state.streams["s"]) == 0
    state = reader.load_state()
    assert (state.streams["s"].mark, state.streams["s"].last_seq) == (50, 101)
    assert values(reader, state, after=50, before=1000) == list(range(51, 102))
    assert values(reader, state, after=0, before=1000) == list(range(51, 102))
    reader.close()


def test_a_batch_that_reaches_over_the_mark_is_read_from_it_on(box: Box) -> None:
    box.commit_roll("s", (), mark=13)
    reader = box.reader()
    state = reader.load_state()
    assert values(reader, state, after=13, before=1000) == list(range(14, 101))
    assert [(first, last) for first, last, _ in reader.batch_spans(state.streams["s"])][:2] == [(11, 20), (21, 30)]
    reader.close()


def test_a_reader_cannot_write(box: Box) -> None:
    reader = box.reader()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM batch")
    reader.close()


def test_a_folder_without_a_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged, match="is this the appliance's data folder"):
        HotReader(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_later_version_is_not_read(box: Box) -> None:
    box.store.connection.execute("PRAGMA user_version=7")
    with pytest.raises(StoreTooNew, match="format 7"):
        box.reader()


def test_a_file_that_is_no_store_is_said(tmp_path: Path) -> None:
    (tmp_path / "hot.sqlite").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreDamaged, match="not a database"):
        HotReader(tmp_path)


def test_a_folder_that_cannot_be_written_to_is_read(box: Box, tmp_path: Path) -> None:
    box.close()
    shutil.copytree(box.folder, tmp_path / "copy")
    reader = HotReader(tmp_path / "copy", immutable=True)
    assert values(reader, reader.load_state(), after=0, before=1000) == list(range(1, 101))
    reader.close()
    assert sorted(p.name for p in (tmp_path / "copy").iterdir()) == ["appliance.lock", "hot.sqlite"]


def test_what_people_read_is_text(box: Box) -> None:
    reader = box.reader()
    assert reader.execute("SELECT name, records, hot, last_commit FROM streams_readable ORDER BY name") == [
        ("other", 10, 10, "2026-11-22T12:00:00Z"),
        ("s", 100, 100, "2026-11-22T12:00:00Z"),
    ]
    assert reader.meta("clean_shutdown") == "0"
    assert reader.meta("nothing") is None
    reader.close()
