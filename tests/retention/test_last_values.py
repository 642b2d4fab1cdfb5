"""Last values after deletions: found anew, once; where nothing is left, nobody looks again; after retention they stay the last known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from appliance.box import Box
from appliance.door.book import StreamBook
from appliance.door.commit import restore_book
from appliance.door.lake_commits import commit_deletion, commit_latest, series_without_last
from appliance.hot.latest_table import GONE
from appliance.hot.series import LastValues
from appliance.hot.state import ALL_TAGS
from appliance.manifest import Deletion
from appliance.records import Column, Kind, Schema, TimeRange
from appliance.roll.deleting import PastRows, follow_deletions, last_records
from appliance.serving.history import History
from appliance.serving.source import pinned_reader
from tests.clock import FakeClock
from tests.door import batches
from tests.door.batches import at, batch, send


@dataclass
class Spied:
    """The records of a box, and how often they were read."""

    box: Box
    reads: list[TimeRange] = field(default_factory=list)

    def rows(self, stream: str, *, span: TimeRange) -> Iterator[PastRows]:
        self.reads.append(span)
        box = self.box
        past = History(root=box.folder, state=lambda: box.state, reader=lambda: pinned_reader(box.folder), damaged=lambda _s, _r: None)
        return past.rows(stream, span=span)


def delete(box: Box, *, since_us: int | None = None, **matching: str) -> None:
    box.writer.call(lambda c: commit_deletion(c, Deletion(0, "room", since_us, None, matching))).result(30)


def follow(box: Box) -> int:
    """How often records were read for it."""
    past, reader = Spied(box), box.reader()
    try:
        follow_deletions(box, past, reader, cancelled=lambda: False)
    finally:
        reader.close()
    return len(past.reads)


def latest(box: Box) -> dict[str, int]:
    return {r["device"]: r["x"] for r in box.last_values("room").to_pylist()}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = batches.open_box(tmp_path / "data", clock=FakeClock())
    send(made, batch("room", [at(n) for n in range(6)], tags={"device": ["a", "b"] * 3}, x=list(range(6))))
    yield made
    made.close()


def test_a_series_of_which_nothing_is_left_is_looked_for_once(box: Box) -> None:
    delete(box, device="a")
    assert (follow(box), latest(box)) == (1, {"b": 5})
    delete(box, device="nobody")
    assert follow(box) == 0
    delete(box, since_us=at(5), device="b")
    assert (follow(box), latest(box)) == (1, {"b": 3})


def test_one_that_has_got_records_since_is_looked_for_again(box: Box) -> None:
    delete(box, device="a")
    follow(box)
    send(box, batch("room", [at(20), at(10)], tags={"device": ["a", "a"]}, x=[20, 10]))
    delete(box, since_us=at(15), device="a")
    assert (follow(box), latest(box)) == (1, {"a": 10, "b": 5})


def test_a_late_record_before_the_search_is_no_reason_not_to_search(box: Box) -> None:
    delete(box, since_us=at(4), device="a")
    send(box, batch("room", [at(1)], tags={"device": ["a"]}, x=[10]))
    assert latest(box) == {"a": 10, "b": 5}, "as long as nobody has looked"
    assert (follow(box), latest(box)) == (1, {"a": 2, "b": 5})
    delete(box, device="nobody")
    assert follow(box) == 0, "it is not looked for again"


def test_what_was_deleted_between_the_reading_and_the_writing_is_no_last_value(box: Box) -> None:
    delete(box, since_us=at(4), device="a")
    missing = box.writer.call(partial(series_without_last, key="room")).result(30)
    found = last_records(box.state.streams["room"], Spied(box), missing, cancelled=lambda: False)
    delete(box, since_us=at(2), device="a")
    box.writer.call(partial(commit_latest, key="room", asked=missing, found=found, up_to_seq=6, done=[1])).result(30)
    assert latest(box) == {"b": 5}
    assert np.array_equal(box.writer.call(partial(series_without_last, key="room")).result(30), missing), "it is looked for again"
    assert (follow(box), latest(box)) == (1, {"a": 0, "b": 5})


@pytest.mark.parametrize("is_followed", [True, False])
def test_a_restart_knows_of_which_nothing_is_left_unless_a_deletion_was_not_followed(is_followed: bool) -> None:
    schema = Schema("room", (Column("device", Kind.TAG), Column("x", Kind.INT)))
    data = pa.RecordBatch.from_pylist([{"ts": at(n), "device": "ab"[n], "x": n} for n in range(2)], schema=schema.arrow)
    book = StreamBook(1, schema, {0: schema}, ALL_TAGS, "room", LastValues(schema, merge_fields=True))
    saved = (np.array([7, 9], np.uint64), np.array([GONE, 2], np.int64), data)
    restore_book(book, saved=saved, reach=np.array([at(0), at(1)], np.int64), is_followed=is_followed)
    assert book.empty.tolist() == ([7] if is_followed else [])
    assert book.last.rows()[0].tolist() == [9]
