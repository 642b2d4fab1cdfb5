"""A roll: every record in the segment of its day, once, whatever its time; all of it or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY, day_of
from appliance.cold.files import Publisher
from appliance.cold.segments import write_segment
from appliance.errors import RetryLater
from appliance.records import Column, Kind, Schema
from appliance.roll.plan import Reason, RollStep
from appliance.roll.roller import HotRows, Roller
from tests.cold.making import ALL_TAGS, BUSY, DAY, MIDNIGHT, READINGS, Lake, Row, by_seq, files_below, hot_table, read_rows, small_files
from tests.examples import examples

times = st.sampled_from([0, -1, -(US_PER_DAY), MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1, 7_258_118_400_000_000, -(2**62), 2**62])
rows_of = st.lists(
    st.fixed_dictionaries({"ts": times, "device": st.none() | st.sampled_from(["a", "b"]), "count": st.none() | st.integers(-9, 9)}),
    min_size=1,
    max_size=30,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=BUSY)
@given(rows=rows_of)
def test_each_record_lies_once_in_the_segment_of_its_day_whatever_its_time(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    result = lake.build(rows)
    assert (result.mark_from, result.mark_to, result.rows) == (0, len(rows), len(rows))
    assert sorted(s.day for s in result.segments) == sorted({day_of(r["ts"]) for r in rows})
    for segment in result.segments:
        held = read_rows(lake.root, [segment])
        assert {day_of(r["ts"]) for r in held} == {segment.day}
        assert [segment.first, segment.last] == [f(r["_seq"] for r in held) for f in (min, max)]
        assert [segment.ts_min, segment.ts_max] == [f(r["ts"] for r in held) for f in (min, max)]
    expected = [{**dict.fromkeys(READINGS.lake.names), **r, "_seq": i + 1} for i, r in enumerate(rows)]
    assert by_seq(read_rows(lake.root, result.segments)) == expected


def test_rows_of_a_segment_lie_by_tags_then_time_then_sequence(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    (segment,) = lake.roll([{"ts": MIDNIGHT + t, "device": d} for t, d in [(2, "b"), (1, None), (1, "b"), (5, "a"), (1, "b")]])
    assert [(r["device"], r["ts"] - MIDNIGHT, r["_seq"]) for r in read_rows(tmp_path, [segment])] == [
        (None, 1, 2),
        ("a", 5, 4),
        ("b", 1, 3),
        ("b", 1, 5),
        ("b", 2, 1),
    ]


def test_a_hundred_days_in_one_roll_are_a_hundred_segments(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    segments = lake.roll([{"ts": MIDNIGHT - (i % 100) * US_PER_DAY + i, "device": "a", "count": i} for i in range(1_000)])
    assert [s.day for s in segments] == [DAY - 99 + i for i in range(100)]
    assert {s.rows for s in segments} == {10}
    assert len(files_below(tmp_path)) == 100


def test_the_caller_may_give_fewer_rows_than_the_step_allows(tmp_path: Path) -> None:
    roller = Roller(Publisher(tmp_path, owner="roll"), node="n")
    hot = HotRows(11, hot_table([{"ts": MIDNIGHT}] * 4, READINGS), READINGS)
    result = roller.build(RollStep("readings", 10, 500, Reason.ROWS), folder="readings", identity=None, rows=lambda _s: hot)
    assert (result.mark_from, result.mark_to) == (10, 14)
    assert [(s.first, s.last) for s in result.segments] == [(11, 14)]


@pytest.mark.parametrize(("first", "count"), [(10, 3), (11, 0), (11, 600)])
def test_rows_below_or_beyond_the_step_are_a_broken_invariant(tmp_path: Path, first: int, count: int) -> None:
    hot = HotRows(first, hot_table([{"ts": MIDNIGHT}] * count, READINGS), READINGS)
    with pytest.raises(AssertionError):
        Roller(Publisher(tmp_path, owner="roll"), node="n").build(
            RollStep("readings", 10, 500, Reason.ROWS), folder="readings", identity=None, rows=lambda _s: hot
        )
    assert files_below(tmp_path) == []


def test_a_roll_that_fails_half_way_removes_the_days_already_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    rows = [{"ts": MIDNIGHT + day * US_PER_DAY} for day in range(5)]
    real, calls = write_segment, []

    def failing(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise RetryLater("no room")
        return real(*given, **named)

    monkeypatch.setattr("appliance.roll.roller.write_segment", failing)
    with pytest.raises(RetryLater):
        lake.build(rows)
    assert files_below(tmp_path) == []
    monkeypatch.undo()
    assert len(lake.roll(rows)) == 5, "and the same again works"


@pytest.mark.parametrize("bytes_max", [10, 3_000, 30_000])
def test_a_full_disk_says_later_and_takes_nothing_from_the_hot_rows(tmp_path: Path, bytes_max: int) -> None:
    lake = Lake(tmp_path)
    rows = [{"ts": MIDNIGHT + i, "value": (i * 0.1) ** 0.5, "note": f"{i * 7919 % 10_007:x}"} for i in range(20_000)]
    with small_files(bytes_max), pytest.raises(RetryLater, match="no room"):
        lake.build(rows)
    assert files_below(tmp_path) == []
    assert lake.roll(rows)[0].rows == 20_000


def test_a_result_that_can_t_be_committed_is_discarded(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    kept = lake.roll([{"ts": MIDNIGHT}])
    result = lake.build([{"ts": MIDNIGHT + 5}, {"ts": 0}])
    lake._roller.discard(result)
    assert files_below(tmp_path) == [kept[0].path]


@pytest.mark.parametrize("identity", [("note", "device", "ts"), ("ok", "value", "ts")])
def test_an_identity_of_other_columns_sets_the_order(tmp_path: Path, identity: tuple[str, ...]) -> None:
    lake = Lake(tmp_path, identity=identity)
    rows = [{"ts": MIDNIGHT + i % 3, "device": "ab"[i % 2], "note": "zyx"[i % 3], "ok": i % 2 == 0, "value": i % 4 / 2} for i in range(24)]
    (segment,) = lake.roll(rows)
    found = [tuple(r[c] for c in (*identity, "_seq")) for r in read_rows(tmp_path, [segment])]
    assert found == sorted(found)


def test_a_stream_without_tags_or_fields_rolls_too(tmp_path: Path) -> None:
    bare, tags = Schema("bare", ()), Schema("tags", (Column("a", Kind.TAG),))
    for number, schema in enumerate((bare, tags)):
        lake = Lake(tmp_path / str(number), schema, identity=(*schema.tags, "ts"))
        lake.root.mkdir()
        (segment,) = lake.roll([{"ts": MIDNIGHT + 1}, {"ts": MIDNIGHT}])
        assert [r["_seq"] for r in read_rows(lake.root, [segment])] == [2, 1]


def test_the_same_records_make_the_same_bytes(tmp_path: Path) -> None:
    rows = [{"ts": MIDNIGHT + i, "device": f"d{i % 5}", "value": i / 7, "note": f"n{i}"} for i in range(500)]
    hashes = set()
    for number in range(2):
        root = tmp_path / str(number)
        root.mkdir()
        hashes.add(Lake(root, identity=ALL_TAGS).roll(rows)[0].sha256)
    assert len(hashes) == 1
