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
    return tuple(batch for same in streams.values() for batch in _stream_batches(same, body))


def _stream_batches(parts: Sequence[Part], body: bytes) -> list[Batch]:
    if len(parts) == 1:
        part = parts[0]
        data = pa.RecordBatch.from_arrays([part.ts, *part.arrays], names=["ts", *part.shape.tags, *part.shape.fields])
        return [Batch(part.shape.stream, part.shape.tags, data, BodyLines(body, part.lines, part.starts, part.ends))]
    lines = np.concatenate([part.lines for part in parts])
    order = None if (lines[1:] > lines[:-1]).all() else np.argsort(lines)
    sizes = [len(part.lines) for part in parts]
    slots = _slots(parts)
    whole = _Run(
        parts[0].shape.stream,
        _ordered(pa.concat_arrays([part.ts for part in parts]), order),
        sorted(
            ((slot.name, kind, _ordered(_whole(slot, kind, sizes), order)) for slot in slots for kind in _target_kinds(slot.kinds)),
            key=lambda column: column[1] is not Kind.TAG,
        ),
        BodyLines(body, *(_ordered_ints([getattr(part, name) for part in parts], order) for name in ("lines", "starts", "ends"))),
    )
    clashing = (slot for slot in slots if widest(slot.kinds) is None)
    cuts = sorted({0, len(lines)}.union(*(_type_changes(slot, sizes, order) for slot in clashing)))
    return [whole.batch(start, stop) for start, stop in pairwise(cuts)]


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


def _whole(slot: _Slot, kind: Kind, sizes: Sequence[int]) -> Any:
    """The column over all parts; null where a part lacks it or has it in a type that does not fit ``kind``."""
    target = ARROW_OF[kind]
    pieces = []
    for number, size in enumerate(sizes):
        came, array = slot.arrays.get(number, (None, None))
        if came is not None and array is not None and _CLASS[came] == _CLASS[kind]:
            pieces.append(array if came is kind else array.cast(target, safe=False))
        else:
            pieces.append(pa.nulls(size, target))
    chunks = pa.chunked_array(pieces, type=target)
    return (chunks.unify_dictionaries() if kind is Kind.TAG else chunks).combine_chunks()


def _ordered(array: Any, order: Ints | None) -> Any:
    return array if order is None else array.take(numbers_array(order, pa.int64()))


def _ordered_ints(arrays: Sequence[Ints], order: Ints | None) -> Ints:
    whole = np.concatenate(arrays)
    return whole if order is None else whole[order]


def _type_changes(slot: _Slot, sizes: Sequence[int], order: Ints | None) -> list[int]:
    """The rows from which on a column of clashing types has another type than before."""
    came = [_CLASS[slot.arrays[number][0]] if number in slot.arrays else 0 for number in range(len(sizes))]
    types = np.repeat(came, sizes)
    if order is not None:
        types = types[order]
    has = np.flatnonzero(types)
    changes: list[int] = (has[1:][np.diff(types[has]) != 0]).tolist()
    return changes
