"""Parameters reach SQL as values: whatever they hold, DuckDB reads back exactly that."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cold.batch.reports.parameters import Kind, Value, check_names, fill_sql, fill_text, kind_of, quoted, value_of, values_of
from appliance.cold.batch.reports.period import period_of
from appliance.errors import UsageRefused
from tests.reports.making import BERLIN

DATABASE = duckdb.connect()
PERIOD = period_of(date(2026, 11, 21), covers="day", zone=BERLIN)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    sql = fill_sql("SELECT {x} AS x, 'a''b' AS y -- it's a comment\n/* and /* one */ 'within' */", {"x": value_of("x", text, Kind.TEXT)})
    assert DATABASE.sql(sql).fetchall() == [(text, "a'b")]


@pytest.mark.parametrize(
    ("default", "kind", "given", "sql"),
    [
        ("d1", Kind.TEXT, "x'y", "'x''y'"),
        ("", Kind.TEXT, "17", "'17'"),
        ("80", Kind.NUMBER, "-1.5e3", "(-1.5e3)"),
        ("false", Kind.BOOL, "true", "true"),
        ("2026-01-01", Kind.DAY, "2026-11-22", "DATE '2026-11-22'"),
        ("2026-01-01T00:00:00Z", Kind.MOMENT, "2026-11-22T01:00:00+01:00", "TIMESTAMP '2026-11-22 00:00:00'"),
    ],
)
def test_a_parameter_is_what_its_default_is(default: str, kind: Kind, given: str, sql: str) -> None:
    assert kind_of(default) is kind
    value = value_of("p", given, kind)
    assert value == Value(given, sql)
    DATABASE.sql(f"SELECT {value.sql}")


@pytest.mark.parametrize(
    ("default", "given"),
    [("80", "80; DROP TABLE x"), ("80", "1 OR 1=1"), ("80", "٣"), ("true", "TRUE OR 1"), ("2026-01-01", "2026-01-01'--"), ("d", "a\0b")],
)
def test_what_is_not_of_its_kind_is_refused(default: str, given: str) -> None:
    with pytest.raises(UsageRefused, match="parameter p"):
        value_of("p", given, kind_of(default))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '{x}'",
        "SELECT E'it\\'s {x}'",
        'SELECT "{x}"',
        "SELECT 1 -- {x}\n",
        "SELECT /* {x} */ 1",
        "SELECT /* a /* b */ {x} */ 1",
        "SELECT $${x}$$",
        "SELECT $tag$ {x} $tag$",
        "SELECT 'open {x}",
    ],
)
def test_a_value_stands_nowhere_where_it_could_end_something(sql: str) -> None:
    with pytest.raises(UsageRefused, match="whole value"):
        fill_sql(sql, {"x": Value("v", "'v'")})


def test_an_unknown_one_is_refused_and_a_struct_is_left_alone() -> None:
    assert fill_sql("SELECT {'a': {x}}, date'2026-01-01'", {"x": Value("1", "(1)")}) == "SELECT {'a': (1)}, date'2026-01-01'"
    with pytest.raises(UsageRefused, match=r"\{y\} is no parameter of this report; it has x"):
        fill_sql("SELECT {y}", {"x": Value("1", "(1)")})


def test_the_day_is_there_with_its_bounds_and_no_other_name_is() -> None:
    found = values_of({"device": "d1"}, {"device": "d2"}, period=PERIOD, zone="Europe/Berlin")
    assert {n: v.sql for n, v in found.items()} == {
        "device": "'d2'",
        "day": "DATE '2026-11-21'",
        "last_day": "DATE '2026-11-21'",
        "since": "TIMESTAMP '2026-11-20 23:00:00'",
        "until": "TIMESTAMP '2026-11-21 23:00:00'",
        "zone": "'Europe/Berlin'",
    }
    with pytest.raises(UsageRefused, match="no parameter 'devise'; the report has day, device"):
        values_of({"device": "d1"}, {"devise": "d2"}, period=PERIOD, zone="UTC")
    with pytest.raises(UsageRefused, match="there without being declared"):
        check_names({"since": "x"})
    with pytest.raises(UsageRefused, match="no name"):
        check_names({"a b": "x"})


def test_in_text_a_value_is_no_markup() -> None:
    assert fill_text("of {x}, {y}", {"x": Value("*<b>*\n# a", quoted("x"))}) == "of \\*\\<b\\>\\* \\# a, {y}"
