"""What a full pass learns on its way says the same as looking at all records for it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY
from appliance.hot.state import ALL_TAGS, StreamState
from appliance.manifest import Segment, days_of
from appliance.reconcile import identities
from appliance.reconcile.identities import Gathered, Identities
from appliance.records import TAG_TYPE, TS_TYPE, Column, Kind, Schema
from appliance.spans import FIRST, LAST
from appliance.tally import group_hashes, row_hashes, tally_by_day
from tests.examples import examples

Row = tuple[int, int, str | None, str | None]
"""Day, time within it, two tags."""
TAG = st.sampled_from(["a", "b", "ab", "", None])
ROW = st.tuples(st.integers(0, 3), st.integers(0, 2), TAG, TAG)
FILES = st.lists(st.lists(ROW, min_size=1, max_size=8), min_size=1, max_size=5)
SCHEMA = Schema("s", (Column("x", Kind.TAG), Column("y", Kind.TAG), Column("v", Kind.FLOAT)))


def batch_of(rows: list[Row], first: int) -> pa.RecordBatch:
    columns = {
        "ts": pa.array([time_of(row) for row in rows], TS_TYPE),
        "x": pa.array([row[2] for row in rows], pa.string()).cast(TAG_TYPE),
        "y": pa.array([row[3] for row in rows], pa.string()).cast(TAG_TYPE),
        "v": pa.array([float(first + i) for i in range(len(rows))], pa.float64()),
        "_seq": pa.array(range(first, first + len(rows)), pa.int64()),
    }
    return pa.record_batch(columns)


def time_of(row: Row) -> int:
    return row[0] * US_PER_DAY + row[1]


def segment_of(number: int, rows: list[Row]) -> Segment:
    times = [time_of(row) for row in rows]
    day, days = days_of(min(times), max(times))
    return Segment(
        id=number, stream="s", day=day, days=days, path=f"{number}", first=1, last=1, rows=len(rows), ts_min=min(times),
        ts_max=max(times), bytes=1, sha256="", schema_version=1, level=0,
    )  # fmt: skip


def stream_of(segments: tuple[Segment, ...], identity: tuple[str, ...]) -> StreamState:
    return StreamState(id=1, schema=SCHEMA, schemas={1: SCHEMA}, identity=identity, folder="s", mark=9, last_seq=9, segments=segments)


def gathered(files: list[list[Row]], order: list[int], cut: int) -> Identities:
    """All files read in this order, each in batches of ``cut`` rows."""
    segments = tuple(segment_of(i, rows) for i, rows in enumerate(files))
    found = Identities(stream_of(segments, ALL_TAGS))
    for number in order:
        wanted = found.wanted(segments[number])
        of_file = Gathered(wanted)
        for at in range(0, len(files[number]), cut):
            _, times, groups = group_hashes(batch_of(files[number][at : at + cut], at), wanted.groups)
            of_file.take(times, *groups)
        found.take(segments[number], of_file.done())
    return found


@settings(deadline=None, max_examples=examples(150))
@given(FILES, st.data())
def test_days_are_clear_and_last_as_counting_all_records_says(files: list[list[Row]], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(files))))
    found = gathered(files, list(order), data.draw(st.integers(1, 4)))
    every = [row for rows in files for row in rows]
    counts = Counter((time_of(row), row[2], row[3]) for row in every)
    twice = {time // US_PER_DAY for (time, _, _), n in counts.items() if n > 1}
    days = {row[0] for row in every}
    assert {day for day in days if found.is_clear(day)} == days - twice
    last: dict[tuple[str | None, str | None], int] = {}
    for row in every:
        last[row[2], row[3]] = max(last.get((row[2], row[3]), -1), time_of(row))
    assert found.last_days(FIRST, LAST) == frozenset(time // US_PER_DAY for time in last.values())


@settings(deadline=None, max_examples=examples(50))
@given(FILES, st.data())
def test_what_was_not_read_is_not_known(files: list[list[Row]], data: st.DataObject) -> None:
    left = data.draw(st.integers(0, len(files) - 1))
    found = gathered(files, [i for i in range(len(files)) if i != left], 3)
    low, high = (f([row[0] for row in files[left]]) for f in (min, max))
    assert not any(found.is_clear(day) for day in range(low, high + 1))
    assert found.last_days(FIRST, LAST) is None


def test_days_that_would_take_too_much_memory_are_looked_at_by_whoever_asks(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    files: list[list[Row]] = [[(0, 0, "a", None)], [(0, 1, "a", None)], [(1, 0, "a", None)]]
    assert gathered(files, [0, 1, 2], 3).is_clear(0)
    monkeypatch.setattr(identities, "HELD_MAX", 0)
    found = gathered(files, [0, 1, 2], 3)
    assert not found.is_clear(0)
    assert found.is_clear(1)


def test_the_hashes_of_groups_come_with_those_of_records() -> None:
    data = batch_of([(0, i % 2, "a", None if i % 3 else "b") for i in range(9)], 5)
    hashes, times, (whole, series) = group_hashes(data, (("x", "y", "ts"), ("x", "y")))
    assert hashes.tolist() == row_hashes(data).tolist()
    assert sum(t.rows for t in tally_by_day(data).values()) == len(times) == 9
    assert len(np.unique(whole)) == 4
    assert len(np.unique(series)) == 2
