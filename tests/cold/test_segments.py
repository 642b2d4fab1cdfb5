"""A segment: any reader sees the same rows, it means something alone, and nothing wrong with it stays unseen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import US_PER_DAY
from appliance.cold import segments
from appliance.cold.digest import RowDigest
from appliance.cold.segments import check_segment, day_folder, generation_of, read_facts, segment_name
from appliance.errors import StoreDamaged
from appliance.records import Column, Kind, Schema
from tests.cold.making import ALL_TAGS, BUSY, DAY, MIDNIGHT, READINGS, Lake, Row, by_seq, files_below, read_rows
from tests.examples import examples

ODD = Schema(
    "odd",
    (
        Column('a "quoted" tag', Kind.TAG),
        Column("plant/line.1", Kind.TAG),
        Column("select", Kind.FLOAT),
        Column("date", Kind.INT),
        Column("..", Kind.BOOL),
        Column("größe 🌡", Kind.TEXT),
    ),
)


def some_rows(count: int = 500) -> list[Row]:
    return [
        {
            "ts": MIDNIGHT + i * 1_000_000,
            "device": f"d{i % 7}" if i % 11 else None,
            "value": round(math.sin(i), 2) if i % 5 else None,
            "count": i * i if i % 3 else None,
            "ok": i % 2 == 0 if i % 13 else None,
            "note": f"line {i}\nof text" if i % 4 else None,
        }
        for i in range(count)
    ]


def test_what_was_rolled_reads_back_the_same(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    (segment,) = lake.roll(some_rows())
    assert by_seq(read_rows(tmp_path, [segment])) == lake.expected()
    assert (segment.first, segment.last, segment.rows) == (1, 500, 500)
    assert (segment.ts_min, segment.ts_max) == (MIDNIGHT, MIDNIGHT + 499_000_000)
    assert segment.bytes == (tmp_path / segment.path).stat().st_size
    assert check_segment(tmp_path, segment, deep=True) is None


def test_duckdb_polars_and_pandas_read_what_pyarrow_reads(tmp_path: Path) -> None:
    import pandas as pd
    import polars as pl

    lake = Lake(tmp_path, ODD, identity=None)
    row = {'a "quoted" tag': "x", "plant/line.1": "y'z", "select": 0.1, "date": 7, "..": True, "größe 🌡": "a\x1b[31m\x00b"}
    far = [{**row, "ts": ts} for ts in (-1, 0, MIDNIGHT, 7_258_118_400_000_000)]
    lake.roll([*({**row, "ts": MIDNIGHT + i, "date": i, "select": i / 3} for i in range(20_000)), *({"ts": f["ts"]} for f in far), *far])
    glob = str(tmp_path / "lake/**/*.parquet")
    ours = by_seq(lake.expected())
    query = f"SELECT * FROM read_parquet('{glob}', hive_partitioning = false) ORDER BY _seq"
    relation = duckdb.connect().sql(query)
    assert relation is not None
    ducks = relation.to_arrow_table()
    bears = pl.scan_parquet(glob, hive_partitioning=False).collect().sort("_seq").to_arrow()
    pandas = pa.Table.from_pandas(
        pd.concat(pd.read_parquet(p) for p in tmp_path.rglob("*.parquet")).sort_values("_seq"), preserve_index=False
    )
    tables: list[Any] = [ducks, bears, pandas]
    for found in tables:
        assert found.column_names == ODD.lake.names
        plain = found.cast(ODD.lake)
        assert plain.set_column(0, "ts", plain.column("ts").cast(pa.int64())).to_pylist() == ours


def test_a_segment_means_something_alone(tmp_path: Path) -> None:
    (segment,) = Lake(tmp_path).roll(some_rows())
    facts = read_facts(tmp_path / segment.path)
    assert facts.schema == READINGS
    assert (facts.stream, facts.node, facts.first, facts.last, facts.rows) == ("readings", "box-1", 1, 500, 500)
    assert facts.sorted_by == ALL_TAGS
    group = pq.ParquetFile(tmp_path / segment.path).metadata.row_group(0)
    assert [c.column_index for c in group.sorting_columns] == [1, 2, 0]


def test_statistics_name_the_few_series_of_each_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "GROUP_ROWS", 100)
    monkeypatch.setattr("appliance.roll.roller.GROUP_ROWS", 100)
    (segment,) = Lake(tmp_path).roll([{"ts": MIDNIGHT + i, "device": f"d{i % 4}", "count": i} for i in range(400)])
    metadata = pq.ParquetFile(tmp_path / segment.path).metadata
    spans = [(g.column(1).statistics.min, g.column(1).statistics.max) for g in map(metadata.row_group, range(metadata.num_row_groups))]
    assert spans == [("d0", "d0"), ("d1", "d1"), ("d2", "d2"), ("d3", "d3")]


def test_names_sort_by_sequence_and_differ_by_generation() -> None:
    names = [segment_name(first=f, last=f + 5) for f in (1, 9, 10, 99, 100_000, 2**62)]
    assert names == sorted(names)
    first = segment_name(first=1, last=9)
    later = segment_name(first=1, last=9, generation=3)
    assert (generation_of(first), generation_of(later)) == (0, 3)
    assert first != later


@pytest.mark.parametrize(
    ("day", "name"), [(0, "1970-01-01"), (-1, "1969-12-31"), (84_006, "2200-01-01"), (2_932_896, "9999-12-31"), (2_932_897, "2932897d")]
)
def test_a_day_beyond_the_calendar_of_most_readers_still_has_a_folder(day: int, name: str) -> None:
    assert day_folder(day) == name


def test_any_single_flipped_byte_is_seen_by_a_deep_check(tmp_path: Path) -> None:
    (segment,) = Lake(tmp_path).roll(some_rows())
    path = tmp_path / segment.path
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 97)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "SHA-256" in (check_segment(tmp_path, segment, deep=True) or "")
        assert check_segment(tmp_path, segment, deep=False) is None


@pytest.mark.parametrize("deep", [False, True])
def test_a_missing_truncated_or_replaced_file_is_told_by_any_check(tmp_path: Path, deep: bool) -> None:
    (segment,) = Lake(tmp_path).roll(some_rows())
    path = tmp_path / segment.path
    path.write_bytes(path.read_bytes()[:-1])
    assert check_segment(tmp_path, segment, deep=deep) == f"has {segment.bytes - 1} bytes instead of {segment.bytes}"
    path.unlink()
    assert check_segment(tmp_path, segment, deep=deep) == "is missing"
    path.mkdir()
    assert check_segment(tmp_path, segment, deep=deep) == "is not a regular file"
    path.rmdir()
    path.symlink_to("/dev/zero")
    assert "symbolic link" in (check_segment(tmp_path, segment, deep=deep) or "")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 400 + b"PAR1", b"ts,value\n1,2\n" * 50])
def test_a_file_that_is_no_segment_is_said_to_be_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(StoreDamaged, match="can't be read as a segment"):
        read_facts(tmp_path / "x.parquet")


def test_a_parquet_file_of_somebody_else_is_no_segment(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ts": [1]}), tmp_path / "x.parquet")
    with pytest.raises(StoreDamaged, match="can't be read as a segment"):
        read_facts(tmp_path / "x.parquet")


def test_a_file_that_reads_back_otherwise_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = segments.read_segment

    def reading_wrong(path: Path, **how: Any) -> Any:
        for batch in real(path, **how):
            yield batch.set_column(batch.schema.get_field_index("count"), "count", pa.array([1] * batch.num_rows))

    monkeypatch.setattr(segments, "read_segment", reading_wrong)
    with pytest.raises(StoreDamaged, match="column 'count' differs"):
        Lake(tmp_path).roll(some_rows())
    assert files_below(tmp_path) == []


texts = st.none() | st.sampled_from(["", "a", "b", "ß", "x" * 300]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
records = st.fixed_dictionaries(
    {
        "ts": st.integers(0, US_PER_DAY - 1).map(lambda t: MIDNIGHT + t),
        "device": texts,
        "room": texts,
        "value": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "ok": st.none() | st.booleans(),
        "note": texts,
    }
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=BUSY)
@given(rows=st.lists(records, min_size=1, max_size=60))
def test_any_records_read_back_the_same(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    root = tmp_path_factory.mktemp("lake")
    lake = Lake(root)
    (segment,) = lake.roll(rows)
    assert by_seq(read_rows(root, [segment])) == lake.expected()
    assert segment.day == DAY


@settings(max_examples=examples(60), deadline=None, suppress_health_check=BUSY)
@given(rows=st.lists(records, min_size=1, max_size=40), cuts=st.lists(st.integers(0, 40), max_size=5), place=st.integers(0, 39))
def test_the_digest_sees_each_change_and_no_cut(rows: list[dict[str, Any]], cuts: list[int], place: int) -> None:
    def digest(records: list[dict[str, Any]], at: list[int]) -> RowDigest:
        found = RowDigest()
        table = pa.table([pa.array([r.get(f.name) for r in records], f.type) for f in READINGS.lake], schema=READINGS.lake)
        table = table.set_column(1, "device", table.column("device").dictionary_encode())
        for start, stop in zip([0, *at], [*at, len(records)], strict=True):
            found.add(table.slice(start, stop - start))
        return found

    rows = [{**r, "_seq": i} for i, r in enumerate(rows)]
    whole = digest(rows, [])
    assert whole.differences(digest(rows, sorted(min(c, len(rows)) for c in cuts))) == []
    row = rows[place % len(rows)]
    for name in ("device", "note"):
        changed = [{**r, name: "" if r[name] is None else None} if r is row else r for r in rows]
        assert whole.differences(digest(changed, [])) == [f"column {name!r} differs"]


def test_a_segment_knows_how_much_memory_its_rows_take(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    (segment,) = lake.roll([{"ts": MIDNIGHT + i, "device": "a", "note": "x" * 10_000} for i in range(300)])
    assert segment.bytes < 20_000
    facts = read_facts(tmp_path / segment.path)
    assert 3_000_000 < facts.memory_bytes < 4_000_000
    assert 25 <= facts.rows_within(300_000) <= 30
    assert replace(facts, rows=1, memory_bytes=10**9).rows_within(1) == 1
