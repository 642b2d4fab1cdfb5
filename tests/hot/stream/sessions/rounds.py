"""Records as rounds: vectors, watermarks, and a tracker fed with them in any cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from appliance.hot.stream.event_clock import EventClock
from appliance.hot.stream.sessions.tracker import SessionTracker
from appliance.hot.stream.sessions.values import Closed, SessionAggregate
from appliance.hot.stream.values import I64, Scalar, Vector
from appliance.hot.stream.windows.aggregates import Function
from tests.hot.stream.sessions.model import Record, Row, as_dict

FLOAT, INT, TEXT, BOOL = 0, 1, 2, 3
"""The arguments of the tests, one of each kind."""
ALL = (
    SessionAggregate("n", Function.COUNT_ALL),
    *(SessionAggregate(f"{f.value}_f", f, FLOAT) for f in Function if f not in (Function.COUNT_ALL, Function.QUANTILE)),
    *(SessionAggregate(f"{f.value}_i", f, INT) for f in Function if f not in (Function.COUNT_ALL, Function.QUANTILE)),
    *(SessionAggregate(f"q{p}_f", Function.QUANTILE, FLOAT, p) for p in (0.0, 0.25, 0.5, 0.95, 1.0)),
    *(SessionAggregate(f"{f.value}_t", f, TEXT) for f in (Function.COUNT, Function.FIRST, Function.LAST, Function.DISTINCT)),
    *(SessionAggregate(f"{f.value}_b", f, BOOL) for f in (Function.MIN, Function.MAX, Function.FIRST, Function.LAST, Function.AVG)),
)
"""Every aggregate over every kind that has it."""


def vector(values: Sequence[Scalar], argument: int) -> Vector:
    valid = np.array([v is not None for v in values], dtype=np.bool_)
    if argument == TEXT:
        texts = tuple(dict.fromkeys(str(v) for v in values if v is not None))
        codes = np.array([texts.index(str(v)) if v is not None else 0 for v in values], dtype=np.int32)
        return Vector(codes, valid, texts)
    dtype = {FLOAT: np.float64, INT: np.int64, BOOL: np.bool_}[argument]
    return Vector(np.array([0 if v is None else v for v in values], dtype=dtype), valid)


def columns(records: Sequence[Record]) -> tuple[I64, I64, I64, tuple[Vector, ...]]:
    ids, ts, seqs = (np.array([getattr(r, name) for r in records], dtype=np.int64) for name in ("key", "ts", "seq"))
    arguments = len(records[0].values)
    return ids, ts, seqs, tuple(vector([r.values[a] for r in records], a) for a in range(arguments))


def watermarks(records: Sequence[Record], lateness: int) -> I64:
    return EventClock(lateness).take(np.array([r.ts for r in records], dtype=np.int64), now_ns=0)


@dataclass
class Fed:
    """What has come out of a tracker."""

    rows: dict[tuple[int, int], Row] = field(default_factory=dict)
    late: list[tuple[int, int, int]] = field(default_factory=list)
    given: int = 0

    def note(self, closed: Closed) -> None:
        found = as_dict(closed.rows)
        again = [identity in self.rows for identity in found]
        assert closed.corrected.tolist() == again
        assert list(found) == sorted(found)
        self.rows.update(found)
        self.given += len(found)
        self.late += zip(closed.late.ids.tolist(), closed.late.ts.tolist(), closed.late.seqs.tolist(), strict=True)


def feed(
    tracker: SessionTracker,
    records: Sequence[Record],
    lateness: int,
    cuts: Sequence[int],
    *,
    between: Callable[[SessionTracker], SessionTracker] = lambda t: t,
) -> Fed:
    """Everything in rounds that end at ``cuts``; ``between`` gives the tracker that goes on after each. In the end all is closed."""
    fed = Fed()
    marks = watermarks(records, lateness)
    edges = sorted({0, *(c for c in cuts if c < len(records)), len(records)})
    for start, end in pairwise(edges):
        ids, ts, seqs, vectors = columns(records[start:end])
        fed.note(tracker.take(ids, ts, seqs, vectors, marks[start:end]))
        tracker = between(tracker)
    fed.note(tracker.advance(2**61))
    assert tracker.open == 0
    return fed


_FLOATS = st.one_of(
    st.none(), st.floats(-1e6, 1e6, allow_nan=False), st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), -1e15, 1e-9])
)
_VALUES = st.tuples(
    _FLOATS,
    st.one_of(st.none(), st.integers(-50, 50), st.sampled_from([2**53 + 1, -(2**53) - 1])),
    st.one_of(st.none(), st.sampled_from(["", "a", "b", "ä", 'line\n"two"'])),
    st.one_of(st.none(), st.booleans()),
)


@st.composite
def streams(draw: st.DrawFn, *, rows_max: int = 40, late: bool = True) -> list[Record]:
    """Records of a few keys; each goes on by a little or by about a gap (10), some come late by a little or a lot."""
    keys = draw(st.integers(1, 3))
    steps = st.sampled_from([0, 1, 3, 9, 10, 11, 25, *([-1, -4, -9, -10, -11, -30, -80] if late else [])])
    moves = draw(st.lists(st.tuples(st.integers(0, keys - 1), steps, _VALUES, st.booleans()), min_size=1, max_size=rows_max))
    at = [0] * keys
    newest = [0] * keys
    records = []
    for seq, (key, step, values, from_newest) in enumerate(moves):
        at[key] = (newest[key] if from_newest or not late else at[key]) + step
        newest[key] = max(newest[key], at[key])
        records.append(Record(key, at[key], seq * 2, values))
    return records
