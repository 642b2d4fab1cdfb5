from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from appliance.config import LimitOptions
from appliance.door.align import TS_MAX_US, TS_MIN_US, Aligned, align
from appliance.records import TAG_TYPE, Batch, Column, Kind, Schema
from tests.door.batches import at, batch

LIMITS = LimitOptions()
VALUES: dict[Kind, pa.Array] = {
    Kind.TAG: pa.array(["a"]).dictionary_encode().cast(TAG_TYPE),
    Kind.FLOAT: pa.array([1.5]),
    Kind.INT: pa.array([7], pa.int64()),
    Kind.BOOL: pa.array([True]),
    Kind.TEXT: pa.array(["t"]),
}
NEW: dict[Kind, Any] = {Kind.TAG: "a", Kind.FLOAT: 1.5, Kind.INT: 7, Kind.BOOL: True, Kind.TEXT: "t"}
CLASH = object()
MEETINGS: dict[tuple[Kind, Kind], Any] = {
    # (what comes, what the stream has): the value that is kept
    (Kind.TAG, Kind.TAG): "a",
    (Kind.TAG, Kind.FLOAT): CLASH,
    (Kind.TAG, Kind.INT): CLASH,
    (Kind.TAG, Kind.BOOL): CLASH,
    (Kind.TAG, Kind.TEXT): "a",
    (Kind.FLOAT, Kind.TAG): "1.5",
    (Kind.FLOAT, Kind.FLOAT): 1.5,
    (Kind.FLOAT, Kind.INT): 1.5,
    (Kind.FLOAT, Kind.BOOL): CLASH,
    (Kind.FLOAT, Kind.TEXT): CLASH,
    (Kind.INT, Kind.TAG): "7",
    (Kind.INT, Kind.FLOAT): 7.0,
    (Kind.INT, Kind.INT): 7,
    (Kind.INT, Kind.BOOL): CLASH,
    (Kind.INT, Kind.TEXT): CLASH,
    (Kind.BOOL, Kind.TAG): "true",
    (Kind.BOOL, Kind.FLOAT): CLASH,
    (Kind.BOOL, Kind.INT): CLASH,
    (Kind.BOOL, Kind.BOOL): True,
    (Kind.BOOL, Kind.TEXT): CLASH,
    (Kind.TEXT, Kind.TAG): "t",
    (Kind.TEXT, Kind.FLOAT): CLASH,
    (Kind.TEXT, Kind.INT): CLASH,
    (Kind.TEXT, Kind.BOOL): CLASH,
    (Kind.TEXT, Kind.TEXT): "t",
}


def schema(*columns: tuple[str, Kind], version: int = 3) -> Schema:
    return Schema("s", tuple(Column(name, kind) for name, kind in columns), version)


def check(found: Aligned, rows: list[dict[str, Any]], *, refused: dict[int, str] | None = None, kept: list[int] | None = None) -> None:
    assert found.data.schema.equals(found.schema.arrow)
    assert [{k: v for k, v in row.items() if k != "ts"} for row in found.data.to_pylist()] == rows
    assert {r.line - 1: r.reason for r in found.rejects} == (refused or {})
    assert (None if found.kept is None else found.kept.tolist()) == kept


@pytest.mark.parametrize(("given", "have"), MEETINGS, ids=lambda k: str(k))
def test_what_comes_meets_what_the_stream_has(given: Kind, have: Kind) -> None:
    known = schema(("x", have), ("other", Kind.INT))
    data = pa.RecordBatch.from_arrays([pa.array([at(0)], pa.timestamp("us")), VALUES[given]], names=["ts", "x"])
    found = align(Batch("s", ("x",) if given is Kind.TAG else (), data), known, LIMITS)
    expected = MEETINGS[given, have]
    if expected is CLASH:
        assert found.data.num_rows == 0
        assert "type clash" in found.rejects[0].reason
        assert found.schema == known
    else:
        widened = (given, have) == (Kind.FLOAT, Kind.INT)
        assert found.data.column("x").to_pylist() == [expected]
        assert found.schema.version == (4 if widened else 3)
        assert found.schema.columns[0].kind is (Kind.FLOAT if widened else have)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_new_stream_takes_each_kind_as_it_comes(kind: Kind) -> None:
    data = pa.RecordBatch.from_arrays([pa.array([at(0)], pa.timestamp("us")), VALUES[kind], pa.array([1])], names=["ts", "x", "y"])
    found = align(Batch("s", ("x",) if kind is Kind.TAG else (), data), None, LIMITS)
    assert found.schema == schema(("x", kind), ("y", Kind.INT), version=1)
    assert found.data.column("x").to_pylist() == [NEW[kind]]


def test_names_that_differ_only_in_case_are_the_known_ones() -> None:
    found = align(batch("s", [at(0)], tags={"HOST": ["a"]}, Load=[1.0]), schema(("host", Kind.TAG), ("load", Kind.FLOAT)), LIMITS)
    check(found, [{"host": "a", "load": 1.0}])
    assert found.schema.version == 3


def test_two_columns_that_differ_only_in_case_are_one_where_a_row_has_but_one_value() -> None:
    found = align(batch("s", [at(0), at(1), at(2)], Load=[1.0, None, 3.0], load=[None, 2.0, 4.0]), None, LIMITS)
    check(found, [{"Load": 1.0}, {"Load": 2.0}], refused={2: "'Load' is given twice, in upper and lower case"}, kept=[0, 1])


def test_tags_given_in_two_cases_are_one_tag() -> None:
    found = align(batch("s", [at(0), at(1)], tags={"Host": ["a", None], "host": [None, "b"]}, x=[1, 2]), None, LIMITS)
    check(found, [{"Host": "a", "x": 1}, {"Host": "b", "x": 2}])


def test_new_columns_come_behind_the_known_ones_of_their_sort() -> None:
    known = schema(("host", Kind.TAG), ("load", Kind.FLOAT))
    found = align(batch("s", [at(0)], tags={"host": ["a"], "rack": ["r"]}, load=[1.0], fans=[3]), known, LIMITS)
    assert [c.name for c in found.schema.columns] == ["host", "rack", "load", "fans"]
    assert found.schema.version == 4
    check(found, [{"host": "a", "rack": "r", "load": 1.0, "fans": 3}])


def test_columns_that_a_batch_lacks_are_null() -> None:
    known = schema(("host", Kind.TAG), ("load", Kind.FLOAT), ("on", Kind.BOOL), ("note", Kind.TEXT), ("n", Kind.INT))
    found = align(batch("s", [at(0)], load=[1.0]), known, LIMITS)
    check(found, [{"host": None, "load": 1.0, "on": None, "note": None, "n": None}])
    assert found.schema is known or found.schema == known


def test_columns_without_a_value_are_as_if_they_were_not_there() -> None:
    data = batch("s", [at(0)], x=[1], empty=pa.nulls(1), text=pa.nulls(1, pa.string()), ts_=pa.nulls(1, pa.int64()))
    found = align(data, None, LIMITS)
    assert [c.name for c in found.schema.columns] == ["x"]


def test_a_column_without_a_value_neither_widens_nor_clashes() -> None:
    known = schema(("n", Kind.INT), ("b", Kind.BOOL))
    found = align(batch("s", [at(0)], n=pa.nulls(1, pa.float64()), b=pa.nulls(1, pa.string())), known, LIMITS)
    check(found, [{"n": None, "b": None}])
    assert found.schema == known


def test_a_clash_refuses_only_the_records_that_have_such_a_value() -> None:
    known = schema(("x", Kind.FLOAT), ("y", Kind.INT))
    found = align(batch("s", [at(0), at(1), at(2)], x=["bad", None, "worse"], y=[1, 2, 3]), known, LIMITS)
    clash = "type clash: 'x' is text here and float in stream 's'"
    check(found, [{"x": None, "y": 2}], refused={0: clash, 2: clash}, kept=[1])


def test_a_dead_letter_holds_the_original_bytes_and_the_line() -> None:
    found = align(batch("s", [at(0), at(1)], x=[1.0, math.nan]), None, LIMITS)
    (reject,) = found.rejects
    assert (reject.raw, reject.line, reject.stream, reject.reason) == (b"raw 1", 2, "s", "'x' is not a finite number")


def test_without_an_origin_a_dead_letter_holds_the_values() -> None:
    found = align(replace(batch("s", [at(0)], x=[math.inf], note=["caf\u00e9"]), origin=None), None, LIMITS)
    assert "café" in found.rejects[0].raw.decode()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_refuses_its_record_alone(bad: float) -> None:
    for known in (None, schema(("x", Kind.FLOAT))):
        found = align(batch("s", [at(0), at(1), at(2)], x=[1.0, bad, None]), known, LIMITS)
        check(found, [{"x": 1.0}, {"x": None}], refused={1: "'x' is not a finite number"}, kept=[0, 2])


def test_what_is_refused_leaves_no_column_and_widens_none() -> None:
    known = schema(("n", Kind.INT))
    found = align(batch("s", [at(0), at(1)], n=pa.array([math.nan, None]), new=[None, math.inf], extra=[None, 1.0]), known, LIMITS)
    assert found.data.num_rows == 0
    assert found.schema == known
    found = align(
        batch("s", [at(0), at(1), None], n=pa.array([math.nan, None, None]), new=[None, 1.0, 1.0], extra=[1.0, None, 1.0]), known, LIMITS
    )
    assert [(c.name, c.kind) for c in found.schema.columns] == [("n", Kind.INT), ("new", Kind.FLOAT)]
    check(found, [{"n": None, "new": 1.0}], refused={0: "'n' is not a finite number", 2: "the time is missing"}, kept=[1])


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        (TS_MIN_US, None),
        (TS_MAX_US - 1, None),
        (0, None),
        (-1, None),
        (TS_MIN_US - 1, "the time lies outside the years 1 to 9999"),
        (TS_MAX_US, "the time lies outside the years 1 to 9999"),
        (2**63 - 1, "the time lies outside the years 1 to 9999"),
        (-(2**63) + 1, "the time lies outside the years 1 to 9999"),
        (None, "the time is missing"),
    ],
)
def test_times_have_limits(ts: int | None, reason: str | None) -> None:
    for known in (None, schema(("x", Kind.INT))):
        found = align(batch("s", [at(0), ts], x=[1, 2]), known, LIMITS)
        assert [r.reason for r in found.rejects] == ([] if reason is None else [reason])
        assert found.data.num_rows == (2 if reason is None else 1)


def test_a_text_has_a_limit_in_bytes() -> None:
    limits = LimitOptions(value_bytes_max=4)
    reason = "'x' is longer than 4 bytes, the limit [limits] value_bytes_max"
    for known in (None, schema(("host", Kind.TAG), ("x", Kind.TEXT))):
        found = align(batch("s", [at(0), at(1), at(2)], tags={"host": ["h"] * 3}, x=["four", "éé!", None]), known, limits)
        check(found, [{"host": "h", "x": "four"}, {"host": "h", "x": None}], refused={1: reason}, kept=[0, 2])


def test_a_tag_has_the_limit_of_a_text() -> None:
    found = align(batch("s", [at(0), at(1)], tags={"x": ["12345", "1234"]}, n=[1, 2]), None, LimitOptions(value_bytes_max=4))
    check(found, [{"x": "1234", "n": 2}], refused={0: "'x' is longer than 4 bytes, the limit [limits] value_bytes_max"}, kept=[1])


def test_a_long_value_of_other_rows_in_the_same_dictionary_harms_nobody() -> None:
    whole = batch("s", [at(0), at(1)], tags={"x": ["1" * 9, "2"]}, n=[1, 2])
    part = replace(whole, data=whole.data.slice(1))
    check(align(part, None, LimitOptions(value_bytes_max=4)), [{"x": "2", "n": 2}])


@pytest.mark.parametrize("name", ["_seq", "TS", "_SEQ"])
def test_the_appliances_own_names_are_refused(name: str) -> None:
    fields: dict[str, Any] = {"x": [1, 2], name: [1, None]}
    found = align(batch("s", [at(0), at(1)], **fields), None, LIMITS)
    check(found, [{"x": 2}], refused={0: f"field name {name!r} is the appliance's own"}, kept=[1])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "field has an empty name"),
        ("a\x00b", "field name 'a\\x00b' holds control characters"),
        ("\x7f", "field name '\\x7f' holds control characters"),
        ("x" * 1025, "field name is longer than 1024 bytes"),
        ("é" * 513, "field name is longer than 1024 bytes"),
    ],
)
def test_names_that_no_column_can_have_are_refused(name: str, reason: str) -> None:
    fields: dict[str, Any] = {"x": [1, 2], name: [1, None]}
    check(align(batch("s", [at(0), at(1)], **fields), None, LIMITS), [{"x": 2}], refused={0: reason}, kept=[1])


@pytest.mark.parametrize("name", ['"quoted"', "select", "with space", "..", "a/b", "naïve", "x" * 1024, "日本"])
def test_any_other_name_is_taken(name: str) -> None:
    fields: dict[str, Any] = {name: [1]}
    check(align(batch("s", [at(0)], **fields), None, LIMITS), [{name: 1}])


def test_a_stream_has_a_limit_of_columns() -> None:
    limits = LimitOptions(columns_max=2)
    found = align(batch("s", [at(0), at(1)], a=[1, 1], b=[1, 1], c=[None, 1]), None, limits)
    check(found, [{"a": 1, "b": 1}], refused={1: "stream 's' has 2 columns already, the limit [limits] columns_max"}, kept=[0])


def test_the_last_free_column_is_not_taken_by_a_refused_record() -> None:
    found = align(batch("s", [at(0), at(1)], a=[1, 1], bad=[math.nan, None]), None, LimitOptions(columns_max=2))
    assert [c.name for c in found.schema.columns] == ["a"]


def test_a_type_that_no_column_has_is_refused() -> None:
    found = align(batch("s", [at(0), at(1)], x=[1, 2], d=pa.array([[1], None], pa.list_(pa.int64()))), None, LIMITS)
    check(found, [{"x": 2}], refused={0: "column 'd' is list<item: int64>, which no column of a stream can hold"}, kept=[1])


def test_a_new_stream_needs_a_field() -> None:
    found = align(batch("s", [at(0)], tags={"host": ["a"]}), None, LIMITS)
    check(found, [], refused={0: "no field has a value"}, kept=[])


def test_declared_columns_become_tags_whatever_their_type() -> None:
    found = align(batch("s", [at(0)], Device=[12], x=[1.0]), None, LIMITS, ("device",))
    check(found, [{"Device": "12", "x": 1.0}])
    assert found.schema.tags == ("Device",)


def test_a_declaration_that_comes_too_late_changes_nothing() -> None:
    known = schema(("device", Kind.INT))
    check(align(batch("s", [at(0)], device=[12]), known, LIMITS, ("device",)), [{"device": 12}])


def test_fields_may_come_as_dictionaries() -> None:
    found = align(
        batch("s", [at(0), at(1)], n=pa.array([5, 5]).dictionary_encode(), t=pa.array(["a", "b"]).dictionary_encode()), None, LIMITS
    )
    check(found, [{"n": 5, "t": "a"}, {"n": 5, "t": "b"}])


def test_a_null_within_a_dictionary_is_a_null() -> None:
    tags = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["a", None]))
    data = pa.RecordBatch.from_arrays([pa.array([at(0), at(1)], pa.timestamp("us")), tags, pa.array([1, 2])], names=["ts", "host", "x"])
    found = align(Batch("s", ("host",), data), None, LIMITS)
    check(found, [{"host": "a", "x": 1}, {"host": None, "x": 2}])
    assert found.data.column("host").null_count == 1


def test_integers_of_any_size_widen() -> None:
    found = align(batch("s", [at(0)], n=[2**63 - 1]), schema(("n", Kind.FLOAT)), LIMITS)
    check(found, [{"n": float(2**63 - 1)}])


def test_everything_refused_leaves_the_stream_as_it_was() -> None:
    known = schema(("host", Kind.TAG), ("x", Kind.FLOAT))
    found = align(batch("s", [None, None], tags={"rack": ["a", "b"]}, x=[1.0, 2.0]), known, LIMITS)
    assert found.schema == known
    assert found.data.num_rows == 0
    assert len(found.rejects) == 2
