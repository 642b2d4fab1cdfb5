from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from appliance.errors import UsageRefused
from appliance.hot.stream.expression import BYTES_MAX, DEPTH_MAX, Column, Expression, ExpressionRefused, parse
from tests.examples import examples
from tests.hot.stream.expression.expressions import whole


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("temperature>80", "temperature > 80"),
        ("Temperature > 80.50", "temperature > 80.5"),
        ("AVG( Temperature )  >  80", "avg(temperature) > 80"),
        ("mean(t) == 1e3", "avg(t) = 1000.0"),
        ("a <> .5", "a != 0.5"),
        ("a>1 AND b<2 oR NoT c=3", "a > 1 and b < 2 or not c = 3"),
        ("a and (b or c)", "a and (b or c)"),
        ("(a and b) or c", "a and b or c"),
        ("a and (b and c)", "a and (b and c)"),
        ("a - (b - c) - d", "a - (b - c) - d"),
        ("(a - b) - c > 0", "(a - b) - c > 0"),
        ("a + b * c % d", "a + b * c % d"),
        ("(a + b) * c", "(a + b) * c"),
        ("-a * -5 - -(b)", "-a * -5 - -b"),
        ("- -a", "-(-a)"),
        ("--5", "5"),
        ("-(5)", "-5"),
        ("-9223372036854775808 = a", "-9223372036854775808 = a"),
        ("device = 'd''1'", "device = 'd''1'"),
        ("x is null and y IS NOT NULL", "x is null and y is not null"),
        ("not x is null", "not x is null"),
        ("(not x) is null", "(not x) is null"),
        ("x in (1, 2,3) or x NOT IN ('a')", "x in (1, 2, 3) or x not in ('a')"),
        ("x between 1+1 and 5 and y", "x between 1 + 1 and 5 and y"),
        ("x not between a and b", "x not between a and b"),
        ("x like 'a%' and y not like '_'", "x like 'a%' and y not like '_'"),
        ("a = b is null", "a = b is null"),
        ("a in (1) = true", "a in (1) = true"),
        ("TRUE", "true"),
        ('"Motor Temp" > 1 and "and" < 2', '"motor temp" > 1 and "and" < 2'),
        ('"temperature" > 1', "temperature > 1"),
        ('weather."out side" < "my stream".x', 'weather."out side" < "my stream".x'),
        ("count(*) > 3", "count(*) > 3"),
        ("count(x)", "count(x)"),
        ("count(DISTINCT x)", "count(distinct x)"),
        ("count(distinct (x))", "count(distinct x)"),
        ("distinct(x)", "count(distinct x)"),
        ("quantile(x, 0.95)", "quantile(x, 0.95)"),
        ("quantile(a - b, 1)", "quantile(a - b, 1.0)"),
        ("rate(level) < -2", "rate(level) < -2"),
        ("time_since(temperature > 80) > 60", "time_since(temperature > 80) > 60"),
        ("avg(power) > 1.5 * baseline(power)", "avg(power) > 1.5 * baseline(power)"),
        ("power > baseline_high(power) or power < BASELINE_LOW(power)", "power > baseline_high(power) or power < baseline_low(power)"),
        ("greatest(a, b, c) - least(a,0)", "greatest(a, b, c) - least(a, 0)"),
        ("coalesce(round(x,1), sqrt(y))", "coalesce(round(x, 1), sqrt(y))"),
        ("min > max", "min > max"),
        ("größe > 1\n  and\tx", "größe > 1 and x"),
    ],
)
def test_what_is_written_has_one_canonical_text(text: str, canonical: str) -> None:
    expression = parse(text)
    assert str(expression) == canonical
    assert parse(canonical) == expression


@given(whole())
@settings(max_examples=examples(400), deadline=None)
def test_the_canonical_text_is_read_back_as_the_same_tree(expression: Expression) -> None:
    assume(len(str(expression).encode()) <= BYTES_MAX)
    try:
        again = parse(str(expression))
    except ExpressionRefused as refused:
        assume("deeper" not in refused.reason and "no column in" not in refused.reason)
        raise
    assert again == expression
    assert str(again) == str(expression)


def test_what_differs_in_type_is_not_the_same() -> None:
    assert parse("x = 1") != parse("x = true")
    assert parse("x = 1") != parse("x = 1.0")
    assert parse("X = 1") == parse('"x" = 1')


def test_columns_that_name_the_watched_stream_are_the_bare_ones() -> None:
    assert parse("Readings.x > weather.x", stream="READINGS") == parse("x > weather.x")
    assert parse("readings.x > 1") == parse("readings.x>1") != parse("x > 1")


def test_every_node_knows_its_column() -> None:
    comparison = parse("  avg(temperature) > 80")
    assert comparison.at == 20
    assert comparison.left.at == 3  # type: ignore[union-attr]
    assert comparison.right.at == 22  # type: ignore[union-attr]


REFUSED = [
    ("avgg(temperature) > 80", 1, "there is no function avgg; did you mean avg?"),
    ("a > Quantil(b, 0.5)", 5, "there is no function Quantil; did you mean quantile?"),
    ("zzzzz(1)", 1, "there is no function zzzzz; there are: abs, round, floor, ceil, sqrt, least, greatest, coalesce, …"),
    ("", 1, "found the end, expected a column, a number, a text in single quotes or a function"),
    ("  ", 3, "found the end, expected a column, a number, a text in single quotes or a function"),
    ("temperature >", 14, "found the end, expected a column, a number, a text in single quotes or a function"),
    ("temperature > = 80", 15, "found =, expected a column, a number, a text in single quotes or a function; = is written once, or as =="),
    ("a > 1 b", 7, "found b, expected an operator or the end"),
    ("a > 1)", 6, "found ), expected an operator or the end"),
    ("(a > 1", 7, "found the end, expected ) or an operator"),
    ("a > 1 && b", 7, "found &, which has no meaning here; write and"),
    ("a ≥ 1", 3, "found ≥, which has no meaning here; write >="),
    ("!a", 1, "found !, which has no meaning here; write not"),
    ("a > \x01", 5, "found \\x01, which has no meaning here"),
    ("device = 'd1", 10, "the text that begins here has no closing '"),
    ('x > "y', 5, 'the name that begins here has no closing "'),
    ('x > ""', 5, "found \"\", which is no name; a text without characters is written ''"),
    ("x > 80c", 5, 'found 80c, expected a number; a name that begins with a digit is written "80c"'),
    ("x > 1e999", 5, "the number 1e999 is too large: at most about 1.8e308"),
    ("1 < x < 3", 7, "found < right after another comparison; put one of them in parentheses, or and between them"),
    ("x is null is null", 11, "found is right after another comparison; put one of them in parentheses, or and between them"),
    ("a in (1) + 2", 10, "found + right after another comparison; put one of them in parentheses, or and between them"),
    ("x is 5", 6, "found 5, expected null or not null"),
    ("x not 5", 7, "found 5, expected in, between or like after not"),
    ("x in 5", 6, "found 5, expected ( with the values"),
    ("x in ()", 7, "found ), expected a column, a number, a text in single quotes or a function"),
    ("x in (1 2)", 9, "found 2, expected , or )"),
    ("x between 1", 12, "found the end, expected and with the upper end"),
    ("x like y", 8, "found y, expected a text in single quotes; % in it stands for any text"),
    ("a = not b", 5, "found not, expected a column, a number, a text in single quotes or a function;"
     " put what is negated in parentheses: (not …)"),
    ("a and or b", 7, "found or, expected a column, a number, a text in single quotes or a function;"
     ' a column of that name is written "or"'),
    ("weather.in > 1", 9, "found in, expected the name of a column of weather"),
    ("weather. > 1", 10, "found >, expected the name of a column of weather"),
    ('"avg"(x)', 6, "found (, expected an operator or the end; a function's name stands without quotes"),
    ("sum(*)", 5, "found *, expected an argument; only count takes *, not sum"),
    ("count(*", 8, "found the end, expected ) after *"),
    ("sum(distinct x)", 5, "only count takes distinct, not sum"),
    ("avg()", 1, "avg takes one argument, not none"),
    ("avg(a, b)", 1, "avg takes one argument, not 2"),
    ("avg(1)", 5, "there is no column in avg(1)"),
    ("count(1)", 7, "there is no column in count(1); the number of records is count(*)"),
    ("avg(max(x))", 5, "max can't stand within avg, which takes columns of single records"),
    ("avg(1 + time_since(x))", 9, "time_since can't stand within avg, which takes columns of single records"),
    ("time_since(avg(x) > 1)", 12, "avg can't stand within time_since, which takes columns of single records"),
    ("time_since(true)", 12, "there is no column in time_since(true)"),
    ("baseline(a - b)", 12, "baseline takes a column, not a - b"),
    ("quantile(x)", 1, "quantile takes a value and which quantile, as in quantile(x, 0.95), not one argument"),
    ("quantile(x, 95)", 13, "quantile takes a number from 0 to 1 here, not 95"),
    ("quantile(x, y)", 13, "quantile takes a number from 0 to 1 here, not y"),
    ("quantile(x, true)", 13, "quantile takes a number from 0 to 1 here, not true"),
    ("abs(a, b) > 1", 1, "abs takes one argument, not 2"),
    ("abs()", 1, "abs takes one argument, not none"),
    ("round(a, b, c)", 1, "round takes 1 to 2 arguments, not 3"),
    ("least()", 1, "least takes at least one argument, not none"),
    ("round(a, b)", 10, "round takes a whole number from -15 to 15 as its second argument, not b"),
    ("round(a, 99)", 10, "round takes a whole number from -15 to 15 as its second argument, not 99"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "reason"), REFUSED)
def test_a_mistake_is_named_with_its_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(ExpressionRefused) as refused:
        parse(text)
    assert (refused.value.column, refused.value.reason) == (column, reason)
    assert str(refused.value) == f"column {column}: {reason}"
    assert isinstance(refused.value, UsageRefused)


@pytest.mark.parametrize(
    "text",
    [
        "(" * (DEPTH_MAX + 1) + "a" + ")" * (DEPTH_MAX + 1),
        "not " * DEPTH_MAX + "a",
        "- " * DEPTH_MAX + "a",
        "abs(" * DEPTH_MAX + "a" + ")" * DEPTH_MAX,
        "a or b and c = d + e * (" * 150,
        "x in (" * 600,
        "(" * 4096,
    ],
)
def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ExpressionRefused, match=rf"column \d+: the expression is nested deeper than {DEPTH_MAX} levels here"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * DEPTH_MAX + "a" + ")" * DEPTH_MAX,
        "not " * (DEPTH_MAX - 1) + "a",
        "abs(" * (DEPTH_MAX - 1) + "a" + ")" * (DEPTH_MAX - 1),
        "(a = " * (DEPTH_MAX - 1) + "a" + ")" * (DEPTH_MAX - 1),
        "a + (" * (DEPTH_MAX - 1) + "a" + ")" * (DEPTH_MAX - 1),
    ],
)
def test_what_is_nested_just_deep_enough_is_taken(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)


def test_left_operands_count_as_levels_too() -> None:
    text = "a"
    for _ in range(12):
        text = f"(({text} * 2 + 1) in (1) = true is null and b or c)"
    with pytest.raises(ExpressionRefused, match="nested deeper"):
        parse(text)


@pytest.mark.parametrize("text", [" + ".join(["a"] * 1000), " and ".join(["a"] * 500), "x in (" + ", ".join("1" * 1000) + ")"])
def test_what_is_long_is_not_deep(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)


def test_a_text_that_is_too_long_is_refused() -> None:
    parse("x = '" + "a" * (BYTES_MAX - 6) + "'")
    with pytest.raises(ExpressionRefused, match="column 1: the expression has 4097 bytes; at most 4096 are taken"):
        parse("x = '" + "a" * (BYTES_MAX - 5) + "'")


def test_long_and_odd_words_make_one_short_line() -> None:
    with pytest.raises(ExpressionRefused) as refused:
        parse("avg(x) > 'it\n" + "y" * 3000 + "' 'more'" + "(" * 100)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@given(whole(), st.data())
@settings(max_examples=examples(200), deadline=None)
def test_a_sign_without_meaning_is_found_where_it_stands(expression: Expression, data: st.DataObject) -> None:
    text = str(expression)
    assume(len(text.encode()) < BYTES_MAX - 4)
    outside = [i for i in range(len(text)) if text[:i][-1:] in {"", " ", "("} and not {"'", '"'} & set(text[:i])]
    place = data.draw(st.sampled_from(outside))
    before = text[:place]
    with pytest.raises(ExpressionRefused) as refused:
        parse(before + "§" + text[place:])
    assert refused.value.column == place + 1


PIECES = [
    "a",
    "avg(",
    "(",
    ")",
    "1",
    "'",
    "'x'",
    '"',
    '"y"',
    " not ",
    " and ",
    " in ",
    ",",
    "-",
    "*",
    "=",
    ".",
    " is ",
    " null ",
    " between ",
]
PIECES += [" like ", "count(*)", "count(distinct ", "quantile(", "§", "\n", "1e", " or ", "time_since(", "baseline(", "round("]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)))
@example("\ud800")
@example("'\ud800'")
@settings(max_examples=examples(500), deadline=None)
def test_any_text_is_an_expression_or_a_mistake_with_a_column(text: str) -> None:
    found: Expression | ExpressionRefused
    try:
        found = parse(text)
    except ExpressionRefused as refused:
        found = refused
    if isinstance(found, ExpressionRefused):
        assert 1 <= found.column <= len(text) + 1
        assert "\n" not in str(found)
    else:
        assert parse(str(found)) == found


def test_a_column_is_quoted_only_where_it_must_be() -> None:
    assert [str(Column(name)) for name in ("a1", "and", "a b", 'a"b', "é")] == ["a1", '"and"', '"a b"', '"a""b"', "é"]
