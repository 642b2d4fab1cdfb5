from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.expression import columns_to_vectors, vector_of
from appliance.records import ARROW_OF, TAG_TYPE, Kind
from tests.examples import examples
from tests.hot.stream.expression.expressions import KINDS
from tests.hot.stream.expression.vectors import Row, batch_of, listed, rows_of


def plain(value: Any) -> Any:
    """NaN and infinities count as null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(rows=st.lists(rows_of, max_size=40), cut=st.tuples(st.integers(0, 40), st.integers(0, 40)))
@settings(max_examples=examples(200), deadline=None)
def test_a_vector_holds_what_the_column_holds_also_of_a_slice(rows: list[Row], cut: tuple[int, int]) -> None:
    batch = batch_of(rows).slice(min(cut[0], len(rows)), cut[1])
    vectors = columns_to_vectors(batch, list(KINDS))
    for name, vector in zip(KINDS, vectors, strict=True):
        assert listed(vector, batch.num_rows) == [plain(v) for v in batch.column(name).to_pylist()]
        assert vector.texts is None or len(set(vector.texts)) == len(vector.texts)


def test_names_are_found_without_case_and_what_is_missing_is_null() -> None:
    batch = pa.RecordBatch.from_pydict({"Temp": [1.0, None], "ts": [1, 2]})
    found, missing = columns_to_vectors(batch, ["temp", "nowhere"])
    assert listed(found, 2) == [1.0, None]
    assert listed(missing, 2) == [None, None]


@pytest.mark.parametrize(("kind", "values"), [(Kind.FLOAT, [1.0, 2.0, 3.0]), (Kind.INT, [1, 2, 3])])
def test_numbers_are_not_copied(kind: Kind, values: list[Any]) -> None:
    for array in (pa.array(values, ARROW_OF[kind]), pa.array([0, None, *values], ARROW_OF[kind])[1:]):
        address = array.buffers()[1].address + array.offset * 8
        assert vector_of(array).values.ctypes.data == address


def test_large_dictionaries_are_cut_to_what_occurs() -> None:
    texts = [f"device {n}" for n in range(10_000)]
    codes = pa.array([9_000, 5, None, 9_000], pa.int32())
    vector = vector_of(pa.DictionaryArray.from_arrays(codes, texts))
    assert listed(vector, 4) == ["device 9000", "device 5", None, "device 9000"]
    assert vector.texts is not None
    assert len(vector.texts) <= 3


def test_a_dictionary_that_repeats_itself_or_holds_null_is_put_right() -> None:
    codes = pa.array([0, 1, 2, 3, None], pa.int32())
    vector = vector_of(pa.DictionaryArray.from_arrays(codes, pa.array(["a", "a", None, "b"])))
    assert listed(vector, 5) == ["a", "a", None, "b", None]
    assert vector.texts == ("a", "b")


def test_an_empty_dictionary_is_null_throughout() -> None:
    vector = vector_of(pa.array([None, None], pa.string()).dictionary_encode().cast(TAG_TYPE))
    assert listed(vector, 2) == [None, None]
    assert vector.values.dtype == np.int32


def test_small_codes_are_widened() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), pa.array(["a", "b"]))
    assert listed(vector_of(array), 3) == ["b", "a", None]


def test_a_type_that_no_column_has_is_an_error() -> None:
    with pytest.raises(TypeError, match="no column of a stream is timestamp"):
        vector_of(pa.array([1], pa.timestamp("us")))
