"""What waits in tables of windows until it goes into their panes, and what tables with the same keys do once for all of them.

In a flood all tables put into the panes what waits in the same round: then it is put together and sorted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from appliance.hot.stream.values import I64, Vector
from appliance.hot.stream.windows.batch import Batch

FLOOD_ROWS: Final = 4_096
"""Records of one round from which on it is a flood."""
FLOOD_WAITS: Final = 16_384
"""Records that wait in a flood: many enough that what a batch costs by itself counts for little, and few enough for the caches."""
_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Part:
    """Records that wait, in the order in which they came; arguments as of ``PaneTable.take``."""

    ids: I64
    ts: I64
    seqs: I64
    vectors: list[Vector]
    watermark: I64

    def take(self, some: I64) -> Part:
        """Some of them."""
        return Part(self.ids[some], self.ts[some], self.seqs[some], [v.take(some) for v in self.vectors], self.watermark[some])


@dataclass(frozen=True, slots=True)
class Facts:
    """Of records, at least one."""

    ids: I64
    ts: I64
    keys: int
    """One above the highest id."""
    most: int
    """No key has more records."""
    oldest_us: int
    newest_us: int


@dataclass(slots=True)
class Batches:
    """Shared by the tables of the same keys; ``begin`` and ``end`` are called around each round."""

    is_flood: bool = False
    is_due: bool = False
    """Whether in this round all tables put into the panes what waits."""
    _rows: int = 0
    _batch: Batch = field(default_factory=lambda: batch_of([]))
    _facts: Facts | None = None

    def begin(self, rows: int) -> None:
        """A round of so many records."""
        if self.is_due:
            self.is_flood, self._rows = False, 0
        self.is_flood |= rows >= FLOOD_ROWS
        self._rows += rows
        self.is_due = self.is_flood and self._rows >= FLOOD_WAITS

    def end(self) -> None:
        """Holds nothing of the round any more."""
        self._batch, self._facts = batch_of([]), None

    def of(self, parts: Sequence[Part]) -> Batch:
        """These parts; the same ones as were asked for last are the same batch."""
        if not self._batch.is_of([part.ids for part in parts]):
            self._batch = batch_of(parts)
        return self._batch

    def facts(self, ids: I64, ts: I64) -> Facts:
        """Of the records of a round."""
        found = self._facts
        if found is None or found.ids is not ids or found.ts is not ts:
            keys = int(ids.max()) + 1
            most = len(ids) if keys > 16 * len(ids) else int(np.bincount(ids).max())
            found = self._facts = Facts(ids, ts, keys, most, int(ts.min()), int(ts.max()))
        return found


def batch_of(parts: Sequence[Part]) -> Batch:
    """All of them, one behind the other."""
    return Batch([p.ids for p in parts], [p.ts for p in parts], [p.watermark for p in parts])


def joined(parts: Sequence[Part]) -> Part:
    """As one part."""
    if not parts:
        return Part(_NONE, _NONE, _NONE, [], _NONE)
    if len(parts) == 1:
        return parts[0]
    vectors = [
        Vector(np.concatenate([v.values for v in of]), np.concatenate([v.valid for v in of]))
        for of in zip(*(part.vectors for part in parts), strict=True)
    ]
    ids, ts, seqs, watermark = (np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "ts", "seqs", "watermark"))
    return Part(ids, ts, seqs, vectors, watermark)


def parted(part: Part, touched: I64) -> tuple[Part, Part]:
    """The records of the keys ``touched`` (rising) in the order of their sequences, and the others."""
    is_slow = np.isin(part.ids, touched)
    slow = np.flatnonzero(is_slow)
    return part.take(slow[np.argsort(part.seqs[slow])]), part.take(np.flatnonzero(~is_slow))
