"""Parquet: rows in pieces, the kinds of a stream, refusals as JSON."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from appliance.errors import RejectPayload
from appliance.sources.codecs import parquet as codec
from tests.codecs.reading import Read, read, target
from tests.codecs.test_csv import Y2026


def taken(table: pa.Table, *tags: str, start: int = 0, bytes_max: int = 1 << 30, damage: Any = None, **options: Any) -> Read:
    file = io.BytesIO()
    parquet.write_table(table, file, **options)
    data = bytearray(file.getvalue())
    if damage:
        damage(data)
    return read(codec.read_parquet(io.BytesIO(bytes(data)), target(*tags), start=start, bytes_max=bytes_max))


def test_each_type_becomes_a_kind_of_a_stream() -> None:
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    found = taken(
        pa.table(
            {
                "Time": pa.array([moment], pa.timestamp("ns", "UTC")),
                "device": pa.array(["x"]).dictionary_encode(),
                "small": pa.array([1], pa.int8()),
                "unsigned": pa.array([2], pa.uint64()),
                "half": pa.array([1.5], pa.float32()),
                "money": pa.array([Decimal("1.25")]),
                "word": pa.array(["w"], pa.large_string()),
                "ok": pa.array([True]),
                "day": pa.array([moment.date()]),
                "inner": pa.array([{"a": 1}]),
                "nothing": pa.nulls(1),
                "_seq": pa.array([7]),
            }
        ),
        "device",
    )
    assert found.rows == [
        {
            "ts": Y2026,
            "device": "x",
            "small": 1,
            "unsigned": 2,
            "half": 1.5,
            "money": 1.25,
            "word": "w",
            "ok": True,
            "day": "2026-01-01",
            "inner_a": 1,
        }
    ]
    assert found.kinds["device"] == "tag"


def test_a_time_column_of_any_name_is_found_by_its_type() -> None:
    assert taken(pa.table({"v": [1], "when": pa.array([Y2026], pa.timestamp("us"))})).rows == [{"ts": Y2026, "v": 1}]


def test_refused_rows_are_kept_as_json() -> None:
    found = taken(
        pa.table({"ts": [Y2026, Y2026 + 1, Y2026 + 2], "v": [1.5, float("nan"), 2.5], "n": pa.array([1, 2, 2**64 - 1], pa.uint64())})
    )
    assert found.values("v") == [1.5]
    assert found.bad_lines == [2, 3]
    assert json.loads(found.refused[1][2]) == {"ts": Y2026 + 2, "v": 2.5, "n": 2**64 - 1}


@pytest.mark.parametrize(
    ("column", "reason"), [(pa.array([[1]]), "list"), (pa.array([b"\xff"]), "binary"), (pa.array([{"a": {"b": 1}}]), "struct")]
)
def test_a_column_that_no_stream_can_hold_refuses_the_file(column: pa.Array, reason: str) -> None:
    with pytest.raises(RejectPayload, match=reason):
        taken(pa.table({"c": column}))


def test_every_position_is_a_place_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "ROWS_MAX", 64)
    table = pa.table({"ts": range(Y2026, Y2026 + 1_000), "n": range(1_000)})
    whole = taken(table, row_group_size=300)
    assert whole.values("n") == list(range(1_000))
    assert whole.lasts == [False] * (len(whole.ends) - 1) + [True]
    for position in whole.ends[:-1]:
        assert taken(table, row_group_size=300, start=position).values("n") == list(range(position, 1_000))


def test_what_is_no_parquet_file_is_refused() -> None:
    for data in (b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1"):
        with pytest.raises(RejectPayload, match="no readable Parquet"):
            list(codec.read_parquet(io.BytesIO(data), target(), bytes_max=1))


def test_a_damaged_row_group_ends_the_file_behind_the_good_ones() -> None:
    def spoil(data: bytearray) -> None:
        middle = len(data) // 2
        data[middle : middle + 200] = bytes(200)

    found = taken(
        pa.table({"n": [str(n * 7919 % 10_007) for n in range(10_000)]}), row_group_size=1_000, use_dictionary=False, damage=spoil
    )
    assert "damaged in row group" in found.damage
    assert 0 < len(found.rows) < 10_000
    assert found.values("n") == [str(n * 7919 % 10_007) for n in range(len(found.rows))]


def test_more_rows_than_a_file_may_give_end_it() -> None:
    found = taken(pa.table({"n": pa.array([1] * 1_000_000, pa.int64())}), bytes_max=1 << 20)
    assert "file_max" in found.damage
    assert 0 < len(found.rows) <= 1 << 17
