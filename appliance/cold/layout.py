"""The order of rows within a segment: by what identifies a series, then by time.

Sorted so, a column of a series is a run of neighbours (3.8 bytes a record instead of 9.6 on the TSBS cpu stream) and the
statistics of a row group name the few series that it holds. Compaction merges such files without sorting them again.

Order is made of *words*: 64-bit integers, one array each, that compare like the columns do. Tags become their rank among all
values of the tag; as many ranks as fit are packed into one word, so that ten tags sort as one or two integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.clock import US_PER_DAY
from appliance.records import Kind, Schema, fold

Words = list[np.ndarray]
"""Most significant first; each int64 and as long as the rows."""

Known = dict[str, tuple[pa.Array, np.ndarray]]
"""Column -> a dictionary, and the code of null and of each of its entries."""

_WORD_MAX = 2**62
_WORDY = (Kind.TAG, Kind.INT, Kind.FLOAT, Kind.BOOL)


def sort_columns(schema: Schema, identity: Sequence[str] | None) -> tuple[str, ...]:
    """The columns that rows are sorted by, ``ts`` last; rows that agree in them lie in the order of their sequences.

    ``identity`` is that of ``StreamState.identity_columns``: twins must be neighbours, so when it is not simply all tags, it
    is the order. Columns of it that no record has had yet are null in all and left out.
    """
    if identity is None:
        return (*schema.tags, "ts")
    own = tuple(schema.by_fold[fold(c)].name for c in identity if fold(c) in schema.by_fold)
    return (*schema.tags, "ts") if set(own) == set(schema.tags) else (*own, "ts")


def mergeable(schema: Schema, columns: Sequence[str]) -> bool:
    """Whether the order by ``columns`` can be told in words without knowing every row: not for free text."""
    return all(schema.by_fold[fold(c)].kind in _WORDY for c in columns if c != "ts")


class Ranks:
    """The values of each tag in order, over all rows that will be compared; turns rows into words."""

    def __init__(self, values: Mapping[str, pa.Array]) -> None:
        self.values = values
        """Column -> its distinct values, sorted as bytes, without null."""

    @classmethod
    def of(cls, tables: Iterable[Any], columns: Sequence[str]) -> Ranks:
        """From the dictionaries of the tables' columns (text columns are made dictionaries first); absent columns are null."""
        seen: dict[str, list[pa.Array]] = {c: [] for c in columns}
        for table in tables:
            for name in columns:
                if name in table.column_names:
                    seen[name] += [_used(chunk) for chunk in _chunks(table.column(name))]
        return cls({name: merge_values(found) for name, found in seen.items()})

    def codes(self, column: Any, name: str, known: Known | None = None) -> np.ndarray:
        """For each row 1 + the rank of its value, 0 for null (null sorts first); int32.

        ``known`` keeps what was worked out for a dictionary between calls: the batches of a row group share theirs.
        """
        known = {} if known is None else known
        parts = []
        for chunk in _chunks(column):
            held = known.get(name)
            if held is None or not held[0].equals(chunk.dictionary):
                held = known[name] = (chunk.dictionary, _code_table(chunk.dictionary, self.values[name]))
            indices = chunk.indices.fill_null(-1) if chunk.null_count else chunk.indices
            parts.append(held[1][indices.to_numpy() + 1])
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def words(self, table: Any, columns: Sequence[str], *, codes: Mapping[str, np.ndarray]) -> Words:
        """The words of the rows by ``columns``; ``codes`` has the codes of those that are ranked, an absent column is null."""
        words: Words = []
        word, size = None, 1
        for name in columns:
            if name in codes:
                card = len(self.values[name]) + 1
                if word is None or size * card > _WORD_MAX:
                    word, size = np.zeros(table.num_rows, np.int64), 1
                    words.append(word)
                word *= card
                word += codes[name]
                size *= card
            elif name in table.column_names:
                word = None
                words += _plain_words(table.column(name))
        return words


def split_days(ts: np.ndarray, words: Words) -> Iterator[tuple[int, np.ndarray]]:
    """Each UTC day of ``ts`` (int64 microseconds), rising, with the rows of it in the order of ``words``.

    There is at least one row. The sort is stable: rows that agree in all words keep the order that they came in, which is
    that of their sequences.
    """
    days = ts // US_PER_DAY
    order = np.lexsort((*reversed(words), days))
    sorted_days = days[order]
    edges: np.ndarray = np.flatnonzero(np.r_[True, sorted_days[1:] != sorted_days[:-1], True])
    for start, stop in pairwise(edges):
        yield int(sorted_days[start]), order[start:stop]


def tag_array(codes: np.ndarray, values: pa.Array) -> pa.DictionaryArray:
    """The tag column of ``codes`` (as of ``Ranks.codes``) with only the values that occur in its dictionary, still sorted.

    A dictionary with values that don't occur would be written as it is, into each row group.
    """
    used = np.zeros(len(values) + 1, bool)
    used[codes] = True
    dense = np.cumsum(used[1:], dtype=np.int32) - np.int32(1)
    picked = np.r_[np.int32(0), dense][codes].astype(np.int32)
    nulls = codes == 0 if used[0] else None
    return pa.DictionaryArray.from_arrays(pa.array(picked, mask=nulls), values.take(pa.array(np.flatnonzero(used[1:]))))


def merge_values(parts: Sequence[pa.Array]) -> pa.Array:
    """The distinct values of all parts, sorted as bytes, without null."""
    if not parts:
        return pa.nulls(0, pa.string())
    values = pc.drop_null(pc.unique(pa.chunked_array(parts, pa.string())))
    return values.take(pc.array_sort_indices(values))


def _chunks(column: Any) -> list[Any]:
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [c if pa.types.is_dictionary(c.type) else c.dictionary_encode() for c in chunks]


def _used(chunk: Any) -> pa.Array:
    """The dictionary's entries that occur; dictionaries in the ring hold all that a whole batch had."""
    if len(chunk.dictionary) <= 1:
        return chunk.dictionary if len(chunk) > chunk.null_count else chunk.dictionary.slice(0, 0)
    return chunk.dictionary.take(pc.drop_null(pc.unique(chunk.indices)))


def _code_table(dictionary: pa.Array, values: pa.Array) -> np.ndarray:
    """The code of null, then of each entry of the dictionary."""
    ranks = pc.index_in(dictionary, value_set=values).fill_null(-1).to_numpy()
    return np.concatenate([[0], ranks + 1]).astype(np.int32)


def _plain_words(column: Any) -> Words:
    """A number column as it is, before it a word that sorts nulls first where there are any."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    nulls = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_floating(array.type):
        bits = (array.fill_null(0.0).to_numpy() + 0.0).view(np.int64)  # + 0.0: both zeros become one
        words = np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)
    else:
        kind = pa.uint8() if pa.types.is_boolean(array.type) else pa.int64()
        words = array.cast(kind).fill_null(0).to_numpy().astype(np.int64, copy=False)
    return [words] if pa.types.is_timestamp(array.type) else [nulls, words]
