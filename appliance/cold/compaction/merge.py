"""Sorted files into one sorted stream of rows, in memory bounded by the slices held, without spilling to the disk.

Each file is read from its start, a slice at a time. What can be given out is every row up to the smallest of the last rows
held: nothing that is read later lies below it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import pyarrow as pa

from appliance.cold.compaction.coded import Coding, Input
from appliance.cold.layout import Words

_SLICE_ROWS_MAX = 65_536
_COPIES = 8
"""How often a slice is in memory at most: held with its words, put together, sorted, given out and waiting for its row group."""


def merge(inputs: Sequence[Input], coding: Coding, order: Sequence[str], *, memory_bytes: int) -> Iterator[pa.Table]:
    """Coded tables with all rows of all inputs, by ``order`` and then ``_seq``; each input lies in that order already."""
    share = memory_bytes // (len(inputs) * _COPIES)
    cursors = []
    for path, facts in inputs:
        rows = min(_SLICE_ROWS_MAX, facts.rows_within(share))
        cursors.append(_Cursor(coding.read(path, facts, rows=rows), facts.rows, coding, order, rows=rows))
    while cursors:
        for cursor in cursors:
            cursor.fill()
        bound = min((c.last for c in cursors if not c.ended), default=None)
        parts = [part for c in cursors if (part := c.take(bound))]
        cursors = [c for c in cursors if c.rows or not c.ended]
        if parts:
            yield _sorted(parts)


class _Cursor:
    """What is held of one input: its next rows, and their words."""

    def __init__(
        self, tables: Generator[tuple[int, pa.Table], None, None], rows_total: int, coding: Coding, order: Sequence[str], *, rows: int
    ) -> None:
        self.ended = rows_total == 0
        self._unread = rows_total
        self._tables = tables
        self._coding = coding
        self._order = order
        self._rows_wanted = rows
        self._table: pa.Table = coding.arrow.empty_table()
        self._words: Words = []

    @property
    def rows(self) -> int:
        return int(self._table.num_rows)

    @property
    def last(self) -> tuple[int, ...]:
        """The words of the last row held; there is one, unless the input has ended."""
        return tuple(int(w[-1]) for w in self._words)

    def fill(self) -> None:
        """Read on until half a slice is held, or to the end; a file is closed with its last row, since open ones take memory."""
        while not self.ended and self.rows * 2 < self._rows_wanted:
            read, table = next(self._tables)
            self._unread -= read
            if not self._unread:
                self.ended = True
                self._tables.close()
            if not table.num_rows:
                continue
            words = self._coding.words(table, self._order)
            if self.rows:
                table = pa.concat_tables([self._table, table])
                words = [np.concatenate(pair) for pair in zip(self._words, words, strict=True)]
            assert _rising(words), f"an input is not in the order {self._order}"
            self._table, self._words = table, words

    def take(self, bound: tuple[int, ...] | None) -> tuple[pa.Table, Words] | None:
        """The rows up to ``bound`` (all of them without one), which are held no longer; None: there are none."""
        if not self.rows:
            return None
        count = self.rows if bound is None else _count(self._words, bound)
        taken = self._table.slice(0, count), [w[:count] for w in self._words]
        self._table, self._words = self._table.slice(count), [w[count:] for w in self._words]
        return taken if count else None


def _sorted(parts: Sequence[tuple[pa.Table, Words]]) -> pa.Table:
    if len(parts) == 1:
        return parts[0][0]
    words = [np.concatenate(same) for same in zip(*(words for _, words in parts), strict=True)]
    return pa.concat_tables([table for table, _ in parts]).take(pa.array(np.lexsort(words[::-1])))


def _count(words: Words, bound: tuple[int, ...]) -> int:
    """How many of the sorted rows are not above ``bound``."""
    low, high = 0, len(words[0])
    for word, limit in zip(words, bound, strict=True):
        part = word[low:high]
        low, high = low + int(np.searchsorted(part, limit, "left")), low + int(np.searchsorted(part, limit, "right"))
    return high


def _rising(words: Words) -> bool:
    """Whether each row is above the one before it."""
    above = np.zeros(len(words[0]) - 1, bool)
    equal = np.ones(len(words[0]) - 1, bool)
    for word in words:
        above |= equal & (word[1:] > word[:-1])
        equal &= word[1:] == word[:-1]
    return bool(above.all())
