"""What is kept of one argument: its columns within a state, how rows go into them, how the states of two panes become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.values import I64, Mask, Vector
from appliance.hot.stream.windows.aggregates import F64, NEVER, Numbers, Part, Places, State
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.texts import TextPool
from appliance.records import Kind

Columns = dict[str, tuple[npt.DTypeLike, float | int]]
"""Name of a column of a state -> its type and what it holds where there are no records."""
_INT: Final = np.iinfo(np.int64)
_WIDER: Final = {(Kind.BOOL, Kind.INT): Kind.INT, (Kind.BOOL, Kind.FLOAT): Kind.FLOAT, (Kind.INT, Kind.FLOAT): Kind.FLOAT}


@dataclass(frozen=True, slots=True)
class Begins:
    """Runs that go on with a pane that there is; all others begin from nothing."""

    runs: Places | slice
    """Which."""
    state: State
    """What each of them begins from."""


class Argument:
    """One input vector. Floats are kept as floats, ints and bools as ints, texts as codes of its pool.

    For deviations there are sums (``s1``) and sums of squares (``s2``) of the values less one of them (``shift``): since that is one of
    them, what cancels in the end is at most as many times the variance as there are values.
    """

    def __init__(self, index: int, parts: Part) -> None:
        self.index = index
        self.has_sum, self.has_low, self.has_high, self.has_first, self.has_last, self.has_moments, self.has_values = (
            part in parts for part in (Part.SUM, Part.LOW, Part.HIGH, Part.FIRST, Part.LAST, Part.MOMENTS, Part.VALUES)
        )
        self.kind: Kind | None = None
        """None until there was a value."""
        self.pool = TextPool()
        self.n = f"{index}.n"
        self.ordinal = f"{index}.ordinal"
        """With ``Part.VALUES``: how many values the key has had."""
        self.sum, self.low, self.high = f"{index}.sum", f"{index}.low", f"{index}.high"
        self.first, self.first_us, self.last, self.last_us = (f"{index}.{name}" for name in ("first", "first_us", "last", "last_us"))
        self.shift, self.s1, self.s2 = (f"{index}.{name}" for name in ("shift", "s1", "s2"))

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
        if self.has_low:
            columns[self.low] = (dtype, low)
        if self.has_high:
            columns[self.high] = (dtype, high)
        if self.has_first:
            columns[self.first] = (dtype, 0)
        if self.has_last:
            columns[self.last] = (dtype, 0)
        return columns

    @property
    def columns(self) -> Columns:
        """Of a state."""
        columns: Columns = {self.n: (np.int64, 0), **self.value_columns}
        if self.has_sum:
            columns[self.sum] = (np.float64, 0.0)
        if self.has_first:
            columns[self.first_us] = (np.int64, NEVER)
        if self.has_last:
            columns[self.last_us] = (np.int64, NEVER)
        if self.has_moments:
            columns |= dict.fromkeys((self.shift, self.s1, self.s2), (np.float64, 0.0))
        if self.has_values:
            columns[self.ordinal] = (np.int64, 0)
        return columns

    def meet(self, vector: Vector) -> bool:
        """Looks at the kind of a vector; True: the type of the value columns has changed, states are to be converted."""
        kind = vector.kind
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

    def run(self, out: State, start: State, rows: Round, ts: I64, values: Numbers, ok: Mask) -> None:
        """The state of the row's run after each row, of rows that are in order. ``start``: what each run begins from."""
        starts, run_of = rows.starts, rows.run_of
        if rows.single:
            out[self.n] = start[self.n] + ok
        else:
            counted = np.cumsum(ok, dtype=np.int64)
            out[self.n] = counted + (start[self.n] - counted[starts] + ok[starts])[run_of]
        if self.has_sum:
            out[self.sum] = self._added(start[self.sum], rows, np.where(ok, values, 0.0))
        if self.has_low:
            out[self.low] = self._extreme(np.minimum, self.low, start, rows, values, ok)
        if self.has_high:
            out[self.high] = self._extreme(np.maximum, self.high, start, rows, values, ok)
        if self.has_first or self.has_moments:
            place = np.where(ok, np.arange(len(ok)), len(ok))
            first = np.minimum.reduceat(place, starts)
            had = start[self.n] > 0
            if self.has_first:
                at = np.minimum(first, len(ok) - 1)
                out[self.first] = np.where(had, start[self.first], values[at])[run_of]
                out[self.first_us] = np.where(had, start[self.first_us], ts[at])[run_of]
            if self.has_moments:
                self._moments(out, start, rows, values, ok, np.where(had | (first == len(ok)), -1, first))
        if self.has_last:
            place = np.maximum.accumulate(np.where(ok, np.arange(len(ok)), -1))
            own = place >= starts[run_of]
            out[self.last] = np.where(own, values[place], start[self.last][run_of])
            out[self.last_us] = np.where(own, ts[place], start[self.last_us][run_of])

    def total(self, out: State, begins: Begins, rows: Round, ts: I64, values: Numbers, ok: Mask) -> None:
        """The state of each run after its last row: what ``run`` says there, bit for bit, at much less cost."""
        starts, on, opened = rows.starts, begins.runs, begins.state
        whole = bool(ok.all())
        counts = rows.lengths.copy() if whole else np.add.reduceat(ok, starts, dtype=np.int64)
        counts[on] += opened[self.n]
        out[self.n] = counts
        if self.has_sum:
            out[self.sum] = rows.chained(on, opened[self.sum], values if whole else np.where(ok, values, 0.0))
        for wanted, function, name in ((self.has_low, np.minimum, self.low), (self.has_high, np.maximum, self.high)):
            if wanted:
                found = values if whole else np.where(ok, values, self.value_columns[name][1]).astype(values.dtype, copy=False)
                out[name] = extreme = rows.extreme(function, found)
                extreme[on] = function(opened[name], extreme[on])
        if self.has_first or self.has_moments:
            first = starts if whole else np.minimum.reduceat(np.where(ok, np.arange(len(ok)), len(ok)), starts)
            had = opened[self.n] > 0
            at = first if whole else np.minimum(first, len(ok) - 1)
            if self.has_first:
                out[self.first], out[self.first_us] = begun, begun_us = values[at], ts[at]
                begun[on] = np.where(had, opened[self.first], begun[on])
                begun_us[on] = np.where(had, opened[self.first_us], begun_us[on])
            if self.has_moments:
                shift = values[at].astype(np.float64)
                if not whole:
                    shift[first == len(ok)] = 0.0
                shift[on] = np.where(had | (first[on] == len(ok)), opened[self.shift], shift[on])
                off = values - shift.repeat(rows.lengths) if whole else np.where(ok, values - shift.repeat(rows.lengths), 0.0)
                out[self.shift] = shift
                out[self.s2] = rows.chained(on, opened[self.s2], off * off)
                out[self.s1] = rows.chained(on, opened[self.s1], off)
        if self.has_last:
            place = rows.ends if whole else np.maximum.reduceat(np.where(ok, np.arange(len(ok)), -1), starts)
            out[self.last], out[self.last_us] = ended, ended_us = values[place], ts[place]
            if not whole:
                none = place < 0
                ended[none], ended_us[none] = 0, NEVER
                ended[on] = np.where(none[on], opened[self.last], ended[on])
                ended_us[on] = np.where(none[on], opened[self.last_us], ended_us[on])

    def edges(self, out: State, start: State, rows: Round, ts: I64, values: Numbers, ok: Mask) -> None:
        """First and last of each run, of rows in any order of time: ``out`` has one element a run, ``ts`` and sequence decide."""
        if not (self.has_first or self.has_last):
            return
        there = np.flatnonzero(ok)
        there = there[np.lexsort((there, ts[there], rows.run_of[there]))]
        run = rows.run_of[there]
        begins = np.flatnonzero(np.append(True, run[1:] != run[:-1])[: len(run)])
        runs = run[begins]
        had = start[self.n][runs] > 0
        if self.has_first:
            at = there[begins]
            self._keep(out, runs, self.first, self.first_us, start, ~had | (ts[at] < start[self.first_us][runs]), values[at], ts[at])
        if self.has_last:
            at = there[np.append(begins[1:], len(run))[: len(begins)] - 1]
            self._keep(out, runs, self.last, self.last_us, start, ~had | (ts[at] >= start[self.last_us][runs]), values[at], ts[at])

    @staticmethod
    def _keep(out: State, runs: I64, name: str, name_us: str, start: State, new: Mask, values: Numbers, ts: I64) -> None:
        out[name], out[name_us] = start[name].copy(), start[name_us].copy()
        out[name][runs] = np.where(new, values, start[name][runs])
        out[name_us][runs] = np.where(new, ts, start[name_us][runs])

    @staticmethod
    def _added(begin: F64, rows: Round, terms: F64) -> F64:
        if rows.single:
            return begin + terms
        terms[rows.starts] = begin + terms[rows.starts]
        rows.accumulate(np.add, terms)
        return terms

    def _extreme(self, function: np.ufunc, name: str, start: State, rows: Round, values: Numbers, ok: Mask) -> Numbers:
        found = np.where(ok, values, self.value_columns[name][1]).astype(values.dtype, copy=False)
        found[rows.starts] = function(start[name], found[rows.starts])
        rows.accumulate(function, found)
        return found

    def _moments(self, out: State, start: State, rows: Round, values: Numbers, ok: Mask, first: I64) -> None:
        """Sums about the first value of the pane (``first``: its row; -1: there was one before, or there is none)."""
        shift = np.where(first < 0, start[self.shift], values[first].astype(np.float64))
        off = np.where(ok, values - shift[rows.run_of], 0.0)
        out[self.shift] = shift[rows.run_of]
        out[self.s2] = self._added(start[self.s2], rows, off * off)
        out[self.s1] = self._added(start[self.s1], rows, off)

    def combine(self, out: State, a: State, b: State) -> None:
        """The state of ``a`` with ``b`` after it; what holds no records leaves the other as it is, bit for bit."""
        na, nb = a[self.n], b[self.n]
        out[self.n] = na + nb
        if self.has_sum:
            out[self.sum] = a[self.sum] + b[self.sum]
        if self.has_low:
            out[self.low] = np.minimum(a[self.low], b[self.low])
        if self.has_high:
            out[self.high] = np.maximum(a[self.high], b[self.high])
        if self.has_first:
            had = na > 0
            out[self.first] = np.where(had, a[self.first], b[self.first])
            out[self.first_us] = np.where(had, a[self.first_us], b[self.first_us])
        if self.has_last:
            has = nb > 0
            out[self.last] = np.where(has, b[self.last], a[self.last])
            out[self.last_us] = np.where(has, b[self.last_us], a[self.last_us])
        if self.has_moments:
            # the sums of b as they were about the value that those of a are about
            shift = np.where(na > 0, a[self.shift], b[self.shift])
            off = np.where(nb > 0, b[self.shift] - shift, 0.0)
            out[self.shift] = shift
            out[self.s1] = a[self.s1] + (b[self.s1] + nb * off)
            out[self.s2] = a[self.s2] + (b[self.s2] + (2.0 * b[self.s1] + nb * off) * off)
        if self.has_values:
            out[self.ordinal] = np.maximum(a[self.ordinal], b[self.ordinal])
