"""What the codecs for files take and give: a target, and pieces of it one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from appliance.clock import Clock
from appliance.records import TS_TYPE, Batch, Column, Kind, Reject, Schema, fold


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a file: what can be committed in one transaction, with the place to go on after it."""

    batches: tuple[Batch, ...]
    rejects: tuple[Reject, ...]
    position_next: int
    """Offset in the (gunzipped) content, or the number of rows before it for Parquet."""
    last: bool
    """Nothing follows."""

    @property
    def rows(self) -> int:
        return sum(batch.rows for batch in self.batches)


Pieces = Iterator[Piece]


def no_schema() -> Schema | None:
    """The stream is new."""
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """The stream that a file goes to, and what is known of it: known kinds win over what the file's own cells suggest."""

    stream: str
    clock: Clock
    tags: tuple[str, ...] = ()
    """Columns that are tags by the config."""
    schema: Callable[[], Schema | None] = no_schema
    """The stream's columns at this moment; None: there is no such stream yet."""

    def kind_of(self, name: str) -> Kind | None:
        """The kind that a column has or shall have; None: its cells decide."""
        known = self.schema()
        column: Column | None = known.by_fold.get(fold(name)) if known else None
        if column is not None:
            return column.kind
        return Kind.TAG if fold(name) in {fold(tag) for tag in self.tags} else None


def arrival_times(rows: int, now_us: int) -> pa.Array:
    """Event times for records that bring none: the time of arrival, one microsecond apart, so that they keep their order and differ."""
    steps = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), rows))
    return pc.add(steps, now_us - 1).cast(TS_TYPE)
