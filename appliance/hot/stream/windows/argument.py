"""What is kept of one argument: its columns within a state, how rows go into them, how the states of two panes become one."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.values import I64, Mask, Vector
from appliance.hot.stream.windows.aggregates import F64, NEVER, Numbers, Part, State
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.texts import TextPool
from appliance.records import Kind

Columns = dict[str, tuple[npt.DTypeLike, float | int]]
"""Name of a column of a state -> its type and what it holds where there are no records."""
_INT: Final = np.iinfo(np.int64)
_WIDER: Final = {(Kind.BOOL, Kind.INT): Kind.INT, (Kind.BOOL, Kind.FLOAT): Kind.FLOAT, (Kind.INT, Kind.FLOAT): Kind.FLOAT}


class Argument:
    """One input vector. Floats are kept as floats, ints and bools as ints, texts as codes of its pool.

    Two notations of a state: that of a *pane*, to which rows can be added (``shift``, ``s1``, ``s2``: values less a first one, and the
    squares of that), and that of *any stretch* of panes (``mean``, ``m2``), in which two can be combined. All other columns are alike.
    """

    def __init__(self, index: int, parts: Part) -> None:
        self.index = index
        self.parts = parts
        self.kind: Kind | None = None
        """None until there was a value."""
        self.pool = TextPool()
        self.n = f"{index}.n"
        self.ordinal = f"{index}.ordinal"
        """With ``Part.VALUES``: how many values the key has had."""
        self.sum, self.low, self.high = f"{index}.sum", f"{index}.low", f"{index}.high"
        self.first, self.first_us, self.last, self.last_us = (f"{index}.{name}" for name in ("first", "first_us", "last", "last_us"))
        self._shift, self._s1, self._s2, self._mean, self.m2 = (f"{index}.{name}" for name in ("shift", "s1", "s2", "mean", "m2"))

    @property
    def integral(self) -> bool:
        """Whether the values are kept as ints."""
        return self.kind in (Kind.INT, Kind.BOOL, Kind.TEXT)

    @property
    def value_columns(self) -> Columns:
        """The columns whose type is that of the values."""
        dtype: npt.DTypeLike = np.int64 if self.integral else np.float64
        low, high = (_INT.max, _INT.min) if self.integral else (np.inf, -np.inf)
        columns: Columns = {}
        if self.parts & Part.LOW:
            columns[self.low] = (dtype, low)
        if self.parts & Part.HIGH:
            columns[self.high] = (dtype, high)
        if self.parts & Part.FIRST:
            columns[self.first] = (dtype, 0)
        if self.parts & Part.LAST:
            columns[self.last] = (dtype, 0)
        return columns

    def columns(self, *, pane: bool) -> Columns:
        """Of a pane's state, or of that of a stretch."""
        columns: Columns = {self.n: (np.int64, 0), **self.value_columns}
        if self.parts & Part.SUM:
            columns[self.sum] = (np.float64, 0.0)
        if self.parts & Part.FIRST:
            columns[self.first_us] = (np.int64, NEVER)
        if self.parts & Part.LAST:
            columns[self.last_us] = (np.int64, NEVER)
        if self.parts & Part.MOMENTS:
            columns |= dict.fromkeys((self._shift, self._s1, self._s2) if pane else (self._mean, self.m2), (np.float64, 0.0))
        if self.parts & Part.VALUES:
            columns[self.ordinal] = (np.int64, 0)
        return columns

    def meet(self, vector: Vector) -> bool:
        """Looks at the kind of a vector; True: the type of the value columns has changed, states are to be converted."""
        kind = _kind_of(vector)
        if kind is self.kind or not vector.valid.any():
            return False
        had, was_integral = self.kind, self.integral
        assert had is None or (had is Kind.TEXT) == (kind is Kind.TEXT), f"argument {self.index} was {had}, is {kind}: make a new table"
        self.kind = kind if had is None else _WIDER.get((had, kind), had)
        return self.integral != was_integral

    def convert(self, state: State) -> None:
        """Brings the value columns of a state to their present type."""
        for name, (dtype, identity) in self.value_columns.items():
            if name in state and state[name].dtype != dtype:
                with np.errstate(invalid="ignore"):
                    state[name] = np.where(state[self.n] > 0, state[name], 0).astype(dtype)
                state[name][state[self.n] == 0] = identity

    def values_of(self, vector: Vector) -> tuple[Numbers, Mask]:
        """Values as they are kept, and which of them count."""
        values, valid = vector.values, vector.valid
        dtype = np.int64 if self.integral else np.float64
        if (vector.texts is not None) != (self.kind is Kind.TEXT) or (self.integral and values.dtype == np.float64):
            # of another kind, which ``meet`` lets pass because there is no value in it
            return np.zeros(len(values), dtype=dtype), valid
        if vector.texts is not None:
            return self.pool.codes(vector), valid
        if values.dtype == np.float64:
            return np.asarray(values, dtype=np.float64), valid & np.isfinite(values)
        return values.astype(dtype), valid

    # --- rows into states -------------------------------------------------------------------------------------------------

    def run(self, out: State, start: State, rows: Round, ts: I64, values: Numbers, ok: Mask) -> None:
        """The state of the row's run after each row, of rows that are in order. ``start``: what each run begins from, as a pane."""
        starts, run_of = rows.starts, rows.run_of
        counted = np.cumsum(ok, dtype=np.int64)
        n = counted + (start[self.n] - counted[starts] + ok[starts])[run_of]
        out[self.n] = n
        if self.parts & Part.SUM:
            out[self.sum] = self._added(start[self.sum], rows, np.where(ok, values, 0.0))
        if self.parts & Part.LOW:
            out[self.low] = self._extreme(np.minimum, self.low, start, rows, values, ok)
        if self.parts & Part.HIGH:
            out[self.high] = self._extreme(np.maximum, self.high, start, rows, values, ok)
        if self.parts & (Part.FIRST | Part.MOMENTS):
            place = np.where(ok, np.arange(len(ok)), len(ok))
            first = np.minimum.reduceat(place, starts)
            had = start[self.n] > 0
            if self.parts & Part.FIRST:
                at = np.minimum(first, len(ok) - 1)
                out[self.first] = np.where(had, start[self.first], values[at])[run_of]
                out[self.first_us] = np.where(had, start[self.first_us], ts[at])[run_of]
            if self.parts & Part.MOMENTS:
                self._moments(out, start, rows, values, ok, np.where(had | (first == len(ok)), -1, first))
        if self.parts & Part.LAST:
            place = np.maximum.accumulate(np.where(ok, np.arange(len(ok)), -1))
            own = place >= starts[run_of]
            out[self.last] = np.where(own, values[place], start[self.last][run_of])
            out[self.last_us] = np.where(own, ts[place], start[self.last_us][run_of])

    def edges(self, out: State, start: State, rows: Round, ts: I64, values: Numbers, ok: Mask) -> None:
        """First and last of each run, of rows in any order of time: ``out`` has one element a run, ``ts`` and sequence decide."""
        if not self.parts & (Part.FIRST | Part.LAST):
            return
        there = np.flatnonzero(ok)
        there = there[np.lexsort((there, ts[there], rows.run_of[there]))]
        run = rows.run_of[there]
        begins = np.flatnonzero(np.append(True, run[1:] != run[:-1])[: len(run)])
        runs = run[begins]
        had = start[self.n][runs] > 0
        if self.parts & Part.FIRST:
            at = there[begins]
            self._keep(out, runs, self.first, self.first_us, start, ~had | (ts[at] < start[self.first_us][runs]), values[at], ts[at])
        if self.parts & Part.LAST:
            at = there[np.append(begins[1:], len(run))[: len(begins)] - 1]
            self._keep(out, runs, self.last, self.last_us, start, ~had | (ts[at] >= start[self.last_us][runs]), values[at], ts[at])

    @staticmethod
    def _keep(out: State, runs: I64, name: str, name_us: str, start: State, new: Mask, values: Numbers, ts: I64) -> None:
        out[name], out[name_us] = start[name].copy(), start[name_us].copy()
        out[name][runs] = np.where(new, values, start[name][runs])
        out[name_us][runs] = np.where(new, ts, start[name_us][runs])

    @staticmethod
    def _added(begin: F64, rows: Round, terms: F64) -> F64:
        terms[rows.starts] = begin + terms[rows.starts]
        rows.accumulate(np.add, terms)
        return terms

    def _extreme(self, function: np.ufunc, name: str, start: State, rows: Round, values: Numbers, ok: Mask) -> Numbers:
        found = np.where(ok, values, self.value_columns[name][1]).astype(values.dtype, copy=False)
        found[rows.starts] = function(start[name], found[rows.starts])
        rows.accumulate(function, found)
        return found

    def _moments(self, out: State, start: State, rows: Round, values: Numbers, ok: Mask, first: I64) -> None:
        """Sums of values less a value of the same pane: what cancels is then never more than the number of values times their variance."""
        shift = np.where(first < 0, start[self._shift], values[first].astype(np.float64))
        off = np.where(ok, values - shift[rows.run_of], 0.0)
        out[self._shift] = shift[rows.run_of]
        out[self._s2] = self._added(start[self._s2], rows, off * off)
        out[self._s1] = self._added(start[self._s1], rows, off)

    # --- states of stretches ----------------------------------------------------------------------------------------------

    def stretch(self, state: State) -> None:
        """Turns a pane's state into that of a stretch, in place."""
        if self.parts & Part.MOMENTS:
            n = np.maximum(state[self.n], 1)
            shift, s1, s2 = (state.pop(name) for name in (self._shift, self._s1, self._s2))
            state[self._mean] = np.where(state[self.n] > 0, shift + s1 / n, 0.0)
            state[self.m2] = np.maximum(s2 - s1 * s1 / n, 0.0)

    def combine(self, out: State, a: State, b: State) -> None:
        """The state of ``a`` with ``b`` after it; what holds no records leaves the other as it is, bit for bit."""
        na, nb = a[self.n], b[self.n]
        out[self.n] = na + nb
        if self.parts & Part.SUM:
            out[self.sum] = a[self.sum] + b[self.sum]
        if self.parts & Part.LOW:
            out[self.low] = np.minimum(a[self.low], b[self.low])
        if self.parts & Part.HIGH:
            out[self.high] = np.maximum(a[self.high], b[self.high])
        if self.parts & Part.FIRST:
            had = na > 0
            out[self.first] = np.where(had, a[self.first], b[self.first])
            out[self.first_us] = np.where(had, a[self.first_us], b[self.first_us])
        if self.parts & Part.LAST:
            has = nb > 0
            out[self.last] = np.where(has, b[self.last], a[self.last])
            out[self.last_us] = np.where(has, b[self.last_us], a[self.last_us])
        if self.parts & Part.MOMENTS:
            # Chan, Golub, LeVeque 1979: updating formulae for variances
            apart = b[self._mean] - a[self._mean]
            share = nb / np.maximum(out[self.n], 1)
            out[self._mean] = a[self._mean] + apart * share
            out[self.m2] = a[self.m2] + b[self.m2] + apart * apart * (na * share)
        if self.parts & Part.VALUES:
            out[self.ordinal] = np.maximum(a[self.ordinal], b[self.ordinal])


def _kind_of(vector: Vector) -> Kind:
    if vector.texts is not None:
        return Kind.TEXT
    if vector.values.dtype == np.bool_:
        return Kind.BOOL
    return Kind.FLOAT if vector.values.dtype == np.float64 else Kind.INT
