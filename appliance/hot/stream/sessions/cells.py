"""What is kept of the values of one argument for each session: one array a thing, by slot of ``pool``.

Every cell adds rows in the order of their sequences, one after the other (``ufunc.at``), so that a sum depends on nothing but the
records and their order. Slots that are given back are made clean at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.sessions.values import F64, FAR, Places
from appliance.hot.stream.values import I64
from appliance.records import Kind

Values = npt.NDArray[Any]
"""float64, int64 (ints and bools), or text as objects, by the kind of the argument."""


@dataclass(frozen=True, slots=True)
class Given:
    """The values of one argument that are not null, in the order of their sequences."""

    slots: Places
    ts: I64
    values: Values
    """float64 or int64; of text int64 codes into ``texts``."""
    texts: tuple[str, ...] | None
    scratch: Places
    """By slot, of any content: for finding the first or last row of each."""

    @property
    def floats(self) -> F64:
        return np.asarray(self.values, dtype=np.float64)

    def picked(self, rows: Places) -> Values:
        """Values of a few rows; of text the texts themselves."""
        if self.texts is None:
            return self.values[rows]
        found = np.empty(len(rows), dtype=object)
        found[:] = [self.texts[code] for code in self.values[rows].tolist()]
        return found


class Cell(Protocol):
    """One thing. What a slot without values holds is of no meaning: ``Argument`` counts them."""

    def grow(self, size: int) -> None:
        """Makes room for so many slots; new ones are clean."""

    def become(self, kind: Kind) -> None:
        """The kind of the argument is known now, or has widened from int to float; slots without values are reset after that."""

    def reset(self, slots: Places) -> None:
        """Makes slots clean."""

    def add(self, given: Given) -> None:
        """Takes in rows (at least one)."""

    def merge(self, target: int, source: int) -> None:
        """Takes the values of ``source`` into ``target``; both have some."""

    def dump(self, slots: Places) -> list[Any]:
        """One JSON-able value a slot, from which ``load`` makes the same again, bit for bit."""

    def load(self, slot: int, body: Any) -> None:
        """Fills a clean slot that has values."""

    @property
    def bytes(self) -> int:
        """About what it holds."""


def resized(array: Values, size: int, fill: object) -> Values:
    """An array with room for ``size`` values, new ones ``fill``."""
    bigger = np.full(size, fill, dtype=array.dtype)
    bigger[: len(array)] = array
    return bigger


def exact(values: Values) -> list[Any]:
    """Numbers as JSON can carry them: infinities and NaN (a sum that went over) as text."""
    plain: list[Any] = values.tolist()
    if values.dtype == np.float64 and not np.isfinite(values).all():
        return [v if np.isfinite(v) else repr(v) for v in plain]
    return plain


class Sum:
    """The values added up in order, as floats."""

    def __init__(self) -> None:
        self.total: F64 = np.empty(0)

    @property
    def bytes(self) -> int:
        return self.total.nbytes

    def grow(self, size: int) -> None:
        self.total = resized(self.total, size, 0.0)

    def become(self, kind: Kind) -> None:
        """Sums are floats of whatever kind."""

    def reset(self, slots: Places) -> None:
        self.total[slots] = 0.0

    def add(self, given: Given) -> None:
        np.add.at(self.total, given.slots, given.floats)

    def merge(self, target: int, source: int) -> None:
        self.total[target] += self.total[source]

    def dump(self, slots: Places) -> list[Any]:
        return exact(self.total[slots])

    def load(self, slot: int, body: Any) -> None:
        self.total[slot] = float(body)


class Moments:
    """What a variance needs: sums of the distances to the session's own first value, and of their squares.

    The shift keeps what is left after the subtraction: plain squares of values around 10^6 that differ by 0.01 leave nothing.
    """

    def __init__(self) -> None:
        self.shift: F64 = np.empty(0)
        """NaN where there is no value yet."""
        self.total: F64 = np.empty(0)
        self.squares: F64 = np.empty(0)
        self.counts: I64 = np.empty(0, np.int64)

    @property
    def bytes(self) -> int:
        return 4 * self.shift.nbytes

    def grow(self, size: int) -> None:
        self.shift = resized(self.shift, size, np.nan)
        self.total = resized(self.total, size, 0.0)
        self.squares = resized(self.squares, size, 0.0)
        self.counts = resized(self.counts, size, 0)

    def become(self, kind: Kind) -> None:
        """Moments are floats of whatever kind."""

    def reset(self, slots: Places) -> None:
        self.shift[slots] = np.nan
        self.total[slots] = 0.0
        self.squares[slots] = 0.0
        self.counts[slots] = 0

    def add(self, given: Given) -> None:
        values = given.floats
        new = np.flatnonzero(np.isnan(self.shift[given.slots]))
        if len(new):
            first = _first_rows(given.slots, new, given.scratch)
            self.shift[given.slots[first]] = values[first]
        away = values - self.shift[given.slots]
        np.add.at(self.total, given.slots, away)
        np.add.at(self.squares, given.slots, away * away)
        np.add.at(self.counts, given.slots, 1)

    def merge(self, target: int, source: int) -> None:
        away = float(self.shift[source] - self.shift[target])
        count = int(self.counts[source])
        self.squares[target] += self.squares[source] + 2 * away * self.total[source] + count * away * away
        self.total[target] += self.total[source] + count * away
        self.counts[target] += count

    def dump(self, slots: Places) -> list[Any]:
        floats = (exact(column[slots]) for column in (self.shift, self.total, self.squares))
        return list(zip(*floats, self.counts[slots].tolist(), strict=True))

    def load(self, slot: int, body: Any) -> None:
        self.shift[slot], self.total[slot], self.squares[slot] = map(float, body[:3])
        self.counts[slot] = body[3]


class Extreme:
    """The least or the greatest value."""

    def __init__(self, *, greatest: bool) -> None:
        self._greatest = greatest
        self.value: Values = np.empty(0)

    @property
    def bytes(self) -> int:
        return self.value.nbytes

    def grow(self, size: int) -> None:
        self.value = resized(self.value, size, self._fill)

    def become(self, kind: Kind) -> None:
        self.value = self.value.astype(np.float64) if kind is Kind.FLOAT else np.zeros(len(self.value), np.int64)

    def reset(self, slots: Places) -> None:
        self.value[slots] = self._fill

    def add(self, given: Given) -> None:
        (np.maximum if self._greatest else np.minimum).at(self.value, given.slots, given.values)

    def merge(self, target: int, source: int) -> None:
        pair = self.value[[target, source]]
        self.value[target] = pair.max() if self._greatest else pair.min()

    def dump(self, slots: Places) -> list[Any]:
        return exact(self.value[slots])

    def load(self, slot: int, body: Any) -> None:
        self.value[slot] = body

    @property
    def _fill(self) -> float | int:
        """What every value replaces."""
        if self.value.dtype == np.float64:
            return -np.inf if self._greatest else np.inf
        limits = np.iinfo(np.int64)
        return limits.min if self._greatest else limits.max


class Edge:
    """The earliest or the latest value, and its time."""

    def __init__(self, *, latest: bool) -> None:
        self._latest = latest
        self.ts: I64 = np.empty(0, np.int64)
        self.value: Values = np.empty(0)

    @property
    def bytes(self) -> int:
        texts = sum(len(v) for v in self.value if v) if self.value.dtype == object else 0
        return self.ts.nbytes + self.value.nbytes + texts

    def grow(self, size: int) -> None:
        self.ts = resized(self.ts, size, self._fill)
        self.value = resized(self.value, size, self._nothing)

    def become(self, kind: Kind) -> None:
        if kind is Kind.FLOAT:
            self.value = self.value.astype(np.float64)
        else:
            self.value = np.zeros(len(self.ts), np.int64) if kind is not Kind.TEXT else np.full(len(self.ts), None, dtype=object)

    def reset(self, slots: Places) -> None:
        self.ts[slots] = self._fill
        self.value[slots] = self._nothing

    def add(self, given: Given) -> None:
        slots, ts = given.slots, given.ts
        if self._latest:
            np.maximum.at(self.ts, slots, ts)
            rows = _last_rows(slots, np.flatnonzero(ts == self.ts[slots]), given.scratch)
        else:
            before = self.ts[slots]
            earlier = np.flatnonzero(ts < before)
            if not len(earlier):
                return
            np.minimum.at(self.ts, slots[earlier], ts[earlier])
            rows = _first_rows(slots, earlier[ts[earlier] == self.ts[slots[earlier]]], given.scratch)
        self.value[slots[rows]] = given.picked(rows)

    def merge(self, target: int, source: int) -> None:
        if (self.ts[source] > self.ts[target]) == self._latest:
            self.ts[target], self.value[target] = self.ts[source], self.value[source]

    def dump(self, slots: Places) -> list[Any]:
        return list(zip(self.ts[slots].tolist(), exact(self.value[slots]), strict=True))

    def load(self, slot: int, body: Any) -> None:
        self.ts[slot], self.value[slot] = body

    @property
    def _fill(self) -> int:
        return NEVER if self._latest else FAR

    @property
    def _nothing(self) -> object:
        return None if self.value.dtype == object else 0


def _first_rows(slots: Places, rows: Places, scratch: Places) -> Places:
    """Of ``rows`` (rising) the first of each slot."""
    scratch[slots[rows]] = len(slots)
    np.minimum.at(scratch, slots[rows], rows)
    return np.asarray(rows[scratch[slots[rows]] == rows])


def _last_rows(slots: Places, rows: Places, scratch: Places) -> Places:
    """Of ``rows`` (rising) the last of each slot."""
    scratch[slots[rows]] = -1
    np.maximum.at(scratch, slots[rows], rows)
    return np.asarray(rows[scratch[slots[rows]] == rows])
