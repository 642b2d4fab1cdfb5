"""Texts as numbers of their distinct shapes, by column. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hybrid.analysis.texts.masks import clipped, shapes

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def coded(texts: pa.Array) -> tuple[I32, list[str]]:
    """The place of each text's shape in the list of distinct shapes; the place after the last for null.

    ``texts``: of type ``string``, ``large_string`` or a dictionary of such.
    """
    encoded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
    distinct = shapes(clipped(encoded.dictionary)).dictionary_encode()
    found: list[str | None] = distinct.dictionary.to_pylist()
    of_text = np.append(_places(distinct.indices, len(found)), len(found)).astype(np.int32)
    return of_text[_places(encoded.indices, len(of_text) - 1)], [shape or "" for shape in found]


def firsts(codes: I32, count: int) -> Iterator[tuple[int, int]]:
    """The row at which each code is there first, and the code, in the order of the rows; only codes below ``count``, without null."""
    distinct, rows = np.unique(codes, return_index=True)
    order = np.argsort(rows)
    yield from ((row, code) for row, code in zip(rows[order].tolist(), distinct[order].tolist(), strict=True) if code < count)


def _places(indices: pa.Array, for_null: int) -> I32:
    return np.asarray(indices.fill_null(for_null).to_numpy(zero_copy_only=False), np.int32)
