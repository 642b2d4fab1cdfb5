from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot import series
from appliance.hot.series import LOWEST, LastValues, SeriesTable, fit, series_hashes
from appliance.records import Column, Kind, Schema
from tests.examples import examples
from tests.hot.rows import EVERY_KIND, as_rows, record_batch, row_of

TIMES = st.sampled_from([-5, 0, 1, 2, 3, 2**50])
NARROW = Schema("every", (Column("t", Kind.TAG), Column("f", Kind.INT)), 1)
"""What the stream had before it grew to ``EVERY_KIND``; ``f`` was still an integer."""


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row.get("t"), row.get("u"))


def oracle(rows: list[dict[str, Any]], *, merge: bool) -> dict[tuple[Any, ...], tuple[int, dict[str, Any]]]:
    """By series: the sequence and the record that are its last, found row by row."""
    last: dict[tuple[Any, ...], tuple[int, dict[str, Any]]] = {}
    for seq, row in enumerate(rows, 1):
        full = {name: row.get(name) for name in ("ts", "t", "u", "f", "i", "b", "s")}
        have = last.get(key(row))
        if have is None or row["ts"] > have[1]["ts"]:
            last[key(row)] = (seq, full)
        elif row["ts"] == have[1]["ts"]:
            merged = {name: have[1][name] if value is None else value for name, value in full.items()}
            last[key(row)] = (seq, merged if merge else full)
    return last


def check(last: LastValues, rows: list[dict[str, Any]], *, merge: bool) -> None:
    hashes, seqs, data = last.rows()
    assert np.all(hashes[1:] > hashes[:-1])
    found = {key(row): (int(seq), row) for seq, row in zip(seqs, as_rows(data), strict=True)}
    assert len(found) == len(hashes)
    assert found == oracle(rows, merge=merge)


@given(
    groups=st.lists(st.lists(row_of(EVERY_KIND, TIMES), min_size=1, max_size=6), min_size=1, max_size=25),
    merge=st.booleans(),
    looks=st.sets(st.integers(0, 24)),
)
@settings(max_examples=examples(120), deadline=None)
def test_the_last_record_of_each_series_is_that_of_a_plain_list(groups: list[list[dict[str, Any]]], merge: bool, looks: set[int]) -> None:
    last = LastValues(EVERY_KIND, merge_fields=merge)
    rows: list[dict[str, Any]] = []
    for i, group in enumerate(groups):
        data = record_batch(EVERY_KIND, group)
        last.add(EVERY_KIND, series_hashes(data, EVERY_KIND.tags), data, first_seq=len(rows) + 1)
        rows += group
        if i in looks:
            check(last, rows, merge=merge)
    check(last, rows, merge=merge)


@given(
    before=st.lists(row_of(NARROW, TIMES).map(lambda r: {**r, "f": None if r["f"] is None else r["f"] % 1000}), max_size=8),
    after=st.lists(row_of(EVERY_KIND, TIMES), min_size=1, max_size=8),
)
@settings(max_examples=examples(80), deadline=None)
def test_last_records_follow_a_schema_that_grows(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    last = LastValues(NARROW, merge_fields=True)
    if before:
        data = record_batch(NARROW, before)
        last.add(NARROW, series_hashes(data, NARROW.tags), data, first_seq=1)
    data = record_batch(EVERY_KIND, after)
    last.add(EVERY_KIND, series_hashes(data, EVERY_KIND.tags), data, first_seq=len(before) + 1)
    check(last, [*before, *after], merge=True)


def test_many_small_commits_keep_few_parts() -> None:
    last = LastValues(EVERY_KIND, merge_fields=True)
    rows = []
    for i in range(2000):
        rows.append({"ts": i // 3, "t": f"v{i % 10}", "i": i})
        data = record_batch(EVERY_KIND, rows[-1:])
        last.add(EVERY_KIND, series_hashes(data, EVERY_KIND.tags), data, first_seq=i + 1)
        assert len(last._pending) <= series._PENDING_PARTS_MAX + 1
        assert last._pending_rows <= series.PENDING_ROWS_MIN
    check(last, rows, merge=True)


def test_repeats_without_end_of_one_record_keep_few_rows() -> None:
    last = LastValues(EVERY_KIND, merge_fields=True)
    for i in range(30):
        data = record_batch(EVERY_KIND, [{"ts": 1, "t": "a", "i": i}] * 1000)
        last.add(EVERY_KIND, series_hashes(data, EVERY_KIND.tags), data, first_seq=1 + i * 1000)
        assert last._pending_rows <= series.PENDING_ROWS_MIN
    _, seqs, data = last.rows()
    assert (seqs.tolist(), as_rows(data)[0]["i"]) == ([30_000], 29)


def test_nothing_added_is_nothing_last() -> None:
    hashes, seqs, data = LastValues(EVERY_KIND, merge_fields=True).rows()
    assert (len(hashes), len(seqs), data.num_rows) == (0, 0, 0)
    assert data.schema.equals(EVERY_KIND.arrow)


def hash_one(tags: Mapping[str, str | None]) -> int:
    schema = Schema("s", tuple(Column(name, Kind.TAG) for name in tags))
    return int(series_hashes(record_batch(schema, [{"ts": 0, **tags}]), schema.tags)[0])


def test_a_series_is_its_tags_whatever_their_order_and_nulls() -> None:
    assert hash_one({"a": "1", "b": "2"}) == hash_one({"b": "2", "a": "1"}) == hash_one({"c": None, "a": "1", "b": "2"})
    others = [
        hash_one(tags) for tags in ({"a": "2", "b": "1"}, {"a": "1"}, {"a": "1", "b": ""}, {}, {"a": "1", "b": "2", "c": "3"}, {"ab": "12"})
    ]
    assert len({hash_one({"a": "1", "b": "2"}), *others}) == len(others) + 1


def test_hashes_do_not_depend_on_how_rows_come_together() -> None:
    rows = [{"ts": i, "t": f"v{i % 5}" if i % 3 else None, "u": "same"} for i in range(40)]
    data = record_batch(EVERY_KIND, rows)
    whole = series_hashes(data, EVERY_KIND.tags)
    alone = [int(series_hashes(record_batch(EVERY_KIND, [row]), EVERY_KIND.tags)[0]) for row in rows]
    sliced = [int(series_hashes(data.slice(i, 1), EVERY_KIND.tags)[0]) for i in range(40)]
    assert whole.tolist() == alone == sliced


def test_hashes_are_the_same_in_every_process() -> None:
    assert hash_one({"host": "a", "region": "é"}) == hash_one({"region": "é", "host": "a"}) == 16499859373519597847


def test_long_values_are_not_kept_for_their_hash() -> None:
    series._short_hash.cache_clear()
    hash_one({"a": "x" * 1_000_000})
    assert series._short_hash.cache_info().currsize == 0
    hash_one({"a": "x" * 100})
    assert series._short_hash.cache_info().currsize == 1


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(-100, 100)), max_size=20), max_size=10))
@settings(max_examples=examples(100), deadline=None)
def test_a_table_of_series_knows_how_far_each_has_come(groups: list[list[tuple[int, int]]]) -> None:
    table = SeriesTable.empty()
    reached: dict[int, int] = {}
    everyone = np.arange(12, dtype=np.uint64)
    for group in groups:
        table.advance(np.array([h for h, _ in group], np.uint64), np.array([t for _, t in group], np.int64))
        for h, t in group:
            reached[h] = max(t, reached.get(h, LOWEST))
        assert table.reached(everyone).tolist() == [reached.get(int(h), LOWEST) for h in everyone]
        assert table.unknown(everyone).tolist() == [int(h) not in reached for h in everyone]
        assert len(table) == len(reached)


def test_a_series_can_be_known_without_having_been_anywhere() -> None:
    table = SeriesTable.empty()
    table.advance(np.array([5], np.uint64), np.array([LOWEST], np.int64))
    assert len(table) == 1
    assert not table.unknown(np.array([5], np.uint64)).any()
    table.advance(np.array([5], np.uint64), np.array([-(2**40)], np.int64))
    assert table.reached(np.array([5], np.uint64)).tolist() == [-(2**40)]


def test_older_rows_fit_into_a_newer_schema() -> None:
    data = record_batch(NARROW, [{"ts": 1, "t": "a", "f": 2**53 + 1}])
    found = fit(data, EVERY_KIND)
    assert as_rows(found) == [{"ts": 1, "t": "a", "u": None, "f": float(2**53), "i": None, "b": None, "s": None}]
    assert fit(found, EVERY_KIND) is found


@pytest.mark.parametrize("count", [1, 600])
def test_rows_of_an_older_schema_wait_for_the_newer_one(count: int) -> None:
    last = LastValues(NARROW, merge_fields=False)
    data = record_batch(NARROW, [{"ts": i, "t": "a", "f": i} for i in range(count)])
    last.add(NARROW, series_hashes(data, NARROW.tags), data, first_seq=1)
    newer = record_batch(EVERY_KIND, [{"ts": -1, "t": "z", "f": 0.5}])
    last.add(EVERY_KIND, series_hashes(newer, EVERY_KIND.tags), newer, first_seq=count + 1)
    _, _, found = last.rows()
    assert isinstance(found, pa.RecordBatch)
    assert sorted((r["t"], r["f"]) for r in as_rows(found)) == [("a", float(count - 1)), ("z", 0.5)]
