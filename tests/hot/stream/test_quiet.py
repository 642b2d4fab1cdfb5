"""What is said of a round from its extremes: never that a condition can't hold where it does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hot.stream.expression import compile_, parse, terms
from appliance.hot.stream.quiet import Extremes, may_hold
from appliance.hot.stream.values import Vector

CONDITIONS = (
    "a > 5",
    "a >= 5 and b < 3",
    "a < 5 or b >= 3",
    "5 < a",
    "3 >= a",
    "a = 5",
    "a between 2 and 5",
    "a > 5 and b is null",
    "a > 5 or not b > 3",
    "a != 5",
    "a - b > 3 and a > 5",
    "(a > 8 or b > 8) and (a < 2 or b < 2)",
    "a > 9007199254740993",
    "a = 9007199254740993",
)
NUMBERS = st.one_of(st.integers(0, 10).map(float), st.just(float("nan")), st.just(float("inf")))
INTS = st.one_of(st.integers(0, 10), st.sampled_from([2**53, 2**53 + 1, 2**53 + 2]))


def vectors(columns: list[list[float]], valid: list[list[bool]], *, ints: bool) -> list[Vector]:
    made = [np.array(c, dtype=np.int64) if ints else np.array(c, dtype=np.float64) for c in columns]
    return [Vector(c, np.array(v, dtype=np.bool_)) for c, v in zip(made, valid, strict=True)]


@pytest.mark.parametrize("text", CONDITIONS)
@given(data=st.data(), rows=st.integers(1, 6), ints=st.booleans())
def test_where_a_condition_holds_it_is_never_said_that_it_can_not(text: str, data: st.DataObject, rows: int, ints: bool) -> None:
    condition = parse(text)
    found = terms(condition)
    columns = [data.draw(st.lists(INTS if ints else NUMBERS, min_size=rows, max_size=rows)) for _ in found]
    valid = [data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)) for _ in found]
    given_ = vectors(columns, valid, ints=ints)
    told = may_hold(condition, {t: place for place, t in enumerate(found)})
    answer = compile_(condition, found).evaluate(given_, rows=rows)
    if told is not None and not told(Extremes(given_)):
        assert not (np.asarray(answer.values, dtype=np.bool_) & answer.valid).any()


@pytest.mark.parametrize(
    ("text", "holds"),
    [("a > 5", False), ("a > 1", True), ("a > 5 and a != 1", False), ("a > 5 or a > 6", False), ("a < 0", False), ("a = 9", False)],
)
def test_a_quiet_rule_is_told_by_its_extremes(text: str, holds: bool) -> None:
    condition = parse(text)
    told = may_hold(condition, {t: place for place, t in enumerate(terms(condition))})
    assert told is not None
    assert told(Extremes(vectors([[1.0, 3.0, 2.0]], [[True] * 3], ints=False))) is holds


@pytest.mark.parametrize("text", ["a is null", "not a > 5", "a != 5", "a - b > 3", "s = 'on'", "a > b", "a > 5 or b is null"])
def test_of_other_conditions_nothing_is_said(text: str) -> None:
    condition = parse(text)
    assert may_hold(condition, {t: place for place, t in enumerate(terms(condition))}) is None
