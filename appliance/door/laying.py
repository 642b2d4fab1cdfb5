"""Small submissions laid together: batches of the same columns, one after the other, are checked as one.

A check costs about the same for one row as for a thousand, so fifty messages of a row each are one batch of fifty. Which row
came from whom is kept, so that each submission gets its own receipt. Pure of I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from appliance.hot.series import I64
from appliance.records import Batch


@dataclass(frozen=True, slots=True)
class Laid:
    """Rows of one stream and where they came from."""

    batch: Batch
    owners: I64
    """Of each row: the place of its submission within the group; not falling."""


@dataclass(frozen=True, slots=True)
class _Origins:
    """The origin of rows that were laid together."""

    starts: I64
    batches: tuple[Batch, ...]

    def raw(self, row: int) -> bytes:
        batch, within = self._find(row)
        return raw_of(batch, within)

    def line(self, row: int) -> int:
        batch, within = self._find(row)
        return batch.origin.line(within) if batch.origin is not None else 0

    def _find(self, row: int) -> tuple[Batch, int]:
        at = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.batches[at], row - int(self.starts[at])


def lay_together(waiting: Sequence[tuple[int, Batch]]) -> Iterator[Laid]:
    """Pairs of owner and batch of one stream, in the order of arrival, as few batches as their columns allow."""
    first = 0
    for i in range(1, len(waiting) + 1):
        if i == len(waiting) or not _alike(waiting[first][1], waiting[i][1]):
            yield _lay(waiting[first:i])
            first = i


def raw_of(batch: Batch, row: int) -> bytes:
    """The original bytes of a row as far as the source knows them, else its values as text."""
    if batch.origin is not None:
        return batch.origin.raw(row)
    return str(batch.data.slice(row, 1).to_pylist()[0]).encode("utf-8", "backslashreplace")


def _alike(one: Batch, other: Batch) -> bool:
    return one.tags == other.tags and bool(one.data.schema.equals(other.data.schema))


def _lay(run: Sequence[tuple[int, Batch]]) -> Laid:
    first = run[0][1]
    sizes = [batch.rows for _, batch in run]
    owners = np.repeat(np.array([owner for owner, _ in run], dtype=np.int64), sizes)
    if len(run) == 1:
        return Laid(first, owners)
    batches = tuple(batch for _, batch in run)
    starts = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
    return Laid(replace(first, data=pa.concat_batches([b.data for b in batches]), origin=_Origins(starts, batches)), owners)
