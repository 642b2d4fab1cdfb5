"""All aggregates of a tracker: rows go in by slot, one value a session comes out for each aggregate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from appliance.hot.stream.sessions.arguments import Argument
from appliance.hot.stream.sessions.cells import Edge, Extreme
from appliance.hot.stream.sessions.values import F64, Places, SessionAggregate
from appliance.hot.stream.values import I64, Mask, Vector
from appliance.hot.stream.windows.aggregates import Function
from appliance.records import Kind

_INT_MAX = 2.0**63


class Measures:
    """Owned by ``Pool``, whose slots it goes by."""

    def __init__(self, aggregates: Sequence[SessionAggregate], *, values_max: int, values_total_max: int) -> None:
        self.aggregates = tuple(aggregates)
        retained = sum(a.function in (Function.DISTINCT, Function.QUANTILE) for a in self.aggregates)
        share = values_total_max // max(1, retained)
        self._arguments = {
            index: Argument((a for a in aggregates if a.argument == index), values_max=values_max, values_total_max=share)
            for index in sorted({a.argument for a in aggregates if a.argument is not None})
        }

    @property
    def bytes(self) -> int:
        return sum(argument.bytes for argument in self._arguments.values())

    def grow(self, size: int) -> None:
        """Makes room for so many slots."""
        for argument in self._arguments.values():
            argument.grow(size)

    def reset(self, slots: Places) -> None:
        """Makes slots clean."""
        for argument in self._arguments.values():
            argument.reset(slots)

    def add(self, slots: Places, ts: I64, vectors: Sequence[Vector], scratch: Places) -> None:
        """Takes in rows in the order of their sequences."""
        with np.errstate(over="ignore", invalid="ignore"):
            for index, argument in self._arguments.items():
                argument.add(slots, ts, vectors[index], scratch)

    def merge(self, target: int, source: int) -> None:
        """Takes what ``source`` has into ``target``."""
        with np.errstate(over="ignore", invalid="ignore"):
            for argument in self._arguments.values():
                argument.merge(target, source)

    def vectors(self, slots: Places, records: I64) -> tuple[Vector, ...]:
        """The value of each aggregate for some slots; ``records`` are those of each."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return tuple(self._vector(a, slots, records) for a in self.aggregates)

    def dump(self, slots: Places) -> list[tuple[Any, ...]]:
        """For each slot one JSON-able value an argument."""
        if not self._arguments:
            return [()] * len(slots)
        return list(zip(*(argument.dump(slots) for argument in self._arguments.values()), strict=True))

    def load(self, slot: int, body: Sequence[Any]) -> None:
        """Fills a clean slot."""
        for argument, part in zip(self._arguments.values(), body, strict=True):
            argument.load(slot, part)

    def _vector(self, aggregate: SessionAggregate, slots: Places, records: I64) -> Vector:
        if aggregate.argument is None:
            return Vector(records, np.ones(len(slots), np.bool_))
        argument = self._arguments[aggregate.argument]
        counts = argument.counts[slots]
        match aggregate.function:
            case Function.COUNT:
                return Vector(counts, np.ones(len(slots), np.bool_))
            case Function.DISTINCT:
                return Vector(*argument.different.count(slots))
            case Function.QUANTILE:
                return _finite(*argument.sample.quantile(slots, aggregate.parameter or 0.0))
            case Function.MIN | Function.MAX | Function.FIRST | Function.LAST:
                return _as_given(argument, aggregate.function, slots, counts > 0)
            case Function.DELTA | Function.RATE:
                return _change(argument, aggregate.function, slots, counts > 0)
            case Function.STDDEV:
                return _deviation(argument, slots, counts)
            case _:
                total = argument.sum.total[slots]
                return _finite(total if aggregate.function is Function.SUM else total / np.maximum(counts, 1), counts > 0)


def _finite(values: F64, valid: Mask) -> Vector:
    """What went over the range of a float is null: a stream takes finite numbers only."""
    return Vector(values, valid & np.isfinite(values))


def _as_given(argument: Argument, function: Function, slots: Places, valid: Mask) -> Vector:
    cells: dict[Function, Extreme | Edge] = {
        Function.MIN: argument.least,
        Function.MAX: argument.greatest,
        Function.FIRST: argument.first,
        Function.LAST: argument.last,
    }
    values = cells[function].value[slots]
    if argument.kind is Kind.TEXT:
        texts = {text: code for code, text in enumerate(dict.fromkeys(values[valid].tolist()))}
        codes = np.array([texts.get(text, 0) for text in values.tolist()], dtype=np.int32)
        return Vector(codes, valid, tuple(texts))
    if argument.kind is Kind.BOOL:
        return Vector(values == 1, valid)
    values[~valid] = 0
    return Vector(values, valid)


def _change(argument: Argument, function: Function, slots: Places, valid: Mask) -> Vector:
    first, last = argument.first, argument.last
    change = last.value[slots].astype(np.float64) - first.value[slots].astype(np.float64)
    if function is Function.DELTA and argument.kind is Kind.INT:
        fits = valid & (np.abs(change) < _INT_MAX)
        return Vector(np.where(fits, last.value[slots] - first.value[slots], 0), fits)
    if function is Function.DELTA:
        return _finite(change, valid)
    seconds = (last.ts[slots] - first.ts[slots]) / 1e6
    return _finite(np.where(valid, change, 0.0) / np.where(seconds > 0, seconds, 1.0), valid & (seconds > 0))


def _deviation(argument: Argument, slots: Places, counts: I64) -> Vector:
    """The standard deviation of a sample from shifted sums (Chan, Golub, LeVeque 1983, the shifted two-pass form in one pass)."""
    moments, n = argument.moments, np.maximum(counts, 2)
    total = moments.total[slots]
    variance = (moments.squares[slots] - total * total / n) / (n - 1)
    return _finite(np.sqrt(np.maximum(variance, 0.0)), counts > 1)
