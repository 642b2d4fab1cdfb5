from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.expression import ExpressionRefused, Summary, parse_summary, show
from appliance.hot.stream.expression.summary import SUMMARY_BYTES_MAX
from appliance.hot.stream.values import Scalar
from tests.examples import examples

LABELS = {"Device": "d1", "site": None, "team": "press"}
VALUES: dict[str, Scalar] = {"avg(temperature)": 83.24567, "count(*)": 1234567, "last(note)": "ok", "last(open)": True, 'max("a:b}")': 0.5}


def summary(text: str) -> Summary:
    return parse_summary(text, rule="overheating", key=("Device", "site"), terms=tuple(VALUES), labels=("team",))


def render(text: str) -> str:
    return summary(text).render(LABELS, VALUES)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{device} is at {value:.1f} °C", "d1 is at 83.2 °C"),
        ("{DEVICE}{ team }", "d1press"),
        ("{site}", "?"),
        ("{rule}", "overheating"),
        ("{avg(temperature)}", "83.2457"),
        ("{AVG( Temperature ):.2f}", "83.25"),
        ("{mean(temperature):.0f}", "83"),
        ("{count(*)}", "1234567"),
        ("{count(*):,}", "1,234,567"),
        ("{count(*):,.1f}", "1,234,567.0"),
        ("{value:.3g}", "83.2"),
        ("{value:.0%}", "8325%"),
        ('{max("a:b}"):.2f}', "0.50"),
        ("{last(note):.1f} {last(open):.1f}", "ok true"),
        ("100 {{%}} {value:.0f}", "100 {%} 83"),
        ("", "overheating: Device=d1, site=?, avg(temperature) = 83.2457, count(*) = 1234567, last(note) = ok,"
         ' last(open) = true, max("a:b}") = 0.5'),
        (" \n", "overheating: Device=d1, site=?, avg(temperature) = 83.2457, count(*) = 1234567, last(note) = ok,"
         ' last(open) = true, max("a:b}") = 0.5'),
        ("a\nb\x1b[31m", "a b [31m"),
    ],
)  # fmt: skip
def test_placeholders_are_replaced(text: str, rendered: str) -> None:
    assert render(text) == rendered


def test_what_is_null_or_missing_is_a_question_mark() -> None:
    found = summary("{device} {value:.1f} {count(*)} {team}")
    assert found.render({}, {"count(*)": None}) == "? ? ? ?"
    assert summary("{device}|").render({"device": ""}, {}) == "|"


def test_the_default_says_what_there_is() -> None:
    assert parse_summary("", rule="silent", key=(), terms=()).render({}, {}) == "silent"
    assert parse_summary("", rule="silent", key=("a",), terms=()).render({"a": "x", "b": "y"}, {}) == "silent: a=x"
    assert parse_summary("", rule="silent", key=None, terms=()).render({"a": "x", "b": "y"}, {}) == "silent: a=x, b=y"
    assert parse_summary("", rule="hot", key=(), terms=("max(t)",)).render({}, {"max(t)": 80.0}) == "hot: max(t) = 80"


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("at {devise}", 5, "there is no {devise} here; did you mean Device?"),
        ("{avg(temprature)}", 2, "there is no {avg(temprature)} here; did you mean avg(temperature)?"),
        ("{}", 2, "there is no {} here; there are: Device, site, team, rule, value, avg(temperature), count(*), last(note), …"),
        ("a { b", 3, "found { alone; write {{ for the sign itself"),
        ("a } b", 3, "found } alone; write }} for the sign itself"),
        ("{a{b}", 1, "found { alone; write {{ for the sign itself"),
        ("{value:>10}", 8, "found >10 after the colon, expected how a number is written, as in .1f, ,.0f, .3g or .0%"),
        ("{value:}", 8, "found nothing after the colon, expected how a number is written, as in .1f, ,.0f, .3g or .0%"),
        ("{value:.99f}", 8, "found .99f after the colon, expected how a number is written, as in .1f, ,.0f, .3g or .0%"),
        ("{value:d}", 8, "found d after the colon, expected how a number is written, as in .1f, ,.0f, .3g or .0%"),
        ("{device:.1f}", 2, "device is a text, so it takes no .1f"),
        ("x" * 5000, 1, "the summary has 5000 bytes; at most 4096 are taken"),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(ExpressionRefused) as refused:
        summary(text)
    assert (refused.value.column, refused.value.reason) == (column, reason)


def test_without_terms_there_is_no_value() -> None:
    with pytest.raises(ExpressionRefused, match=r"there is no \{value\} here"):
        parse_summary("{value}", rule="silent", key=("device",), terms=())


def test_while_the_key_is_unknown_any_name_may_become_a_label() -> None:
    found = parse_summary("{device} {value:.1f}", rule="hot", key=None, terms=("x",))
    assert found.render({"device": "d1"}, {"x": 1.0}) == "d1 1.0"
    with pytest.raises(ExpressionRefused, match=r"there is no \{avg\(y\)\} here"):
        parse_summary("{avg(y)}", rule="hot", key=None, terms=("x",))


def test_columns_of_the_watched_stream_may_be_written_with_its_name() -> None:
    assert parse_summary("{readings.x:.1f}", rule="hot", key=(), terms=("x",), stream="readings").render({}, {"x": 2.0}) == "2.0"


def test_foreign_texts_are_made_harmless_and_short() -> None:
    found = summary("{device}!").render({"device": "a\nb\r\x00\x1b\x9b\u2028\u202e\ud800c"}, {})
    assert found == "a b       c!"
    long = summary("{device}{device}").render({"device": "é" * 5_000_000}, {})
    assert len(long.encode()) <= SUMMARY_BYTES_MAX
    assert long.endswith("é…")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "?"),
        (True, "true"),
        (7, "7"),
        (2**63 - 1, "9223372036854775807"),
        (83.2, "83.2"),
        (80.0, "80"),
        (0.1 + 0.2, "0.3"),
        (1234567.8, "1234568"),
        (1e300, "1e+300"),
        (-1e-9, "-1e-09"),
        ("text", "text"),
    ],
)
def test_values_are_shown_short(value: Scalar, shown: str) -> None:
    assert show(value) == shown


@given(st.text(max_size=60), st.text(max_size=60), st.one_of(st.none(), st.integers(), st.floats(), st.booleans(), st.text()))
@settings(max_examples=examples(300), deadline=None)
def test_any_template_renders_one_line_or_is_refused(text: str, label: str, value: Scalar) -> None:
    for template in (text, f"{{device}}{text}{{x:.1f}}", f"{{{text}}}"):
        found: Summary | ExpressionRefused
        try:
            found = parse_summary(template, rule="r", key=("device",), terms=("x",))
        except ExpressionRefused as refused:
            found = refused
        if isinstance(found, ExpressionRefused):
            assert 1 <= found.column <= len(template) + 1
            continue
        line = found.render({"device": label}, {"x": value})
        assert len(line.encode()) <= SUMMARY_BYTES_MAX
        assert len(line.splitlines()) <= 1
