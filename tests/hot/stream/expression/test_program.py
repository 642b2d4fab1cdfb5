from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.hot.stream.expression import Column, Expression, ExpressionRefused, Program, compile_, parse, terms
from appliance.hot.stream.values import Scalar, Vector
from appliance.records import Kind
from tests.examples import examples
from tests.hot.stream.expression.expressions import conditions, numbers, texts
from tests.hot.stream.expression.vectors import Row, asked, batch_of, column, evaluated, listed, oracle, rows_of

BIG = 2**53


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    return oracle()


@given(expression=st.one_of(conditions(3), conditions(2), numbers(3), texts(2)), rows=st.lists(rows_of, max_size=8))
@example(expression=parse("i in (9007199254740992, 1.5)"), rows=[{"i": BIG + 1}, {"i": BIG}])
@example(expression=parse("i between j and f"), rows=[{"i": BIG + 1, "j": BIG, "f": float(BIG)}])
@example(expression=parse("lower(s) = lower(t) or s < t"), rows=[{"s": "A", "t": "a"}, {"s": "é", "t": "b"}, {"s": None, "t": "b"}])
@settings(max_examples=examples(200), deadline=None)
def test_duckdb_gives_the_same_answers(database: duckdb.DuckDBPyConnection, expression: Expression, rows: list[Row]) -> None:
    batch = batch_of(rows)
    assert evaluated(expression, batch) == asked(database, expression, batch)


def answers(text: str, **given_columns: list[Any]) -> list[Scalar]:
    """The condition over columns of plain values."""
    found = dict(column(name, *values) for name, values in given_columns.items())
    program = compile_(parse(text), list(found))
    return listed(program.evaluate(list(found.values())), len(next(iter(found.values())).valid))


YES, NO, NULL = True, False, None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x and y", [YES, NO, NULL, NO, NO, NO, NULL, NO, NULL]),
        ("x or y", [YES, YES, YES, YES, NO, NULL, YES, NULL, NULL]),
        ("not x", [NO, NO, NO, YES, YES, YES, NULL, NULL, NULL]),
        ("x = y", [YES, NO, NULL, NO, YES, NULL, NULL, NULL, NULL]),
        ("x is null", [NO, NO, NO, NO, NO, NO, YES, YES, YES]),
        ("x in (true, null)", [YES, YES, YES, NULL, NULL, NULL, NULL, NULL, NULL]),
        ("x not in (y, null)", [NO, NULL, NULL, NULL, NO, NULL, NULL, NULL, NULL]),
        ("coalesce(x, y)", [YES, YES, YES, NO, NO, NO, YES, NO, NULL]),
        ("x and null", [NULL, NULL, NULL, NO, NO, NO, NULL, NULL, NULL]),
    ],
)
def test_truth_has_three_values(text: str, expected: list[Scalar]) -> None:
    x = [YES, YES, YES, NO, NO, NO, NULL, NULL, NULL]
    y = [YES, NO, NULL, YES, NO, NULL, YES, NO, NULL]
    assert answers(text, x=x, y=y) == expected


def test_division_by_zero_and_what_is_too_large_are_null() -> None:
    assert answers("x / y", x=[1.0, 0.0, 6.0], y=[0.0, 0.0, 2.0]) == [None, None, 3.0]
    assert answers("x / y", x=[7, 1], y=[2, 0]) == [3.5, None]
    assert answers("x % 0", x=[1.0]) == [None]
    assert answers("1 / (1 / x)", x=[0.0, 2.0]) == [None, 2.0]
    assert answers("x * x", x=[1e200, 2.0]) == [None, 4.0]
    assert answers("sqrt(x)", x=[-1.0, 9.0]) == [None, 3.0]
    assert answers("1 / 0 > x", x=[1.0]) == [None]


def test_nan_and_infinities_in_the_vectors_are_null() -> None:
    vector = Vector(np.array([np.nan, np.inf, 81.0]), np.ones(3, np.bool_))
    assert listed(compile_(parse("x > 80"), [Column("x")]).evaluate([vector]), 3) == [None, None, True]


def test_whole_numbers_of_64_bits_are_compared_exactly() -> None:
    assert answers("i > 9007199254740992", i=[BIG, BIG + 1]) == [NO, YES]
    assert answers("9007199254740992 = i", i=[BIG, BIG + 1]) == [YES, NO]
    assert answers("i = j", i=[BIG + 1, 2**63 - 1], j=[BIG, 2**63 - 1]) == [NO, YES]
    assert answers("i in (9007199254740992, 7)", i=[BIG, BIG + 1]) == [YES, NO]
    assert answers("i < 99999999999999999999", i=[2**63 - 1]) == [YES]
    many = ", ".join(str(BIG + 2 * n) for n in range(30))
    assert answers(f"i in ({many})", i=[BIG, BIG + 1, BIG + 2]) == [YES, NO, YES]
    assert answers(f"i in ({many}, 0.5)", i=[BIG, BIG + 1, BIG + 2]) == [YES, NO, YES]
    assert answers("coalesce(i, 0)", i=[BIG + 1, None]) == [BIG + 1, 0]


def test_texts_are_compared_by_their_letters_and_dictionaries_need_not_agree() -> None:
    s, t = ["b", "a", None, "é"], ["a", "a", "b", "z"]
    assert answers("s = t", s=s, t=t) == [NO, YES, NULL, NO]
    assert answers("s > t", s=s, t=t) == [YES, NO, NULL, YES]
    assert answers("s >= 'b'", s=s) == [YES, NO, NULL, YES]
    assert answers("'a' = s or s = 'nowhere'", s=s) == [NO, YES, NULL, NO]
    assert answers("s != 'nowhere'", s=s) == [YES, YES, NULL, YES]
    assert answers("upper(s)", s=s) == ["B", "A", None, "É"]
    assert answers("least(s, t, 'c')", s=s, t=t) == ["a", "a", "b", "c"]
    assert answers("length(s) = 1", s=s) == [YES, YES, NULL, YES]


@pytest.mark.parametrize(
    ("pattern", "like", "unlike"),
    [
        ("a%", ["a", "ab", "a\nb"], ["", "ba", "A"]),
        ("%a", ["a", "ba"], ["", "ab"]),
        ("%a%b%", ["ab", "xaxbx"], ["ba", "a", "b"]),
        ("a_c", ["abc", "a%c", "aéc"], ["ac", "abbc"]),
        ("%ab%ab", ["abab", "ababab", "abxab"], ["ab", "aba"]),
        ("a%a", ["aa", "aba"], ["a"]),
        ("", [""], ["a"]),
        ("%", ["", "a"], []),
        ("%%", ["", "a"], []),
        ("_%", ["a", "ab"], [""]),
        ("a.b*[c]\\", ["a.b*[c]\\"], ["axb[c]\\"]),
    ],
)
def test_like_takes_sqls_patterns(pattern: str, like: list[str], unlike: list[str]) -> None:
    quoted = pattern.replace("'", "''")
    assert answers(f"s like '{quoted}'", s=[*like, *unlike, None]) == [YES] * len(like) + [NO] * len(unlike) + [NULL]


@pytest.mark.timeout(20)
def test_a_spiteful_pattern_costs_no_more_than_another() -> None:
    pattern = "%a" * 1000 + "%b"
    assert answers(f"s like '{pattern}'", s=["a" * 5000]) == [NO]


def test_a_column_that_is_not_there_is_null_whatever_it_would_be() -> None:
    for text in ("x = 'a'", "x > 1", "x", "not x", "x like 'a%'", "upper(x) = 'A'", "x in ('a', 'b')", "x = y", "length(x) > 1"):
        found = evaluated(parse(text.replace("y", "s")), batch_of([{"s": "a"}, {"s": "b"}]))
        assert found == [None, None], text
    assert evaluated(parse("coalesce(x, s) = 'a'"), batch_of([{"s": "a"}, {"s": "b"}])) == [YES, NO]


def test_texts_and_numbers_that_meet_unchecked_are_refused_with_the_column() -> None:
    batch = batch_of([{"s": "a", "f": 1.0}])
    for text, place in [("s > 1", 3), ("f = 'a'", 3), ("s = f", 3), ("s + 1", 3), ("f and b", 3), ("f like 'a'", 3), ("coalesce(s, f)", 1)]:
        with pytest.raises(ExpressionRefused) as refused:
            evaluated(parse(text), batch)
        assert refused.value.column == place, text


@pytest.mark.parametrize(
    "text", ["f > 80", "s = 'a' and b", "f - g > 1 or i in (1, 2)", "coalesce(s, t)", "missing > 1", "true", "missing = 'a'"]
)
def test_no_rows_give_no_rows(text: str) -> None:
    assert evaluated(parse(text), batch_of([])) == []


def test_an_expression_without_terms_is_told_how_many_rows_there_are() -> None:
    assert listed(compile_(parse("1 + 1 = 2"), []).evaluate([], rows=3), 3) == [YES] * 3
    assert listed(compile_(parse("null"), []).evaluate([], rows=2), 2) == [None] * 2
    assert listed(compile_(parse("'a'"), []).evaluate([], rows=5000), 5000) == ["a"] * 5000


def test_terms_may_come_in_any_order_and_be_more_than_are_needed() -> None:
    (_, x), (_, y) = column("x", 1.0, 5.0), column("y", 2.0, 2.0)
    expression = parse("avg(a) > avg(b)")
    first, second = terms(expression)
    assert listed(compile_(expression, [Column("z"), second, first]).evaluate([y, y, x]), 2) == [NO, YES]
    with pytest.raises(KeyError):
        compile_(expression, [first])


def test_the_vectors_stay_as_they_are() -> None:
    (term, vector) = column("x", 1.0, None, 5.0)
    before = (vector.values.copy(), vector.valid.copy())
    compile_(parse("abs(-x) + x > 1 and coalesce(x, 1) < 5"), [term]).evaluate([vector])
    assert np.array_equal(vector.values, before[0], equal_nan=True)
    assert np.array_equal(vector.valid, before[1])


def test_the_same_program_takes_other_dictionaries() -> None:
    program = compile_(parse("s like 'a%' or upper(s) = 'B' or s > 'x'"), [Column("s")])
    rounds: list[tuple[list[Any], list[Scalar]]] = [
        (["a", "b", "c"], [YES, YES, NO]),
        (["c", "ab", None, "y"], [NO, YES, NULL, YES]),
        ([None], [NULL]),
    ]
    for values, expected in rounds:
        _, vector = column("s", *values, kind=Kind.TEXT)
        for _ in range(2):
            assert listed(program.evaluate([vector]), len(values)) == expected


def test_nested_comparisons_are_compiled_once_each() -> None:
    text = "b"
    for _ in range(48):
        text = f"(b = {text})"
    assert evaluated(parse(text), batch_of([{"b": True}])) == [True]


def levels(when: list[Scalar], clear: list[Scalar] | None = None) -> list[int]:
    def vector(values: list[Scalar]) -> Vector:
        return column("x", *values, True)[1].take(np.arange(len(values)))

    return [int(level) for level in Program.levels(vector(when), None if clear is None else vector(clear))]


def test_the_level_is_what_when_and_clear_say() -> None:
    assert levels([YES, NO, NULL]) == [1, -1, 0]
    assert levels([YES] * 3 + [NO] * 3 + [NULL] * 3, [YES, NO, NULL] * 3) == [1, 1, 1, -1, 0, 0, -1, 0, 0]
    assert levels([]) == []


def test_the_level_of_what_is_unknown_throughout_is_hold() -> None:
    absent = Vector(np.zeros(2), np.zeros(2, np.bool_))
    assert Program.levels(absent).tolist() == [0, 0]
    with pytest.raises(ExpressionRefused, match="isn't true or false"):
        Program.levels(Vector(np.zeros(2), np.ones(2, np.bool_)))
