"""A span is cut by the rows in it, so that no question about it needs more memory than one may."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.reconcile.derived.twins import parts_of
from appliance.spans import FIRST, LAST


@pytest.mark.parametrize(
    ("span", "held", "parts"),
    [
        ((0, 100), [], [(0, 100)]),
        ((0, 100), [(0, 100, 10)], [(0, 100)]),
        ((0, 100), [(0, 100, 20)], [(0, 50), (50, 100)]),
        ((50, LAST), [(0, 100, 40)], [(50, 75), (75, LAST)]),
        ((FIRST, LAST), [(0, 100, 20), (1000, 1100, 20)], [(FIRST, 50), (50, 1000), (1000, 1050), (1050, LAST)]),
        ((0, 100), [(7, 8, 1_000)], [(0, 7), (7, 100)]),
        ((0, 100), [(200, 300, 1_000)], [(0, 100)]),
    ],
)
def test_where_a_span_is_cut(span: tuple[int, int], held: list[tuple[int, int, int]], parts: list[tuple[int, int]]) -> None:
    assert list(parts_of(span, held, 10)) == parts


HELD = st.tuples(st.integers(0, 10_000), st.integers(1, 5_000), st.integers(1, 1_000)).map(lambda h: (h[0], h[0] + h[1], h[2]))


@given(st.lists(HELD, max_size=8), st.integers(0, 10_000), st.integers(1, 10_000), st.integers(1, 500))
def test_the_parts_follow_each_other_from_end_to_end(held: list[tuple[int, int, int]], low: int, length: int, rows_max: int) -> None:
    parts = list(parts_of((low, low + length), held, rows_max))
    assert (parts[0][0], parts[-1][1]) == (low, low + length)
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    assert all(a < b for a, b in parts)
