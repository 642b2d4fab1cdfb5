"""Plain work on states and on ragged ranges: taking, putting, joining elements, by column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.values import I64, Mask
from appliance.hot.stream.windows.aggregates import Places, State


def pick(state: State, places: Places | I64) -> State:
    """Some elements, in the order of ``places``."""
    return {name: column.take(places) for name, column in state.items()}


def put(state: State, places: Places | I64 | Mask, source: State) -> None:
    """Overwrites the elements at ``places`` with those of ``source``, which has at least the columns of ``state``."""
    for name, column in state.items():
        column[places] = source[name]


def choose(mask: Mask, yes: State, no: State) -> State:
    """Element by element one or the other."""
    return {name: np.where(mask, column, no[name]) for name, column in yes.items()}


def joined(parts: Sequence[State]) -> State:
    """One after the other; all have the columns of the first."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def blank(columns: dict[str, tuple[npt.DTypeLike, float | int]], count: int) -> State:
    """``count`` elements of no records at all."""
    return {name: np.full(count, identity, dtype=dtype) for name, (dtype, identity) in columns.items()}


def grown(state: State, columns: dict[str, tuple[npt.DTypeLike, float | int]], count: int) -> State:
    """The same, with blank elements at the end up to ``count``."""
    have = len(next(iter(state.values())))
    return joined([state, blank(columns, count - have)])


def ragged(starts: I64 | Places, counts: I64 | Places) -> I64:
    """The numbers ``starts[i], starts[i] + 1, …`` of each range, one range after the other."""
    total = int(counts.sum())
    if not total:
        return np.empty(0, np.int64)
    ends = np.cumsum(counts)
    return np.asarray(np.repeat(starts - (ends - counts), counts) + np.arange(total), dtype=np.int64)


def lower_bound(values: I64, low: I64, high: I64, wanted: I64) -> I64:
    """For each range ``[low, high)`` of ``values``, rising within it, the place of the first that is at least ``wanted``; else ``high``."""
    low, high = low.astype(np.int64), high.astype(np.int64)
    active = low < high
    while active.any():
        middle = (low + high) >> 1
        below = active & (values.take(middle, mode="clip") < wanted)
        low = np.where(below, middle + 1, low)
        high = np.where(active & ~below, middle, high)
        active = low < high
    return low
