"""One argument of the aggregates: which of its values count, of what kind they are, and the cells that keep what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar

import numpy as np

from appliance.hot.stream.sessions.cells import Cell, Edge, Extreme, Given, Moments, Sum, resized
from appliance.hot.stream.sessions.retained import Different, Sample
from appliance.hot.stream.sessions.values import Places, SessionAggregate
from appliance.hot.stream.values import I64, Vector
from appliance.hot.stream.windows.aggregates import Function
from appliance.records import Kind

_LETTERS: Final = {"f": Kind.FLOAT, "i": Kind.INT, "b": Kind.BOOL, "t": Kind.TEXT}
_LETTER_OF: Final = {kind: letter for letter, kind in _LETTERS.items()}
_C = TypeVar("_C", bound=Cell)


class Argument:
    """Owned by ``Measures``. A cell is there only where an aggregate needs it, and shared by all that do."""

    def __init__(self, aggregates: Iterable[SessionAggregate], *, values_max: int, values_total_max: int) -> None:
        self._aggregates = tuple(aggregates)
        wanted = {aggregate.function for aggregate in self._aggregates}
        self.kind: Kind | None = None
        """What the values are; None before there were any."""
        self.counts: I64 = np.empty(0, np.int64)
        """Values of each slot."""
        self._cells: list[Cell] = []
        self.sum = self._kept(Sum(), needed=bool(wanted & {Function.SUM, Function.AVG}))
        self.moments = self._kept(Moments(), needed=Function.STDDEV in wanted)
        self.least = self._kept(Extreme(greatest=False), needed=Function.MIN in wanted)
        self.greatest = self._kept(Extreme(greatest=True), needed=Function.MAX in wanted)
        differs = bool(wanted & {Function.DELTA, Function.RATE})
        self.first = self._kept(Edge(latest=False), needed=differs or Function.FIRST in wanted)
        self.last = self._kept(Edge(latest=True), needed=differs or Function.LAST in wanted)
        limits = {"values_max": values_max, "values_total_max": values_total_max}
        self.sample = self._kept(Sample(**limits), needed=Function.QUANTILE in wanted)
        self.different = self._kept(Different(**limits), needed=Function.DISTINCT in wanted)

    def _kept(self, cell: _C, *, needed: bool) -> _C:
        if needed:
            self._cells.append(cell)
        return cell

    @property
    def bytes(self) -> int:
        return self.counts.nbytes + sum(cell.bytes for cell in self._cells)

    def grow(self, size: int) -> None:
        """Makes room for so many slots."""
        self.counts = resized(self.counts, size, 0)
        for cell in self._cells:
            cell.grow(size)

    def reset(self, slots: Places) -> None:
        """Makes slots clean."""
        self.counts[slots] = 0
        for cell in self._cells:
            cell.reset(slots)

    def add(self, slots: Places, ts: I64, vector: Vector, scratch: Places) -> None:
        """Takes in rows in the order of their sequences. Raises ``TypeError`` for a kind that doesn't go with what there is."""
        values = vector.values
        valid = vector.valid
        if values.dtype == np.float64:
            valid = valid & np.isfinite(values)
        if not valid.all():
            there = np.flatnonzero(valid)
            if not len(there):
                return
            slots, ts, values = slots[there], ts[there], values[there]
        kind = vector.kind
        if kind is not self.kind:
            self._meet(kind)
        if self.kind is Kind.FLOAT:
            values = values.astype(np.float64, copy=False)
        elif values.dtype != np.int64:
            values = values.astype(np.int64)
        np.add.at(self.counts, slots, 1)
        given = Given(slots, ts, values, vector.texts, scratch)
        for cell in self._cells:
            cell.add(given)

    def merge(self, target: int, source: int) -> None:
        """Takes the values of ``source`` into ``target``."""
        count = int(self.counts[source])
        if count:
            for cell in self._cells:
                if self.counts[target]:
                    cell.merge(target, source)
                else:
                    cell.load(target, cell.dump(np.array([source]))[0])
            self.counts[target] += count

    def dump(self, slots: Places) -> list[Any]:
        """One JSON-able value a slot: the kind's letter, the number of values, what each cell says; None without a value."""
        if self.kind is None:
            return [None] * len(slots)
        letter = _LETTER_OF[self.kind]
        columns = zip(self.counts[slots].tolist(), *(cell.dump(slots) for cell in self._cells), strict=True)
        return [(letter, *column) if column[0] else None for column in columns]

    def load(self, slot: int, body: Any) -> None:
        """Fills a clean slot. Raises ``TypeError`` as ``add`` does."""
        if body is None:
            return
        letter, count, *parts = body
        kind = _LETTERS[letter]
        if kind is not self.kind:
            self._meet(kind)
        for cell, part in zip(self._cells, parts, strict=True):
            cell.load(slot, part)
        self.counts[slot] = count

    def _meet(self, kind: Kind) -> None:
        """Values of another kind than so far: ints and floats are floats, as in the columns of a stream."""
        if self.kind is Kind.FLOAT and kind is Kind.INT:
            return
        if self.kind is not None and (self.kind, kind) != (Kind.INT, Kind.FLOAT):
            raise TypeError(f"values of one argument are {self.kind.value} and {kind.value}: the caller checks kinds")
        for aggregate in self._aggregates:
            if (reason := aggregate.refusal(kind)) is not None:
                raise TypeError(f"{aggregate.name}: {reason}: the caller checks kinds")
        self.kind = kind
        clean = np.flatnonzero(self.counts == 0)
        for cell in self._cells:
            cell.become(kind)
            cell.reset(clean)
