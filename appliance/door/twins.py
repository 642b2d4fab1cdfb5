"""Which new records may be there already: pure, by column.

A record can only be a repeat of an earlier one when its series has been at its event time before. So whatever comes in time
order is new for certain, and only the rest makes its span of the day dirty: queries tell twins apart there, until a
compaction has. A false "may be" costs time; a false "new" would be a wrong count, and can't happen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.hot.series import I64, LOWEST, U64, SeriesTable
from appliance.manifest import Dirty

FUTURE_US = 3600 * US_PER_S
"""A record more than this ahead of the clock does not move its series on: one from the year 2100 would make all that
follow look late. Its time is remembered instead, and whatever comes there is taken for a possible twin."""


Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FutureSpan:
    """Event times of records that came from the future, closed, microseconds."""

    ts_min: int
    ts_max: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What a commit's rows of one stream mean for its days."""

    dirty: tuple[Dirty, ...]
    future: FutureSpan | None
    """The new span when it has grown, else the one that was."""
    reach: I64
    """How far each row moves its series on: its event time, or ``LOWEST`` for one from the future."""


def reach_of(ts: I64, *, now_us: int) -> I64:
    """How far rows that were committed at ``now_us`` of the wall clock move their series on (see ``Finding.reach``)."""
    return np.where(ts > now_us + FUTURE_US, LOWEST, ts)


def find_twins(hashes: U64, ts: I64, *, first_seq: int, table: SeriesTable, future: FutureSpan | None, now_us: int) -> Finding:
    """``hashes`` are the series of the rows, ``ts`` their event times; the rows have the sequences from ``first_seq`` on.

    All rows of a stream in one commit at once; ``table`` is how far series had come before it.
    """
    reach = reach_of(ts, now_us=now_us)
    ahead = reach == LOWEST
    suspect = ahead | (ts <= table.reached(hashes))
    if future is not None:
        suspect |= (ts >= future.ts_min) & (ts <= future.ts_max)
    suspect |= _repeated(hashes, ts)
    if ahead.any():
        low, high = int(ts[ahead].min()), int(ts[ahead].max())
        future = FutureSpan(low, high) if future is None else FutureSpan(min(low, future.ts_min), max(high, future.ts_max))
    return Finding(_spans(np.flatnonzero(suspect), ts, first_seq), future, reach)


def _repeated(hashes: U64, ts: I64) -> Flags:
    """Rows whose series and time stand more than once among these rows."""
    result = np.zeros(len(ts), dtype=np.bool_)
    if len(ts) < 2:
        return result
    order = np.lexsort((ts, hashes))
    same = (hashes[order][1:] == hashes[order][:-1]) & (ts[order][1:] == ts[order][:-1])
    result[order[1:][same]] = True
    return result


def _spans(rows: npt.NDArray[np.intp], ts: I64, first_seq: int) -> tuple[Dirty, ...]:
    if not len(rows):
        return ()
    days = ts[rows] // US_PER_DAY
    found = []
    for day in np.unique(days):
        of_day = rows[days == day]
        found.append(Dirty(int(day), int(ts[of_day].min()), int(ts[of_day].max()), first_seq + int(of_day.max())))
    return tuple(found)
