"""The series of one stream as slots: a series is one field of one set of tags. By column; a set of tags is hashed as in ``hot.series``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hot.series import U64
from appliance.hybrid.analysis.numeric.scored import I32, I64
from appliance.records import fold

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
    given: int = 0
    """How often one was, since this was made."""

    @property
    def is_full(self) -> bool:
        """Whether there is no slot left."""
        return not self.free and self.used >= self.slots_max

    def give_back(self, slots: Iterable[int]) -> None:
        """Nobody has these any more; the lowest are taken first."""
        self.free = sorted({*self.free, *slots}, reverse=True)

    def take(self) -> int:
        """A slot that nobody has; ``LEFT_OUT`` where there is none."""
        if self.is_full:
            return LEFT_OUT
        self.given += 1
        if self.free:
            return self.free.pop()
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

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Only those that are kept; they are numbered anew, in their order. Those above the limit may come in again."""
        self.keys = [key for key, is_kept in zip(self.keys, kept.tolist(), strict=True) if is_kept]
        self.hashes = self.hashes[kept]
        self.forget_over()
        self._sort()

    def forget_over(self) -> None:
        """There is room again."""
        self.over = np.empty(0, np.uint64)

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


class SlotTable:
    """The slots of the fields of one stream, by the number of the key: ``NONE``, ``LEFT_OUT``, or a slot."""

    def __init__(self) -> None:
        self._fields: dict[str, int] = {}
        """Folded name -> row of the table."""
        self._slots: I32 = np.empty((0, 0), np.int32)

    def rows(self, names: Sequence[str]) -> npt.NDArray[np.intp]:
        """The row of each field; a new one has no slots."""
        for name in names:
            if fold(name) not in self._fields:
                self._fields[fold(name)] = len(self._fields)
                self._slots = np.vstack((self._slots, np.full((1, self._slots.shape[1]), NONE, np.int32)))
        return np.array([self._fields[fold(name)] for name in names], np.intp)

    def grow(self, keys: int) -> None:
        """There are so many keys."""
        new = keys - self._slots.shape[1]
        if new > 0:
            more = np.full((len(self._slots), max(new, self._slots.shape[1])), NONE, np.int32)
            self._slots = np.concatenate((self._slots, more), axis=1)

    def of(self, rows: npt.NDArray[np.intp], numbers: I64) -> I32:
        """By field and record, of keys that have a number; what is there of others means nothing."""
        return np.asarray(self._slots[rows[:, None], numbers], np.int32)

    def allot(self, rows: npt.NDArray[np.intp], numbers: I64, pool: SlotPool) -> None:
        """Slots for pairs of field and key that have none, in this order; a pair may be there again."""
        pairs, first = np.unique(rows * self._slots.shape[1] + numbers, return_index=True)
        for pair in pairs[np.argsort(first)].tolist():
            row, number = divmod(pair, self._slots.shape[1])
            self._slots[row, number] = pool.take()

    def of_keys(self, which: npt.NDArray[np.intp]) -> I32:
        """All slots of these keys."""
        found = self._slots[:, which]
        return np.asarray(np.sort(found[found >= 0]), np.int32)

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Only the keys that are kept, numbered anew, in their order."""
        self._slots = self._slots[:, : len(kept)][:, kept]

    def try_again(self) -> None:
        """There is room again: those that were left out may get a slot."""
        self._slots[self._slots == LEFT_OUT] = NONE

    def by_field(self) -> Iterator[tuple[str, I32]]:
        """Folded name of each field, and its slots by the number of the key."""
        for name, row in self._fields.items():
            yield name, np.asarray(self._slots[row], np.int32)

    @property
    def given(self) -> I32:
        """The slots of all series."""
        return np.asarray(self._slots[self._slots >= 0], np.int32)

    @property
    def left_out(self) -> int:
        """Series without one."""
        return int((self._slots == LEFT_OUT).sum())

    def dump(self, keys: int) -> dict[str, bytes]:
        """By field, of so many keys."""
        return {name: self._slots[row, :keys].tobytes() for name, row in self._fields.items()}

    def load(self, dumped: Mapping[str, bytes]) -> None:
        """What ``dump`` gave."""
        self._fields = {name: row for row, name in enumerate(dumped)}
        found = [np.frombuffer(slots, np.int32) for slots in dumped.values()]
        self._slots = np.vstack(found) if found else np.empty((0, 0), np.int32)
