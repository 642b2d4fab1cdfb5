"""Puts parts together: as few batches as can be, each column of one type, rows in the order of the body's lines.

Order matters: of two lines with the same tags and time the later one wins at the door, so it must come later here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.records import ARROW_OF, Batch, Kind, fold, widest
from appliance.sources.codecs.line_protocol import bounds
from appliance.sources.codecs.line_protocol.arrays import numbers_array
from appliance.sources.codecs.line_protocol.values import BodyLines, Ints, Part

_CLASS = {Kind.TAG: 1, Kind.FLOAT: 2, Kind.INT: 2, Kind.BOOL: 3, Kind.TEXT: 4}
"""Kinds of one class fit one column."""


@dataclass(slots=True)
class _Slot:
    """A column on its way: its name as first written, the kinds it came in, and its array in each part that has it."""

    name: str
    kinds: list[Kind] = field(default_factory=list)
    arrays: dict[int, tuple[Kind, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Run:
    """All rows of a measurement in order; a column of clashing types is there once for each."""

    stream: str
    ts: Any
    columns: Sequence[tuple[str, Kind, Any]]
    origin: BodyLines

    def batch(self, start: int, stop: int) -> Batch:
        """Rows ``start`` to ``stop``, without the columns that are empty there."""
        size = stop - start
        cut = [(name, kind, array.slice(start, size)) for name, kind, array in self.columns]
        held = [column for column in cut if column[2].null_count < size]
        arrays = [self.ts.slice(start, size), *(array for _, _, array in held)]
        data = pa.RecordBatch.from_arrays(arrays, names=["ts", *(name for name, _, _ in held)])
        origin = self.origin
        where = (array[start:stop] for array in (origin.lines, origin.starts, origin.ends))
        return Batch(self.stream, tuple(name for name, kind, _ in held if kind is Kind.TAG), data, BodyLines(origin.body, *where))


def to_batches(parts: Iterable[Part], body: bytes) -> tuple[Batch, ...]:
    """One batch for each measurement, in the order of their first lines; more only where a column changes between types that don't fit.

    Names that differ only in case are one; the first spelling stands. Integers in a column that also has floats become floats.
    """
    streams: dict[str, list[Part]] = {}
    for part in sorted(parts, key=lambda part: int(part.lines[0])):
        streams.setdefault(fold(part.shape.stream), []).append(part)
    bounds.check(len(streams), bounds.BATCHES_MAX, "measurements")
    batches: list[Batch] = []
    cells = 0
    for same in streams.values():
        if len(same) == 1:
            batches.append(_only_batch(same[0], body))
            continue
        slots = _slots(same)
        cells += len(slots) * sum(len(part.lines) for part in same)
        bounds.check(cells, bounds.CELLS_MAX, "cells, most of them empty")
        batches += _merged_batches(same, slots, body)
        bounds.check(len(batches), bounds.BATCHES_MAX, "measurements and changes of type")
    return tuple(batches)


def _only_batch(part: Part, body: bytes) -> Batch:
    data = pa.RecordBatch.from_arrays([part.ts, *part.arrays], names=["ts", *part.shape.tags, *part.shape.fields])
    return Batch(part.shape.stream, part.shape.tags, data, BodyLines(body, part.lines, part.starts, part.ends))


def _merged_batches(parts: Sequence[Part], slots: Sequence[_Slot], body: bytes) -> list[Batch]:
    lines = np.concatenate([part.lines for part in parts])
    order = None if (lines[1:] > lines[:-1]).all() else np.argsort(lines)
    row_of = np.arange(len(lines))
    if order is not None:
        row_of[order] = np.arange(len(lines))
    rows = _Rows(np.split(row_of, np.cumsum([len(part.lines) for part in parts])[:-1]), len(lines))
    columns = ((slot.name, kind, rows.column(slot, kind)) for slot in slots for kind in _target_kinds(slot.kinds))
    whole = _Run(
        parts[0].shape.stream,
        _ordered(pa.concat_arrays([part.ts for part in parts]), order),
        sorted(columns, key=lambda column: column[1] is not Kind.TAG),
        BodyLines(body, *(_ordered_ints([getattr(part, name) for part in parts], order) for name in ("lines", "starts", "ends"))),
    )
    cuts = sorted({0, len(lines)}.union(*(rows.type_changes(slot) for slot in slots if widest(slot.kinds) is None)))
    bounds.check(len(cuts), bounds.BATCHES_MAX, "changes of a column between types that do not fit")
    bounds.check(len(cuts) * len(slots), bounds.SHAPE_COLUMNS_MAX, "columns in batches that changes of type make")
    return [whole.batch(start, stop) for start, stop in pairwise(cuts)]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the records of each part come to lie."""

    of_part: Sequence[Ints]
    number: int

    def column(self, slot: _Slot, kind: Kind) -> Any:
        """The column over all rows; null where a part lacks it or has it in a type that does not fit ``kind``."""
        held = {part: (came, array) for part, (came, array) in slot.arrays.items() if _CLASS[came] == _CLASS[kind]}
        target = ARROW_OF[kind]
        pieces = [array if came is kind else array.cast(target, safe=False) for came, array in held.values()]
        chunks = pa.chunked_array(pieces, type=target)
        whole = (chunks.unify_dictionaries() if kind is Kind.TAG else chunks).combine_chunks()
        rows = np.concatenate([self.of_part[part] for part in held])
        if len(rows) == self.number and (rows[1:] > rows[:-1]).all():
            return whole
        source = np.zeros(self.number, dtype=np.int64)
        source[rows] = np.arange(len(rows))
        return whole.take(numbers_array(source, pa.int64(), present=rows))

    def type_changes(self, slot: _Slot) -> list[int]:
        """The rows from which on a column of clashing types has another type than before."""
        types = np.zeros(self.number, dtype=np.int8)
        for part, (came, _) in slot.arrays.items():
            types[self.of_part[part]] = _CLASS[came]
        has = np.flatnonzero(types)
        changes: list[int] = (has[1:][np.diff(types[has]) != 0]).tolist()
        return changes


def _slots(parts: Sequence[Part]) -> list[_Slot]:
    """The columns of all parts, in the order of their first appearance."""
    slots: dict[str, _Slot] = {}
    for number, part in enumerate(parts):
        for column, array in zip(part.shape.columns, part.arrays, strict=True):
            slot = slots.setdefault(fold(column.name), _Slot(column.name))
            if column.kind not in slot.kinds:
                slot.kinds.append(column.kind)
            slot.arrays[number] = (column.kind, array)
    return list(slots.values())


def _target_kinds(kinds: Sequence[Kind]) -> list[Kind]:
    """The kinds that a column ends up in: integers are floats where there are floats."""
    return [kind for kind in kinds if kind is not Kind.INT or Kind.FLOAT not in kinds]


def _ordered(array: Any, order: Ints | None) -> Any:
    return array if order is None else array.take(numbers_array(order, pa.int64()))


def _ordered_ints(arrays: Sequence[Ints], order: Ints | None) -> Ints:
    whole = np.concatenate(arrays)
    return whole if order is None else whole[order]
