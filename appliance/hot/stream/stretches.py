"""A round with late records, cut into stretches: within each the records in order of all keys may go before the late ones.

Keys are independent of each other, so what comes of a round is that of its records one by one as long as of each key no record in
order overtakes a late one, and no pane leaves a window between a late record and the end of its stretch. Pure, by column; the loop
goes over the stretches, of which a round without late records has one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from appliance.hot.stream.values import I64, Mask

Places = npt.NDArray[np.intp]


def stretches(ids: I64, slow: Mask, before: I64, passes_us: I64) -> Iterator[tuple[int, int]]:
    """Half-open ranges of rows, one behind the other, that are all of them together. At least one row.

    ``ids`` are the keys of the rows, as they came; ``slow`` says which are late; ``before`` is the watermark before each, not falling;
    ``passes_us`` the watermark at which time next does something to the window that a late row's key is in.
    """
    rows = len(ids)
    # the watermark has moved since the record before: what that does comes first, then the late record
    moved = np.flatnonzero(slow & np.append(False, before[1:] > before[:-1]))
    limit = np.where(slow, np.minimum(_next_in_order(ids, slow), np.searchsorted(before, passes_us)), rows)
    ends = np.minimum.accumulate(np.maximum(limit, np.arange(1, rows + 1))[::-1])[::-1]
    start = 0
    while start < rows:
        after = int(np.searchsorted(moved, start, side="right"))
        end = int(ends[start]) if after == len(moved) else min(int(ends[start]), int(moved[after]))
        yield start, end
        start = end


def rounds_of_keys(ids: I64) -> Iterator[Places]:
    """The rows in rounds in each of which every key is at most once: first the first row of each key, then the second ones, and so on."""
    order = np.argsort(ids, kind="stable")
    key = ids[order]
    place = np.arange(len(key))
    begin = np.maximum.accumulate(np.where(np.append(True, key[1:] != key[:-1])[: len(key)], place, 0))
    nth = np.empty(len(ids), np.intp)
    nth[order] = place - begin
    by_round = np.argsort(nth, kind="stable")
    yield from np.split(by_round, np.cumsum(np.bincount(nth))[:-1])


def _next_in_order(ids: I64, slow: Mask) -> I64:
    """The next row of the same key that is not late; the number of rows where there is none."""
    rows = len(ids)
    order = np.argsort(ids, kind="stable")
    key = ids[order]
    rank = np.cumsum(np.append(False, key[1:] != key[:-1])[:rows])
    # numbers that rise from key to key, so that the least of all that follow is one of the same key
    numbers = rank * (rows + 1) + np.where(slow[order], rows, order)
    found = np.empty(rows, np.int64)
    found[order] = np.minimum.accumulate(numbers[::-1])[::-1] - rank * (rows + 1)
    return found
