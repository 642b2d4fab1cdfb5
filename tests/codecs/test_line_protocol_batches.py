from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from appliance.records import ARROW_OF, TAG_TYPE, TS_TYPE, Batch, Kind
from appliance.sources.codecs.line_protocol import Precision, parse
from tests.codecs.lp_lines import NOW_US

SIZES = (1, 60)
"""How often a body is repeated: read line by line, or by column."""


def batches(text: bytes) -> tuple[Batch, ...]:
    parsed = parse(text, precision=Precision.NS, now_us=NOW_US)
    assert parsed.rejects == ()
    return parsed.batches


def columns(batch: Batch) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in batch.data.schema}


def rows(batch: Batch, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(batch.data.column(name).to_pylist() for name in names), strict=True))


@pytest.mark.parametrize("times", SIZES)
def test_columns_are_the_time_then_tags_then_fields_in_the_types_of_the_appliance(times: int) -> None:
    (batch,) = batches(b'm,t=a,u=b f=1,i=2i,n=3u,b=t,s="x" 1\n' * times)
    assert batch.tags == ("t", "u")
    assert columns(batch) == {
        "ts": TS_TYPE,
        "t": TAG_TYPE,
        "u": TAG_TYPE,
        "f": ARROW_OF[Kind.FLOAT],
        "i": ARROW_OF[Kind.INT],
        "n": ARROW_OF[Kind.INT],
        "b": ARROW_OF[Kind.BOOL],
        "s": ARROW_OF[Kind.TEXT],
    }
    assert batch.rows == times


@pytest.mark.parametrize("times", SIZES)
def test_a_measurement_is_one_batch_whatever_shapes_its_lines_have_and_its_rows_keep_their_order(times: int) -> None:
    (batch,) = batches(b"m,t=a f=1 1000\nm,u=b g=2i 2000\nm f=3,t2=4 3000\nm,u=c,t=d g=5i,f=6 4000\n" * times)
    assert batch.tags == ("t", "u")
    assert (
        rows(batch, "t", "u", "f", "g", "t2")
        == [
            ("a", None, 1.0, None, None),
            (None, "b", None, 2, None),
            (None, None, 3.0, None, 4.0),
            ("d", "c", 6.0, 5, None),
        ]
        * times
    )
    assert batch.data.column("ts").cast(pa.int64()).to_pylist() == [1, 2, 3, 4] * times


@pytest.mark.parametrize("times", SIZES)
def test_the_later_of_two_lines_for_one_series_and_time_is_the_later_row(times: int) -> None:
    text = b"".join(b"m,t=a f=%d 5\nm,t=a f=%d,g=1 5\n" % (n, n + 1) for n in range(0, 2 * times, 2))
    (batch,) = batches(text)
    assert [f for (f,) in rows(batch, "f")] == list(map(float, range(2 * times)))


@pytest.mark.parametrize("times", SIZES)
def test_names_that_differ_only_in_case_are_one_and_the_first_spelling_stands(times: int) -> None:
    (batch,) = batches(b"Room,Sensor=a Temp=1 1\nroom,SENSOR=b TEMP=2 2\nROOM,sensor=c temp=3i 3\n" * times)
    assert batch.stream == "Room"
    assert rows(batch, "Sensor", "Temp") == [("a", 1.0), ("b", 2.0), ("c", 3.0)] * times


@pytest.mark.parametrize("times", SIZES)
def test_integers_beside_floats_become_floats(times: int) -> None:
    (batch,) = batches(b"m f=1i 1\nm f=2.5 2\n" * times)
    assert rows(batch, "f") == [(1.0,), (2.5,)] * times


@pytest.mark.parametrize("times", SIZES)
def test_where_a_column_changes_to_a_type_that_does_not_fit_a_new_batch_begins(times: int) -> None:
    found = batches((b"m f=1,g=1 1\n" + b"m g=2 2\n" + b'm f="x",g=3 3\n' + b"m g=4 4\n") * times)
    assert len(found) == 2 * times
    assert [columns(batch)["f"] for batch in found[:2]] == [ARROW_OF[Kind.FLOAT], ARROW_OF[Kind.TEXT]]
    assert [rows(batch, "f", "g") for batch in found[:2]] == [[(1.0, 1.0), (None, 2.0)], [("x", 3.0), (None, 4.0)]]
    assert [g for batch in found for (g,) in rows(batch, "g")] == [1.0, 2.0, 3.0, 4.0] * times


@pytest.mark.parametrize("times", SIZES)
def test_a_name_that_is_a_tag_here_and_a_field_there_never_shares_a_batch(times: int) -> None:
    found = batches(b"m,x=a f=1 1\nm x=1,f=2 2\n" * times)
    assert [batch.tags for batch in found] == [("x",), ()] * times
    assert [rows(batch, "x", "f") for batch in found[:2]] == [[("a", 1.0)], [(1.0, 2.0)]]


@pytest.mark.parametrize("times", SIZES)
def test_streams_come_in_the_order_of_their_first_lines(times: int) -> None:
    assert [batch.stream for batch in batches(b"b f=1\na f=1\nc f=1\na f=2\n" * times)] == ["b", "a", "c"]


@pytest.mark.parametrize("times", SIZES)
def test_each_row_knows_its_line_and_its_bytes(times: int) -> None:
    lines = [b"m,t=a f=1 1", b"n f=1i", b"", b"m,t=b f=2,g=3 2", b'm s="two', b'lines" 3', b"  m f=4 "]
    for ending in (b"\n", b"\r\n"):
        found: dict[int, bytes] = {}
        for batch in batches(ending.join(lines * times) + ending):
            assert batch.origin is not None
            found |= {batch.origin.line(row): batch.origin.raw(row) for row in range(batch.rows)}
        expected = {1: lines[0], 2: lines[1], 4: lines[3], 5: lines[4] + ending + lines[5], 7: lines[6]}
        assert found == {number + 7 * turn: raw for turn in range(times) for number, raw in expected.items()}


def test_bytes_of_a_row_read_alone_give_the_same_row() -> None:
    text = b'm,t=a\\ b f=1,s="x\ny" 1000\r\nm,t=b f=2,s="" 2000\r\n' * 50
    (batch,) = batches(text)
    assert batch.origin is not None
    for row in (0, 1, 98, 99):
        (alone,) = batches(batch.origin.raw(row))
        assert alone.data.to_pylist() == batch.data.slice(row, 1).to_pylist()


def test_no_column_of_a_batch_is_all_null() -> None:
    for batch in batches(b"m f=1,only_here=1 1\n" * 3 + b'm f="x" 2\n' * 40 + b"m f=3 3\n"):
        assert all(column.null_count < batch.rows for column in batch.data.columns)


def test_a_dictionary_holds_only_the_values_of_its_own_tag() -> None:
    (batch,) = batches(b"".join(b"m,a=%d,b=x f=1\n" % (n % 3) for n in range(200)))
    assert sorted(batch.data.column("a").dictionary.to_pylist()) == ["0", "1", "2"]
    assert batch.data.column("b").dictionary.to_pylist() == ["x"]
