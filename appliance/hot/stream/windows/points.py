"""Points made of states: the values of all aggregates, and the order of happening."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.hot.stream.values import I64, Points, Vector
from appliance.hot.stream.windows.aggregates import Aggregate, Function, Numbers, State
from appliance.hot.stream.windows.ranks import distinct, quantile
from appliance.hot.stream.windows.results import vectors_of
from appliance.hot.stream.windows.store import Store


@dataclass(slots=True)
class Found:
    """Points before their aggregates are taken."""

    key: I64
    row: I64
    at_us: I64
    seq: I64
    state: State
    """As stretches."""

    def __len__(self) -> int:
        return len(self.key)


def finished(store: Store, found: Found) -> Points:
    """The values of all aggregates. Remembers of which keys there were too many."""
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = vectors_of(store.layout, found.state, _valued(store, found))
    return Points(found.key, found.row, found.at_us, found.seq, vectors)


def nothing(store: Store) -> Points:
    """No points."""
    return finished(store, empty(store))


def empty(store: Store) -> Found:
    """No points yet."""
    none = np.empty(0, np.int64)
    state = {name: np.empty(0, dtype=dtype) for name, (dtype, _) in store.layout.columns.items()}
    return Found(none, none, none, none, state)


def merged(rows: Found, timed: Found, slots: I64) -> Found:
    """Points of rows (sorted) with points of time among them, each before the row ``slots`` (not falling) of ``rows``."""
    if not len(timed):
        return rows
    if not len(rows):
        return timed
    at_timed = slots + np.arange(len(timed))
    at_rows = np.arange(len(rows)) + np.cumsum(np.bincount(slots, minlength=len(rows)))[: len(rows)]

    def woven(of_rows: Numbers, of_timed: Numbers) -> Numbers:
        whole = np.empty(len(rows) + len(timed), np.result_type(of_rows, of_timed))
        whole[at_rows], whole[at_timed] = of_rows, of_timed
        return whole

    return Found(
        key=woven(rows.key, timed.key),
        row=woven(rows.row, timed.row),
        at_us=woven(rows.at_us, timed.at_us),
        seq=woven(rows.seq, timed.seq),
        state={name: woven(column, timed.state[name]) for name, column in rows.state.items()},
    )


def _valued(store: Store, found: Found) -> dict[Aggregate, Vector]:
    """What is made of the values themselves: null, and the key overfull, where there are more than may be looked at."""
    out: dict[Aggregate, Vector] = {}
    if not store.retained:
        return out
    store.overfull[found.key] = False
    for argument in store.layout.valued:
        retained = store.retained[argument.index]
        n, upto = found.state[argument.n], found.state[argument.ordinal]
        few = (n <= store.values_max) & ((n == 0) | (upto - n >= retained.oldest[found.key]))
        # the last point of a key decides
        store.overfull[found.key] |= ~few
        some = np.flatnonzero(few & (n > 0))
        high = retained.places(found.key[some], upto[some])
        low = high - n[some]
        for aggregate in store.layout.aggregates:
            if aggregate.argument != argument.index or aggregate in out:
                continue
            if aggregate.function is Function.QUANTILE:
                assert aggregate.parameter is not None
                numbers = np.zeros(len(n))
                numbers[some] = quantile(retained.data, low, high, aggregate.parameter)
                out[aggregate] = Vector(numbers, few & (n > 0))
            elif aggregate.function is Function.DISTINCT:
                counts = np.zeros(len(n), np.int64)
                counts[some] = distinct(retained.data, low, high)
                out[aggregate] = Vector(counts, few)
    return out
