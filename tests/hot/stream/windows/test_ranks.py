from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.windows import ranks
from tests.examples import examples

VALUES = st.one_of(
    st.lists(st.integers(-3, 3), min_size=1, max_size=60), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60)
)


@pytest.mark.parametrize("sorts", [True, False])
@pytest.mark.parametrize("floats", [True, False])
@given(values=VALUES, data=st.data())
@settings(max_examples=examples(60), deadline=None)
def test_both_ways_give_what_sorting_gives(sorts: bool, floats: bool, values: list[int], data: st.DataObject) -> None:
    ranges = data.draw(st.lists(st.tuples(st.integers(0, len(values) - 1), st.integers(1, 60)), min_size=1, max_size=30))
    low = np.array([start for start, _ in ranges], np.int64)
    high = np.array([min(len(values), start + length) for start, length in ranges], np.int64)
    array = np.array(values, np.float64 if floats else np.int64)
    patched = pytest.MonkeyPatch()
    patched.setattr(ranks, "_sorting_is_less", lambda *_: sorts)
    patched.setattr(ranks, "_CHUNK_VALUES", 40)
    with patched.context():
        distinct = ranks.distinct(array, low, high)
        quantiles = ranks.quantile(array.astype(np.float64), low, high, 0.37)
    patched.undo()
    assert distinct.tolist() == [len(set(array[a:b].tolist())) for a, b in zip(low, high, strict=True)]
    expected = [np.quantile(array[a:b].astype(np.float64) / 2**10, 0.37) * 2**10 for a, b in zip(low, high, strict=True)]
    np.testing.assert_allclose(quantiles, expected, rtol=1e-9, atol=2**63 * 1e-9 if max(map(abs, values)) > 3 else 1e-9)


def test_the_cheaper_way_is_taken() -> None:
    many = np.arange(100_000)
    assert ranks._sorting_is_less(100_000, many - 60, many)
    assert not ranks._sorting_is_less(100_000, many - 5_000, many)
