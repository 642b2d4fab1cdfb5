"""Texts as words, by column: the one definition of a word for index, scan and query. Pure.

A word is a run of letters and digits, in lower case, without accents (NFKD, marks taken out). It counts by its first
``WORD_BYTES_MAX`` bytes, so that a megabyte without a space is one word of bounded size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

WORD_BYTES_MAX: Final = 48
"""Of UTF-8. Two words that differ only later are the same one; hashes in hex of up to 24 bytes are told apart, and so are UUIDs."""
_SPACE: Final = 32


def _ascii_table() -> U8:
    table = np.full(256, _SPACE, dtype=np.uint8)
    for low, high in ((b"0", b"9"), (b"a", b"z")):
        table[low[0] : high[0] + 1] = np.arange(low[0], high[0] + 1)
    table[ord("A") : ord("Z") + 1] = np.arange(ord("a"), ord("z") + 1)
    table[128:] = np.arange(128, 256)
    return table


_TABLE: Final = _ascii_table()
"""Byte -> itself, in lower case, or a space. Bytes of other characters are left: what is no letter among them is a space already."""


@dataclass(frozen=True, slots=True)
class Split:
    """The words of a column of texts, in order."""

    data: U8
    """Bytes of all texts as words, with what is between them as spaces."""
    begin: I64
    """Of each word in ``data``."""
    size: I64
    """Its bytes, at most ``WORD_BYTES_MAX``."""
    row: I64
    """The row of the column that it stands in; rising."""
    rows: int
    is_plain: bool
    """Whether all texts are ASCII: places in ``data`` are places in the texts then."""

    def __len__(self) -> int:
        return len(self.begin)


def split(texts: Any) -> Split:
    """The words of a column of strings (array or chunked array; null is an empty text)."""
    column = _one_array(texts)
    plain, data, offsets = _normalised(column)
    is_word = data != _SPACE
    cut = np.zeros(len(data) + 1, np.bool_)
    cut[offsets] = True  # a word ends where its text does, also where the next text begins with one
    before, here = np.append(False, is_word), np.append(is_word, False)
    begin, end = np.flatnonzero(here & (~before | cut)), np.flatnonzero(before & (~here | cut))
    row = np.repeat(np.arange(len(column), dtype=np.int64), np.diff(np.searchsorted(begin, offsets)))
    return Split(data, begin, np.minimum(end - begin, WORD_BYTES_MAX), row, len(column), plain)


def words_of(text: str) -> tuple[bytes, ...]:
    """The words of one text, in order."""
    found = split(pa.array([text], pa.string()))
    return tuple(found.data[b : b + n].tobytes() for b, n in zip(found.begin.tolist(), found.size.tolist(), strict=True))


def _one_array(texts: Any) -> Any:
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0)
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    return texts


def _normalised(column: Any) -> tuple[bool, U8, I64]:
    """Whether all is ASCII, the bytes as words and spaces, and where each text begins (one more at the end)."""
    data, offsets = _buffers(column)
    if not len(data) or int(data.max()) < 128:
        return True, _TABLE[data], offsets
    data, offsets = _buffers(_unaccented(column))
    return False, _TABLE[data], offsets


def _unaccented(column: Any) -> Any:
    flat = pc.replace_substring_regex(pc.utf8_normalize(column, form="NFKD"), r"\p{M}+", "")
    return pc.replace_substring_regex(pc.utf8_lower(flat), r"[^\p{L}\p{N}]+", " ")


def _buffers(column: Any) -> tuple[U8, I64]:
    """Bytes and offsets of an array of strings, both from zero on."""
    if len(column) == 0:
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    is_large = pa.types.is_large_string(column.type)
    if column.null_count:
        column = column.fill_null("")
    _, places, values = column.buffers()
    kind = np.int64 if is_large else np.int32
    offsets = np.frombuffer(places, kind, count=len(column) + 1, offset=column.offset * np.dtype(kind).itemsize).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    data = np.zeros(0, np.uint8) if values is None else np.frombuffer(values, np.uint8)[first:last]
    return data, offsets - first
