"""The table of sessions: one slot each, whether current or the one before; slots are given back and taken anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.sessions.cells import resized
from appliance.hot.stream.sessions.measures import Measures
from appliance.hot.stream.sessions.values import FAR, Places, SessionRows
from appliance.hot.stream.values import I64, Mask, Vector


class Pool:
    """Owned by ``SessionTracker``. All arrays are by slot; a slot that nobody has is clean."""

    def __init__(self, measures: Measures) -> None:
        self.measures = measures
        self.start: I64 = np.empty(0, np.int64)
        """Event time of the first record; ``FAR`` where clean."""
        self.last: I64 = np.empty(0, np.int64)
        """Event time of the last record; ``NEVER`` where clean."""
        self.records: I64 = np.empty(0, np.int64)
        self.first_seq: I64 = np.empty(0, np.int64)
        self.last_seq: I64 = np.empty(0, np.int64)
        self.settled: Mask = np.empty(0, np.bool_)
        """Whether its start can't move any more: the watermark has closed it, or it has been the one before."""
        self.given: Mask = np.empty(0, np.bool_)
        """Whether a row of it has gone out."""
        self.scratch: Places = np.empty(0, np.intp)
        self._free: Places = np.empty(0, np.intp)
        self._grow(1)

    @property
    def bytes(self) -> int:
        arrays = (self.start, self.last, self.records, self.first_seq, self.last_seq, self.settled, self.given, self.scratch, self._free)
        return sum(a.nbytes for a in arrays) + self.measures.bytes

    @property
    def sessions(self) -> int:
        """Slots in use."""
        return len(self.start) - len(self._free)

    def take(self, slots: int) -> Places:
        """So many clean slots."""
        if slots > len(self._free):
            self._grow(slots - len(self._free))
        left = len(self._free) - slots
        taken, self._free = self._free[left:], self._free[:left]
        return taken

    def release(self, slots: Places) -> None:
        """Takes slots back and makes them clean."""
        self.start[slots], self.last[slots] = FAR, NEVER
        self.records[slots] = 0
        self.first_seq[slots], self.last_seq[slots] = FAR, NEVER
        self.settled[slots] = self.given[slots] = False
        self.measures.reset(slots)
        self._free = np.concatenate([self._free, slots])

    def add(self, slots: Places, ts: I64, seqs: I64, vectors: Sequence[Vector]) -> None:
        """Takes in rows in the order of their sequences."""
        np.minimum.at(self.start, slots, ts)
        np.maximum.at(self.last, slots, ts)
        np.add.at(self.records, slots, 1)
        np.minimum.at(self.first_seq, slots, seqs)
        np.maximum.at(self.last_seq, slots, seqs)
        self.measures.add(slots, ts, vectors, self.scratch)

    def merge(self, target: int, source: int) -> None:
        """Makes one session of two; what ``source`` holds after that is of no meaning."""
        self.measures.merge(target, source)
        self.start[target] = min(self.start[target], self.start[source])
        self.last[target] = max(self.last[target], self.last[source])
        self.records[target] += self.records[source]
        self.first_seq[target] = min(self.first_seq[target], self.first_seq[source])
        self.last_seq[target] = max(self.last_seq[target], self.last_seq[source])
        self.given[target] |= self.given[source]

    def rows(self, ids: I64, slots: Places) -> tuple[SessionRows, Places]:
        """Sessions of the keys ``ids`` as rows, sorted by (key, start), and their slots in that order."""
        order = np.lexsort((self.start[slots], ids))
        at = slots[order]
        records = self.records[at]
        vectors = self.measures.vectors(at, records)
        return SessionRows(ids[order], self.start[at], self.last[at], records, self.first_seq[at], self.last_seq[at], vectors), at

    def dump(self, slots: Places) -> list[dict[str, Any]]:
        """One JSON-able value a slot."""
        arrays = (self.start, self.last, self.records, self.first_seq, self.last_seq, self.settled, self.given)
        columns = zip(*(a[slots].tolist() for a in arrays), self.measures.dump(slots), strict=True)
        return [dict(zip(_NAMES, column, strict=True)) for column in columns]

    def load(self, body: dict[str, Any]) -> int:
        """A slot filled from what ``dump`` gave."""
        slot = int(self.take(1)[0])
        start, last, records, first_seq, last_seq, settled, given, values = (body[name] for name in _NAMES)
        self.start[slot], self.last[slot], self.records[slot] = start, last, records
        self.first_seq[slot], self.last_seq[slot] = first_seq, last_seq
        self.settled[slot], self.given[slot] = settled, given
        self.measures.load(slot, values)
        return slot

    def _grow(self, wanted: int) -> None:
        have = len(self.start)
        size = have + max(wanted, have // 2, 64)
        self.start, self.last = resized(self.start, size, FAR), resized(self.last, size, NEVER)
        self.records = resized(self.records, size, 0)
        self.first_seq, self.last_seq = resized(self.first_seq, size, FAR), resized(self.last_seq, size, NEVER)
        self.settled, self.given = resized(self.settled, size, fill=False), resized(self.given, size, fill=False)
        self.scratch = resized(self.scratch, size, 0)
        self._free = np.concatenate([np.arange(have, size), self._free])
        self.measures.grow(size)


_NAMES = ("start_us", "last_us", "records", "first_seq", "last_seq", "settled", "given", "values")
