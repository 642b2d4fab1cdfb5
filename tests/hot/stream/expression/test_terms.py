from __future__ import annotations

import pytest

from appliance.hot.stream.expression import ExpressionRefused, Scope, columns, parse, scope_of, terms, threshold_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("temperature > 80", ["temperature"]),
        ("avg(a - b) > avg(A-B) + count(*) or count(*) > 5", ["avg(a - b)", "count(*)"]),
        ("avg(power) > 1.5 * baseline(power)", ["avg(power)", "baseline(power)"]),
        ("time_since(x > 1 and y) > 60 and x < rate(z)", ["time_since(x > 1 and y)", "x", "rate(z)"]),
        ("b in (c, a) and lower(d) like 'x' and a between e and f", ["b", "c", "a", "d", "e", "f"]),
        ("weather.t > t", ["weather.t", "t"]),
        ("mean(x) > avg(x)", ["avg(x)"]),
        ("true", []),
    ],
)
def test_the_terms_are_what_is_computed_outside_each_once(text: str, found: list[str]) -> None:
    assert [str(term) for term in terms(parse(text))] == found


def test_all_columns_are_found_also_within_aggregates() -> None:
    expression = parse("avg(a - b) > baseline(c) and time_since(d and a > 1) > 5 and weather.a = e")
    assert [str(column) for column in columns(expression)] == ["a", "b", "c", "d", "weather.a", "e"]
    assert [column.stream for column in columns(expression)] == [None] * 4 + ["weather", None]


@pytest.mark.parametrize(
    ("text", "windowed", "scope"),
    [
        ("temperature > 80", False, Scope.RECORD),
        ("temperature > 80", True, Scope.RECORD),
        ("rate(level) < -2 and level > 5", False, Scope.RECORD),
        ("delta(level) < -2", True, Scope.WINDOW),
        ("time_since(x > 1) > 60 and x > 2", False, Scope.RECORD),
        ("power > 1.5 * baseline(power)", False, Scope.RECORD),
        ("avg(power) > 1.5 * baseline(power)", True, Scope.WINDOW),
        ("avg(power) > 5 and Device = 'd1'", True, Scope.WINDOW),
        ("count(*) < 5", True, Scope.WINDOW),
    ],
)
def test_an_expression_is_about_records_or_windows(text: str, windowed: bool, scope: Scope) -> None:
    assert scope_of(parse(text), windowed=windowed, by=("DEVICE",)) is scope


@pytest.mark.parametrize(
    ("text", "windowed", "column", "reason"),
    [
        ("x > avg(x)", False, 5, "avg(x) needs a window: give the rule over"),
        ("avg(x) > y", True, 10, "y has many values in the window that avg(x) is taken over; write last(y), say"),
        ("level > 1 and rate(x) > 2", True, 1, "level has many values in the window that rate(x) is taken over; write last(level), say"),
    ],
)
def test_records_and_windows_dont_mix(text: str, windowed: bool, column: int, reason: str) -> None:
    with pytest.raises(ExpressionRefused) as refused:
        scope_of(parse(text), windowed=windowed, by=("device",))
    assert (refused.value.column, refused.value.reason) == (column, reason)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("avg(temperature) > 80", ("avg(temperature)", 80.0)),
        ("-5 > temperature", ("temperature", -5.0)),
        ("device = 'd1' and (open and rate(x) <= -1.5) and y > 2", ("rate(x)", -1.5)),
        ("time_since(x) > 60", ("time_since(x)", 60.0)),
        ("a > 1 or b > 2", None),
        ("a > b", None),
        ("a + 1 > 2", None),
        ("device = 'd1'", None),
        ("open = true", None),
        ("not a > 1", None),
    ],
)
def test_the_threshold_is_the_number_that_a_term_must_pass(text: str, found: tuple[str, float] | None) -> None:
    threshold = threshold_of(parse(text))
    assert (None if threshold is None else (str(threshold[0]), threshold[1])) == found
