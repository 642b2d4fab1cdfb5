"""Closed sessions as rows: of one part of a round, and of all its parts together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.hot.stream.sessions.pool import Pool
from appliance.hot.stream.sessions.values import Closed, LateRows, Places, SessionRows
from appliance.hot.stream.values import I64, Vector

_INTS: I64 = np.empty(0, np.int64)
NO_LATE = LateRows(_INTS, _INTS, _INTS)


def nothing(pool: Pool, late: LateRows = NO_LATE) -> Closed:
    """A round that closes nothing; the empty vectors have no kind."""
    empty = Vector(np.empty(0), np.empty(0, np.bool_))
    vectors = tuple(empty for _ in pool.measures.aggregates)
    return Closed(SessionRows(_INTS, _INTS, _INTS, _INTS, _INTS, _INTS, vectors), np.empty(0, np.bool_), late)


def closed_of(pool: Pool, given: Sequence[tuple[Places, Places]], late: LateRows) -> Closed:
    """``given`` are (keys, slots); notes that a row of each has gone out."""
    given = [pair for pair in given if len(pair[0])]
    if not given:
        return nothing(pool, late)
    keys = np.concatenate([pair[0] for pair in given]).astype(np.int64)
    rows, slots = pool.rows(keys, np.concatenate([pair[1] for pair in given]))
    corrected = pool.given[slots]
    pool.given[slots] = True
    return Closed(rows, corrected, late)


def joined(parts: Sequence[Closed]) -> Closed:
    """The parts of one round (at least one) in their order; of a session that was given more than once the last row."""
    late = LateRows(*(np.concatenate([getattr(p.late, name) for p in parts]) for name in ("ids", "ts", "seqs")))
    full = [p for p in parts if len(p)]
    if not full:
        return Closed(parts[0].rows, parts[0].corrected, late)
    rows = [p.rows for p in full]
    ids, starts, ends, records, first_seqs, last_seqs = (
        np.concatenate(c) for c in zip(*((r.ids, r.start_us, r.end_us, r.records, r.first_seq, r.last_seq) for r in rows), strict=True)
    )
    vectors = [_vector([r.vectors[i] for r in rows]) for i in range(len(rows[0].vectors))]
    order = np.lexsort((starts, ids))
    new = np.append(True, (np.diff(ids[order]) != 0) | (np.diff(starts[order]) != 0))
    first, last = order[new], order[np.append(new[1:], True)]
    corrected = np.concatenate([p.corrected for p in full])[first]
    chosen = SessionRows(
        ids=ids[last],
        start_us=starts[last],
        end_us=ends[last],
        records=records[last],
        first_seq=first_seqs[last],
        last_seq=last_seqs[last],
        vectors=tuple(v.take(last) for v in vectors),
    )
    return Closed(chosen, corrected, late)


def _vector(parts: Sequence[Vector]) -> Vector:
    valid = np.concatenate([v.valid for v in parts])
    if not any(v.texts is not None for v in parts):
        # A part without any value is of floats, whatever the others are.
        kinds = {v.values.dtype for v in parts if v.valid.any()}
        dtype = kinds.pop() if len(kinds) == 1 else np.dtype(np.float64)
        return Vector(np.concatenate([v.values.astype(dtype) for v in parts]), valid)
    codes: dict[str, int] = {}
    values = []
    for vector in parts:
        own = np.array([codes.setdefault(text, len(codes)) for text in vector.texts or ("",)], dtype=np.int32)
        values.append(own[vector.values.astype(np.intp)])
    return Vector(np.concatenate(values), valid, tuple(codes))
