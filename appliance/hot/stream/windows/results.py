"""From states to the values that conditions see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from appliance.clock import US_PER_S
from appliance.hot.stream.values import I64, Mask, Vector
from appliance.hot.stream.windows.aggregates import F64, Aggregate, Function, Numbers, State
from appliance.hot.stream.windows.argument import Argument
from appliance.hot.stream.windows.layout import ROWS, Layout
from appliance.records import Kind


def vectors_of(layout: Layout, state: State, valued: dict[Aggregate, Vector]) -> tuple[Vector, ...]:
    """One value for each element of a state, for each aggregate. ``valued``: those that the values themselves are needed for."""
    return tuple(valued[a] if a in valued else _vector(layout, state, a) for a in layout.aggregates)


def _vector(layout: Layout, state: State, aggregate: Aggregate) -> Vector:
    if aggregate.argument is None:
        return Vector(np.asarray(state[ROWS], dtype=np.int64), np.ones(len(state[ROWS]), dtype=np.bool_))
    argument = layout.arguments[aggregate.argument]
    return _OF[aggregate.function](argument, state, state[argument.n])


def _count(_argument: Argument, _state: State, n: I64) -> Vector:
    return Vector(n, np.ones(len(n), dtype=np.bool_))


def _sum(argument: Argument, state: State, n: I64) -> Vector:
    return _finite(state[argument.sum], n > 0)


def _avg(argument: Argument, state: State, n: I64) -> Vector:
    return _finite(state[argument.sum] / np.maximum(n, 1), n > 0)


def _min(argument: Argument, state: State, n: I64) -> Vector:
    return _as_given(argument, state[argument.low], n > 0)


def _max(argument: Argument, state: State, n: I64) -> Vector:
    return _as_given(argument, state[argument.high], n > 0)


def _first(argument: Argument, state: State, n: I64) -> Vector:
    return _as_given(argument, state[argument.first], n > 0)


def _last(argument: Argument, state: State, n: I64) -> Vector:
    return _as_given(argument, state[argument.last], n > 0)


def _stddev(argument: Argument, state: State, n: I64) -> Vector:
    squares = np.maximum(state[argument.s2] - state[argument.s1] ** 2 / np.maximum(n, 1), 0.0)
    return _finite(np.sqrt(squares / np.maximum(n - 1, 1)), n > 1)


def _delta(argument: Argument, state: State, n: I64) -> Vector:
    return change(argument, state[argument.first], state[argument.last], n > 0)


def _rate(argument: Argument, state: State, n: I64) -> Vector:
    apart_us = state[argument.last_us] - state[argument.first_us]
    whole = _delta(argument, state, n)
    return _finite(whole.values / (np.maximum(apart_us, 1) / US_PER_S), whole.valid & (apart_us > 0))


_OF: dict[Function, Callable[[Argument, State, I64], Vector]] = {
    Function.COUNT: _count,
    Function.SUM: _sum,
    Function.AVG: _avg,
    Function.MIN: _min,
    Function.MAX: _max,
    Function.FIRST: _first,
    Function.LAST: _last,
    Function.STDDEV: _stddev,
    Function.DELTA: _delta,
    Function.RATE: _rate,
}


def change(argument: Argument, before: Numbers, after: Numbers, valid: Mask) -> Vector:
    """The difference; of ints an int, null where it is too large for one."""
    with np.errstate(over="ignore"):
        difference = after - before
    if not argument.integral:
        return _finite(difference, valid)
    overflown = ((after ^ before) & (after ^ difference)) < 0
    return Vector(np.asarray(difference, dtype=np.int64), valid & ~overflown)


def _as_given(argument: Argument, values: Numbers, valid: Mask) -> Vector:
    """A value of the kind of the argument's own."""
    if argument.kind is Kind.TEXT:
        return argument.pool.vector(np.asarray(values, dtype=np.int64), valid)
    if argument.kind is Kind.BOOL:
        return Vector((values != 0) & valid, valid)
    return Vector(values, valid)


def _finite(values: F64, valid: Mask) -> Vector:
    """Null instead of what is too large for a float."""
    return Vector(values, valid & np.isfinite(values))
