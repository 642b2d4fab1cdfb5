from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.encoding import COLUMNAR, PACKED, ROWS_COLUMNAR_MIN, decode, encode
from appliance.hot.owned import owned
from appliance.records import Column, Kind, Schema
from tests.examples import examples
from tests.hot.rows import EVERY_KIND, as_rows, record_batch, row_of

TIMES = st.integers(-(2**53), 2**53)
SAMPLE: list[dict[str, Any]] = [
    {"ts": 0, "t": "a", "u": None, "f": 1.5, "i": -(2**63), "b": True, "s": ""},
    {"ts": -1, "t": None, "u": "x", "f": None, "i": None, "b": None, "s": None},
    {"ts": 2**60, "t": "a", "u": "y", "f": -0.0, "i": 2**63 - 1, "b": False, "s": "\x00é"},
]


def round_trip(schema: Schema, data: pa.RecordBatch) -> pa.RecordBatch:
    encoding, body = encode(schema, owned([data]))
    assert encoding == (COLUMNAR if data.num_rows >= ROWS_COLUMNAR_MIN else PACKED)
    found = decode(encoding, schema, bytes(memoryview(body)))
    assert found.schema.equals(schema.arrow)
    found.validate(full=True)
    return found


@pytest.mark.parametrize("rows", [0, 1, 2, 255, 256, 257, 5000])
def test_any_number_of_rows_comes_back_as_it_was(rows: int) -> None:
    data = record_batch(EVERY_KIND, [{**SAMPLE[i % 3], "ts": i, "s": f"text {i}"} for i in range(rows)])
    assert as_rows(round_trip(EVERY_KIND, data)) == as_rows(data)


@given(rows=st.lists(row_of(EVERY_KIND, TIMES), max_size=12), times=st.sampled_from([1, 40]))
@settings(max_examples=examples(150), deadline=None)
def test_any_values_come_back_as_they_were(rows: list[dict[str, Any]], times: int) -> None:
    assert as_rows(round_trip(EVERY_KIND, record_batch(EVERY_KIND, rows * times))) == rows * times


@pytest.mark.parametrize("count", [3, 400])
@pytest.mark.parametrize("kind", list(Kind))
def test_a_column_without_a_value_comes_back_so(kind: Kind, count: int) -> None:
    schema = Schema("s", (Column("x", kind),))
    rows = [{"ts": i, "x": None} for i in range(count)]
    assert as_rows(round_trip(schema, record_batch(schema, rows))) == rows


@pytest.mark.parametrize(("start", "count"), [(0, 1), (7, 13), (1000, 1), (1234, 300), (4999, 1)])
def test_a_slice_stores_its_own_rows_and_no_others(start: int, count: int) -> None:
    rows = [{"ts": i, "t": f"tag value number {i}", "s": f"text {i}", "i": i} for i in range(5000)]
    data = record_batch(EVERY_KIND, rows).slice(start, count)
    _, body = encode(EVERY_KIND, owned([data]))
    assert len(memoryview(body)) < 600 + 40 * count
    assert as_rows(round_trip(EVERY_KIND, data)) == as_rows(data)


def test_names_need_no_care() -> None:
    schema = Schema("s", (Column('quo"te', Kind.TAG), Column("", Kind.INT), Column("日本 ts", Kind.TEXT), Column("x\\", Kind.FLOAT)))
    rows = [{"ts": i, 'quo"te': "a", "": i, "日本 ts": "b", "x\\": 0.5} for i in range(300)]
    assert as_rows(round_trip(schema, record_batch(schema, rows))) == rows
    assert as_rows(round_trip(schema, record_batch(schema, rows[:2]))) == rows[:2]


def test_a_stream_without_columns_has_its_times() -> None:
    schema = Schema("s", ())
    assert as_rows(round_trip(schema, record_batch(schema, [{"ts": 5}]))) == [{"ts": 5}]


def test_owned_rows_hold_no_memory_of_others() -> None:
    rows = [{"ts": i, "t": f"tag {i}", "s": "text" * 50, "i": i} for i in range(5000)]
    data = record_batch(EVERY_KIND, rows)
    few = owned([data.slice(10, 2), data.slice(4000, 1)])
    assert few.get_total_buffer_size() < 2000
    assert [row["t"] for row in as_rows(few)] == ["tag 10", "tag 11", "tag 4000"]
    addresses = {b.address for c in data.columns for b in c.buffers() if b is not None} | {data.column("t").dictionary.buffers()[2].address}
    assert addresses.isdisjoint(b.address for c in few.columns for b in c.buffers() if b is not None)
    assert few.column("t").dictionary.buffers()[2].address not in addresses


def test_owned_rows_of_a_small_dictionary_copy_it() -> None:
    data = record_batch(EVERY_KIND, [{"ts": i, "t": "ab"[i % 2], "i": i} for i in range(100)])
    copied = owned([data])
    assert copied.column("t").dictionary.buffers()[2].address != data.column("t").dictionary.buffers()[2].address
    assert as_rows(copied) == as_rows(data)
