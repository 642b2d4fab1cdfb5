"""Rows that tables take in without points, put together and sorted by key once for all tables that take the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.values import I64, Mask, Vector
from appliance.hot.stream.windows.aggregates import Numbers
from appliance.hot.stream.windows.argument import Argument
from appliance.hot.stream.windows.rounds import Round
from appliance.records import Kind

N = TypeVar("N", bound=np.generic)


@dataclass
class Batch:
    """Rows in parts, one behind the other, of each key in order of time; not to be changed. Whoever has the same parts may share it."""

    ids: Sequence[I64]
    ts: Sequence[I64]
    watermark: Sequence[I64]
    """Of each part, as of ``PaneTable.take``."""
    _values: dict[tuple[Kind | None, int, int], tuple[Sequence[Vector], Numbers, Mask]] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return sum(len(part) for part in self.ids)

    def is_of(self, ids: Sequence[I64]) -> bool:
        """Whether these are its parts themselves."""
        return len(ids) == len(self.ids) and all(a is b for a, b in zip(ids, self.ids, strict=True))

    @cached_property
    def _by_key(self) -> Round:
        return Round.of(whole(self.ids))

    @property
    def rows(self) -> Round:
        """Sorted by key, to be cut by whoever asked."""
        one = self._by_key
        return Round(one.order, one.key, one.key_starts, one.key_starts)

    @cached_property
    def times(self) -> I64:
        """Event times in the order of ``rows``."""
        return whole(self.ts).take(self._by_key.order)

    @cached_property
    def before(self) -> I64:
        """The watermark before each row, as they came."""
        return whole(self.watermark)

    def inputs(self, argument: Argument, vectors: Sequence[Vector]) -> tuple[Numbers, Mask]:
        """Values of an argument as they are kept and which of them count, in the order of ``rows``. ``vectors``: one for each part."""
        if any(vector.texts is not None for vector in vectors):
            return self._sorted(argument, vectors)
        name = (argument.kind, id(vectors[0]), id(vectors[-1]))
        found = self._values.get(name)
        if found is None or any(a is not b for a, b in zip(found[0], vectors, strict=True)):
            found = self._values[name] = (vectors, *self._sorted(argument, vectors))
        return found[1], found[2]

    def _sorted(self, argument: Argument, vectors: Sequence[Vector]) -> tuple[Numbers, Mask]:
        parts = [argument.values_of(vector) for vector in vectors]
        order = self._by_key.order
        return whole([values for values, _ in parts]).take(order), whole([ok for _, ok in parts]).take(order)


def whole(parts: Sequence[npt.NDArray[N]]) -> npt.NDArray[N]:
    """One behind the other; at least one part."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
