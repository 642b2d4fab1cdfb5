"""What follows from a deletion besides hiding: last values are found anew, and it ends when no file holds its records any more.

Runs in the housekeeper's thread. Each step can be repeated: after a crash it starts from what is written down.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Protocol

import numpy as np
import pyarrow as pa

from appliance.box import Box
from appliance.clock import US_PER_DAY
from appliance.cold.compaction.units import units_of
from appliance.door.lake_commits import commit_latest, end_deletions, series_without_last
from appliance.hot import deletions
from appliance.hot.reader import HotReader
from appliance.hot.series import I64, U64, LastValues, Rows, fit, series_hashes
from appliance.hot.state import StreamState
from appliance.records import TimeRange, fold

log = logging.getLogger(__name__)
SERIES_AT_ONCE = 2_000
"""Series whose last values are written in one transaction."""


class Past(Protocol):
    """Reads the records of streams; ``serving.history.History`` is one."""

    def rows(self, stream: str, *, span: TimeRange) -> Iterator[PastRows]:
        """The records of ``span``, without those that are deleted."""


class PastRows(Protocol):
    """Records with their sequences."""

    @property
    def data(self) -> pa.RecordBatch: ...
    @property
    def seqs(self) -> I64: ...


def follow_deletions(box: Box, past: Past, reader: HotReader, *, cancelled: Callable[[], bool]) -> None:
    """Does what is due for the deletions of all streams; nothing, mostly."""
    for key, state in box.state.streams.items():
        if not state.deletions or cancelled():
            continue
        waiting = deletions.without_latest(reader.cursor, state.id)
        if waiting:
            _find_latest(box, past, key, waiting, cancelled=cancelled)
            waiting = deletions.without_latest(reader.cursor, state.id)
        done = [
            d.id
            for d in state.deletions
            if d.id not in waiting and d.up_to_seq <= state.mark and not any(d.concerns(s) for s in state.segments)
        ]
        if done:
            box.writer.call(partial(end_deletions, key=key, ids=done)).result()
            log.info("deletions %s of stream %s are done: no file holds their records", ", ".join(map(str, done)), state.name)


def _find_latest(box: Box, past: Past, key: str, waiting: set[int], *, cancelled: Callable[[], bool]) -> None:
    missing: U64 = box.writer.call(lambda c: series_without_last(c, key)).result()
    state = box.state.streams[key]
    up_to = max((d.up_to_seq for d in state.deletions), default=0)
    found = last_records(state, past, missing, cancelled=cancelled)
    if cancelled():
        return
    starts = range(0, max(len(missing), 1), SERIES_AT_ONCE)  # at least once, to note that it is done
    for start in starts:
        asked = missing[start : start + SERIES_AT_ONCE]
        have = np.isin(found[0], asked)
        rows: Rows = (found[0][have], found[1][have], found[2].filter(pa.array(have)))
        done = waiting if start == starts[-1] else set()
        box.writer.call(partial(commit_latest, key=key, asked=asked, found=rows, up_to_seq=up_to, done=done)).result()


def last_records(state: StreamState, past: Past, wanted: U64, *, cancelled: Callable[[], bool]) -> Rows:
    """The last record of each of these series, as far as there is one; reads backwards in time until all are found."""
    last = LastValues(state.schema, merge_fields=state.identity is not None)
    edges = [None, *(unit.day * US_PER_DAY for unit in units_of(state.segments)), None]
    missing = wanted
    for since, until in reversed(list(pairwise(edges))):
        if not len(missing) or cancelled():
            break
        for rows in past.rows(fold(state.name), span=TimeRange(since, until)):
            data = fit(rows.data, state.schema)
            hashes = series_hashes(data, state.schema.tags)
            have = np.isin(hashes, missing)
            if have.any():
                last.put(state.schema, hashes[have], rows.seqs[have], data.filter(pa.array(have)))
        missing = np.setdiff1d(missing, last.rows()[0])
    return last.rows()
