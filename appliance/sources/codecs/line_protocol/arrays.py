"""Between NumPy and Arrow without a copy, for memory that is already laid out as Arrow wants it.

``pa.array`` and ``np.asarray`` look at what they are given first, which takes as long again for a column of one value, and import
pandas where that is installed: half a second and 40 MB that nothing here needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def numbers_array(values: npt.NDArray[Any], arrow_type: Any, *, present: npt.NDArray[np.int64] | None = None) -> Any:
    """``values`` (contiguous, as wide as ``arrow_type``) without a copy; null but at the indices ``present``, without nulls if None."""
    validity = None
    if present is not None and len(present) < len(values):
        flags = np.zeros(len(values), dtype=np.bool_)
        flags[present] = True
        validity = pa.py_buffer(np.packbits(flags, bitorder="little"))
    return pa.Array.from_buffers(arrow_type, len(values), [validity, pa.py_buffer(values)])


def bools_array(values: npt.NDArray[np.bool_]) -> Any:
    """``values`` as ``bool``, without nulls."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))])


def texts_array(texts: Sequence[str]) -> Any:
    """``texts`` as ``string``, without nulls; together less than 2 GiB."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def views_array(views: npt.NDArray[np.uint64], text: npt.NDArray[np.uint8]) -> Any:
    """String views (two words each) into ``text``, which stays where it is."""
    return pa.Array.from_buffers(pa.string_view(), len(views), [None, pa.py_buffer(views), pa.py_buffer(text)])


def numbers_of(array: Any, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """The values of an Arrow array without nulls, whose type is as wide as ``dtype``; read-only."""
    return np.frombuffer(array.buffers()[1], dtype=dtype)[array.offset : array.offset + len(array)]
