from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.expression import Expression, ExpressionRefused, check, check_condition, parse
from appliance.records import Kind
from tests.examples import examples
from tests.hot.stream.expression.expressions import KINDS, conditions, numbers, texts
from tests.hot.stream.expression.vectors import Row, batch_of, evaluated, rows_of

COLUMNS = {"Temperature": Kind.FLOAT, "count_a": Kind.INT, "open": Kind.BOOL, "device": Kind.TAG, "note": Kind.TEXT}
STREAMS = {"Weather": {"Outside": Kind.FLOAT, "site": Kind.TAG}}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("temperature", Kind.FLOAT),
        ("count_a", Kind.INT),
        ("count_a + 1", Kind.FLOAT),
        ("-count_a", Kind.FLOAT),
        ("abs(count_a)", Kind.FLOAT),
        ("9223372036854775808", Kind.FLOAT),
        ("device", Kind.TEXT),
        ("lower(note)", Kind.TEXT),
        ("length(note)", Kind.INT),
        ("open", Kind.BOOL),
        ("temperature > count_a", Kind.BOOL),
        ("device = note", Kind.BOOL),
        ("coalesce(count_a, 0)", Kind.INT),
        ("coalesce(count_a, 0.5)", Kind.FLOAT),
        ("coalesce(null, device)", Kind.TEXT),
        ("greatest(count_a, temperature)", Kind.FLOAT),
        ("count(*)", Kind.INT),
        ("count(distinct device)", Kind.INT),
        ("avg(count_a)", Kind.FLOAT),
        ("sum(count_a)", Kind.FLOAT),
        ("max(count_a)", Kind.INT),
        ("max(count_a - 1)", Kind.FLOAT),
        ("last(device)", Kind.TEXT),
        ("last(open)", Kind.BOOL),
        ("rate(count_a)", Kind.FLOAT),
        ("time_since(open)", Kind.FLOAT),
        ("baseline(count_a)", Kind.FLOAT),
        ("weather.outside - temperature", Kind.FLOAT),
    ],
)
def test_an_expression_has_a_kind(text: str, kind: Kind) -> None:
    assert check(parse(text), COLUMNS, streams=STREAMS) is kind


@pytest.mark.parametrize(
    "text",
    [
        "open",
        "not open and avg(temperature) > 80",
        "last(open) or device = 'd1'",
        "device in ('a', null) and x is null",
        "temperature between 1 and count_a",
        "open = true",
        "coalesce(open, false)",
        "null or open",
        "weather.site = device",
        "time_since(temperature > 80) > 60",
    ],
)
def test_a_condition_is_true_or_false(text: str) -> None:
    check_condition(parse(text), {**COLUMNS, "x": Kind.TEXT}, streams=STREAMS)


THERE = "Temperature, count_a, open, device, note"
REFUSED = [
    ("tmperature > 80", 1, "there is no column tmperature; did you mean Temperature?"),
    ("1 + avg(tmperature) > 80", 9, "there is no column tmperature; did you mean Temperature?"),
    ('device = "d1"', 10, f"there is no column d1; there are: {THERE}; a text stands in single quotes"),
    ("weathr.outside > 1", 1, "there is no stream weathr here; did you mean Weather?"),
    ("weather.outsid > 1", 1, "there is no column outsid in Weather; did you mean Outside?"),
    ("device > 80", 10, "device is a text and 80 is a number; they can't be compared"),
    ("80 < device", 6, "80 is a number and device is a text; they can't be compared"),
    ("temperature = 'hot'", 15, "temperature is a number and 'hot' is a text; they can't be compared"),
    ("open = 1", 8, "open is true or false and 1 is a number; they can't be compared"),
    ("open < true", 6, "true and false have no order, so < can't compare them"),
    ("temperature between 1 and 'x'", 27, "temperature is a number and 'x' is a text; they can't be compared"),
    ("open between false and true", 6, "between takes numbers or texts: true and false have no order"),
    ("device in ('a', 5)", 17, "device is a text and 5 is a number; they can't be compared"),
    ("temperature like 'a%'", 1, "like takes a text, and temperature is a number"),
    ("device + 1 > 2", 1, "+ takes numbers, and device is a text"),
    ("-device > 2", 2, "- takes numbers, and device is a text"),
    ("abs(open) > 2", 5, "abs takes numbers, and open is true or false"),
    ("length(temperature) > 2", 8, "length takes a text, and temperature is a number"),
    ("least(open, true)", 1, "least takes numbers or texts: true and false have no order"),
    ("coalesce(temperature, 'x') = 1", 23, "temperature is a number and 'x' is a text; they can't be compared"),
    ("avg(device) > 1", 5, "avg takes numbers, and device is a text"),
    ("max(device) > 'a'", 5, "max takes numbers, and device is a text"),
    ("baseline(device) > 1", 10, "baseline takes numbers, and device is a text"),
    ("time_since(temperature) > 1", 12, "time_since takes conditions, and temperature is a number"),
    ("not temperature", 5, "not takes conditions, and temperature is a number"),
    ("open and temperature", 10, "and takes conditions, and temperature is a number"),
    ("temperature = null", 15, "nothing compares with null; write temperature is null"),
    ("null != temperature", 1, "nothing compares with null; write temperature is not null"),
    ("null", 1, "null is always null"),
    ("temperature", 1, "temperature is a number, not a condition; write what it is compared with, as in temperature > 80"),
    ("avg(temperature) - 5", 18, "avg(temperature) - 5 is a number, not a condition; write what it is compared with,"
     " as in avg(temperature) - 5 > 80"),
    ("device", 1, "device is a text, not a condition; write what it is compared with, as in device = 'd1'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "reason"), REFUSED)
def test_what_cant_be_computed_is_refused_with_its_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(ExpressionRefused) as refused:
        check_condition(parse(text), COLUMNS, streams=STREAMS)
    assert (refused.value.column, refused.value.reason) == (column, reason)


def test_without_any_column_none_is_offered() -> None:
    with pytest.raises(ExpressionRefused, match=r"^column 1: there is no column x; a text stands in single quotes$"):
        check(parse("x > 1"), {})
    with pytest.raises(ExpressionRefused, match=r"^column 1: there is no stream x here$"):
        check(parse("x.y > 1"), {})


@given(expression=st.one_of(conditions(3), numbers(3), texts(2)), row=rows_of)
@settings(max_examples=examples(300), deadline=None)
def test_what_is_checked_can_be_computed_and_is_of_that_kind(expression: Expression, row: Row) -> None:
    try:
        kind = check(expression, KINDS)
    except ExpressionRefused as refused:
        if "null" not in refused.reason and "order" not in refused.reason:
            raise
        return
    (value,) = evaluated(expression, batch_of([row]))
    wanted = {Kind.INT: (int,), Kind.FLOAT: (float, int), Kind.BOOL: (bool,), Kind.TEXT: (str,)}[kind]
    assert value is None or isinstance(value, wanted)
