"""The series of one stream as slots: a series is one field of one set of tags. By column; a set of tags is hashed as in ``hot.series``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hot.series import U64
from appliance.hybrid.analysis.numeric.scored import I32, I64

Key = tuple[tuple[str, str | None], ...]
"""The tags of a series that are not null, in the order of the schema."""
NONE: Final = -1
"""No slot yet."""
LEFT_OUT: Final = -2
"""No slot ever: there were too many series."""
OVER_MAX: Final = 10_000
"""Sets of tags above the limit that are told apart; of more it is known that there are at least so many."""


@dataclass(slots=True)
class SlotPool:
    """The slots of one analysis: numbers from 0 on, at most ``slots_max`` of them."""

    slots_max: int
    used: int = 0
    free: list[int] = field(default_factory=list)
    """Slots that were given back, below ``used``."""

    def take(self) -> int:
        """A slot that nobody has; ``LEFT_OUT`` where there is none."""
        if self.free:
            return self.free.pop()
        if self.used >= self.slots_max:
            return LEFT_OUT
        self.used += 1
        return self.used - 1


class KeyTable:
    """The sets of tags of one stream by dense numbers, in the order in which they came."""

    def __init__(self, hashes: U64 | None = None, keys: list[Key] | None = None) -> None:
        """``hashes`` are in the order of ``keys``."""
        self.keys: list[Key] = keys or []
        self.hashes: U64 = np.empty(0, np.uint64) if hashes is None else hashes
        """By number."""
        self.over: U64 = np.empty(0, np.uint64)
        """Of sets above the limit, as far as they are remembered (``OVER_MAX``); rising."""
        self._sort()

    def __len__(self) -> int:
        return len(self.keys)

    def numbers(self, hashes: U64, data: pa.RecordBatch, tags: tuple[str, ...], *, keys_max: int) -> I64:
        """The number of each row's key; ``hashes`` are those of its ``tags``. New keys get theirs in the order of their first rows, up to
        ``keys_max`` of them; the rows of others have -1."""
        found = self._look(hashes)
        if (found < 0).any():
            rows = np.flatnonzero(found < 0)
            fresh, first = np.unique(hashes[rows], return_index=True)
            in_order = np.argsort(first)
            taken, over = np.split(in_order, [max(0, keys_max - len(self.keys))])
            if len(over) and len(self.over) < OVER_MAX:
                self.over = np.union1d(self.over, fresh[over])
            if len(taken):
                self._add(fresh[taken], rows[first[taken]], data, tags)
                found = self._look(hashes)
        return found

    def _add(self, hashes: U64, rows: npt.NDArray[np.intp], data: pa.RecordBatch, tags: tuple[str, ...]) -> None:
        columns = [data.column(tag).take(pa.array(rows)).to_pylist() for tag in tags]
        self.keys += [tuple((t, c[i]) for t, c in zip(tags, columns, strict=True) if c[i] is not None) for i in range(len(rows))]
        self.hashes = np.concatenate((self.hashes, hashes))
        self._sort()

    def _look(self, hashes: U64) -> I64:
        if not len(self._sorted):
            return np.full(len(hashes), -1, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        return np.where(self._sorted[at] == hashes, self._numbers[at], -1)

    def _sort(self) -> None:
        self._numbers: I64 = np.argsort(self.hashes, kind="stable").astype(np.int64)
        self._sorted: U64 = self.hashes[self._numbers]


@dataclass(slots=True)
class ColumnSlots:
    """The slots of one field by the number of the key."""

    slots: I32 = field(default_factory=lambda: np.empty(0, np.int32))

    def of(self, numbers: I64, keys: int) -> I32:
        """The slot of each row; ``NONE`` and ``LEFT_OUT`` as they are. There are so many keys."""
        if keys > len(self.slots):
            self.slots = np.append(self.slots, np.full(max(keys - len(self.slots), len(self.slots)), NONE, np.int32))
        return np.asarray(self.slots[numbers], dtype=np.int32)


def new_places(found: I32, numbers: I64) -> npt.NDArray[np.intp]:
    """Of rows without a slot the first of each key, in order."""
    rows = np.flatnonzero(found == NONE)
    if not len(rows):
        return rows
    _, first = np.unique(numbers[rows], return_index=True)
    return np.asarray(rows[np.sort(first)], dtype=np.intp)
