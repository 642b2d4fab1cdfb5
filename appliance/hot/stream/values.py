"""What flows between the parts of the stream processor: rows, vectors, points, signals. Plain values, by column; no I/O."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.records import Kind

I64 = npt.NDArray[np.int64]
I8 = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]
Scalar = float | int | bool | str | None
"""One value of a condition, as it is stored and shown."""
Key = tuple[str | None, ...]
"""The values of the columns of ``by``, in their order."""
Extent = tuple[float, float]
"""The least and the largest of some values; infinity and its opposite when there is none; NaN twice when there is no saying."""
TRUE, HOLD, FALSE = 1, 0, -1
"""Levels: the condition holds; neither it nor its end can be said; it is over."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Committed records of one stream, in the order of their sequences."""

    data: pa.RecordBatch
    """Columns of ``Schema.arrow``: ``ts``, tags as dictionaries, fields. May lack columns that came later."""
    seqs: I64
    """The sequence of each row, rising; may have gaps."""
    made: dict[str, Vector] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Columns as vectors, by folded name, as far as somebody has asked for them."""
    computed: dict[Hashable, Vector] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Expressions over them, by expression, likewise."""
    hashes: dict[tuple[str, ...], npt.NDArray[np.uint64]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Of the values of some tags, by their names, likewise."""
    _ts: list[I64] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def ts(self) -> I64:
        """Event times in µs; not to be changed."""
        if not self._ts:
            column = self.data.column("ts")
            buffer = column.buffers()[1]
            none = buffer is None or not len(column)
            self._ts.append(np.empty(0, np.int64) if none else np.frombuffer(buffer, np.int64, len(column), column.offset * 8))
        return self._ts[0]

    def __len__(self) -> int:
        return int(self.data.num_rows)


@dataclass(frozen=True, slots=True)
class Vector:
    """A value a row. ``values`` is float64, int64, bool, or int32 codes into ``texts``; where ``valid`` is False the value is null."""

    values: npt.NDArray[np.float64] | I64 | Mask | npt.NDArray[np.int32]
    valid: Mask
    texts: tuple[str, ...] | None = None
    """The distinct texts that ``values`` points into; None for numbers and bools."""
    _extent: list[Extent] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def extent(self) -> Extent:
        """Of the values that are neither null nor NaN nor infinite; of texts there is no saying."""
        if not self._extent:
            self._extent.append(_extent_of(self.values, self.valid) if self.texts is None else (math.nan, math.nan))
        return self._extent[0]

    @property
    def kind(self) -> Kind:
        """Of its values."""
        if self.texts is not None:
            return Kind.TEXT
        if self.values.dtype == np.bool_:
            return Kind.BOOL
        return Kind.FLOAT if self.values.dtype == np.float64 else Kind.INT

    def at(self, row: int) -> Scalar:
        """One value."""
        if not self.valid[row]:
            return None
        value = self.values[row].item()
        return self.texts[value] if self.texts is not None else value  # type: ignore[no-any-return]

    def take(self, rows: npt.NDArray[np.intp]) -> Vector:
        """Some rows, in any order."""
        return Vector(self.values[rows], self.valid[rows], self.texts)


def _extent_of(values: npt.NDArray[Any], valid: Mask) -> Extent:
    if len(valid) and valid.all():
        low, high = float(values.min()), float(values.max())
        if math.isfinite(low) and math.isfinite(high):
            return low, high
    values = values[valid & np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (math.inf, -math.inf)


@dataclass(frozen=True, slots=True)
class Points:
    """Where a condition is evaluated, sorted by (key, order of happening): one entry a point, all arrays of the same length."""

    key: I64
    """Dense id of the key."""
    row: I64
    """The row of the round before which (leaving, closing) or after which (entering) the point happens; the number of rows for
    what happens after the last one."""
    at_us: I64
    """Event time of the point."""
    seq: I64
    """The record that made it; -1 where only time did."""
    vectors: tuple[Vector, ...]
    """One value a point for each aggregate or term, in the order in which they were asked for."""

    def __len__(self) -> int:
        return len(self.key)


class What(StrEnum):
    """What a signal says of one rule and key."""

    LEVEL = "level"
    """The level has changed (to ``level``)."""
    DUE = "due"
    """The key had a point at this time with an unchanged level: a pending alert may fire."""
    GAP = "gap"
    """No record for the rule's nodata or absent time; ``at_us`` is when that time was over."""
    BACK = "back"
    """The first record after a gap; a LEVEL follows when there is one."""
    ERROR = "error"
    """The condition can't be computed; ``reason`` says why."""
    LATE = "late"
    """A late record has changed the past: the condition would have held at ``at_us``."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that may move one alert, in the order of happening."""

    rule: str
    key: Key
    what: What
    at_us: int
    """Event time."""
    watermark_us: int
    """How far event time had come for everybody just before: timers due by then run first."""
    seq: int | None = None
    """The record that caused it; None where only time did."""
    level: int = HOLD
    values: Mapping[str, Scalar] = field(default_factory=dict)
    """Term as it is written in the rule (``avg(temperature)``) -> value."""
    reason: str = ""
