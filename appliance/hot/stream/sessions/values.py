"""The values that flow through sessions: what is kept of one, what has closed, what came too late. Plain, by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.values import I64, Mask, Vector
from appliance.hot.stream.windows.aggregates import Function
from appliance.records import Kind

F64 = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
FAR: Final = 2**62
"""After all times, and far from overflow; ``event_clock.NEVER`` is its counterpart."""


_OF_TEXT: Final = frozenset({Function.COUNT, Function.FIRST, Function.LAST, Function.DISTINCT})
_INTS: Final = frozenset({Function.COUNT_ALL, Function.COUNT, Function.DISTINCT})
_AS_GIVEN: Final = frozenset({Function.MIN, Function.MAX, Function.FIRST, Function.LAST})


@dataclass(frozen=True, slots=True)
class SessionAggregate:
    """One thing that is kept of each session."""

    name: str
    """The field that holds it in the session's record."""
    function: Function
    argument: int | None = None
    """Which of the vectors given to ``take``; None for ``count_all`` only."""
    parameter: float | None = None
    """The fraction of a quantile, 0 to 1; None otherwise."""

    def __post_init__(self) -> None:
        assert (self.argument is None) == (self.function is Function.COUNT_ALL), f"{self.name}: argument"
        assert (self.parameter is None) == (self.function is not Function.QUANTILE), f"{self.name}: parameter"
        assert self.parameter is None or 0 <= self.parameter <= 1, f"{self.name}: fraction {self.parameter}"

    def refusal(self, kind: Kind) -> str | None:
        """Why the aggregate can't be had of values of ``kind``, in one line; None: it can."""
        if kind in (Kind.TEXT, Kind.TAG) and self.function not in _OF_TEXT | {Function.COUNT_ALL}:
            return f"{self.function} needs numbers, not text"
        return None

    def kind_of(self, given: Kind | None) -> Kind:
        """What the field holds when the argument holds ``given`` (None: no value was seen yet, taken for floats)."""
        if self.function in _INTS:
            return Kind.INT
        if self.function in _AS_GIVEN:
            return Kind.TEXT if given is Kind.TAG else given or Kind.FLOAT
        return Kind.INT if self.function is Function.DELTA and given is Kind.INT else Kind.FLOAT


@dataclass(frozen=True, slots=True)
class SessionRows:
    """Sessions by column, sorted by (key, start); all of the same length."""

    ids: I64
    """Dense id of the key."""
    start_us: I64
    """Event time of the first record. With the key the identity of the session."""
    end_us: I64
    """Event time of the last record (so far)."""
    records: I64
    first_seq: I64
    """The lowest sequence of its records."""
    last_seq: I64
    """The highest one."""
    vectors: tuple[Vector, ...]
    """One value a session for each aggregate, in their order; in the kind of ``SessionAggregate.kind_of``."""

    @property
    def duration_s(self) -> F64:
        """Seconds from the first to the last record; 0 for a single one."""
        return np.asarray((self.end_us - self.start_us) / 1e6, dtype=np.float64)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class LateRows:
    """Records that belong to no session that may still change; in the order of their sequences. They are in no aggregate."""

    ids: I64
    ts: I64
    seqs: I64

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of a round."""

    rows: SessionRows
    corrected: Mask
    """Which of ``rows`` replace one of the same identity that was given before."""
    late: LateRows

    def __len__(self) -> int:
        return len(self.rows)
