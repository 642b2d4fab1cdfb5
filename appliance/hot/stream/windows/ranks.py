"""Order statistics of many ranges of one array at once: the k-th smallest, and how many different values there are.

Two ways to the same exact answer, whichever costs less: sorting each range by itself, or a wavelet matrix (Claude, Navarro, Ordóñez
2015: The wavelet matrix) over the array, whose cost doesn't depend on how long the ranges are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from appliance.hot.stream.values import I64, Mask
from appliance.hot.stream.windows.aggregates import F64, Numbers, Places

_CHUNK_VALUES = 1_000_000
"""Values that are sorted at once: bounds the memory."""
_SORT_COST = 10.0
_WAVELET_COST = (12.0, 45.0)
"""Nanoseconds for a value in a range that is sorted; for each bit for a value of the array and for a range. Measured."""


def quantile(data: Numbers, low: I64, high: I64, fraction: float) -> F64:
    """Of each range that is not empty the value at ``fraction``, with linear interpolation, as DuckDB's ``quantile_cont``."""
    place = (high - low - 1) * fraction
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    smaller, larger = _kth(data, low, high, np.stack((below, above)))
    share = place - below
    mixed = smaller.astype(np.float64) * (1.0 - share) + larger.astype(np.float64) * share
    return np.asarray(np.where(smaller == larger, smaller, mixed), dtype=np.float64)


def distinct(data: Numbers, low: I64, high: I64) -> I64:
    """How many different values each range has."""
    if _sorting_is_less(len(data), low, high):
        out = np.empty(len(low), np.int64)
        for rows, values, there in _sorted(data, low, high):
            out[rows] = ((values[:, 1:] != values[:, :-1]) & there[:, 1:]).sum(axis=1) + there[:, 0]
        return out
    # a value is counted at the first place that it has in the range: there its previous place is before the range
    order = np.argsort(data, kind="stable")
    same = data[order][1:] == data[order][:-1]
    previous = np.zeros(len(data), np.int64)
    previous[order[1:][same]] = order[:-1][same] + 1
    return _below(previous, low, high, low + 1)


def _kth(data: Numbers, low: I64, high: I64, ranks: I64) -> tuple[Numbers, Numbers]:
    """For two rows of ranks: the values at these ranks (from 0) of each range."""
    if _sorting_is_less(len(data), low, high):
        out = np.empty(ranks.shape, dtype=data.dtype)
        for rows, values, _ in _sorted(data, low, high):
            out[:, rows] = np.take_along_axis(values, ranks[:, rows].T, axis=1).T
        return out[0], out[1]
    order = np.argsort(data, kind="stable")
    rank = np.empty(len(data), np.int64)
    rank[order] = np.arange(len(data))
    place = _descend(rank, np.tile(low, 2), np.tile(high, 2), ranks.ravel())
    values = data[order[place]].reshape(ranks.shape)
    return values[0], values[1]


def _sorting_is_less(size: int, low: I64, high: I64) -> bool:
    wavelet = size.bit_length() * (size * _WAVELET_COST[0] + len(low) * _WAVELET_COST[1])
    return float((high - low).sum()) * _SORT_COST <= wavelet


def _sorted(data: Numbers, low: I64, high: I64) -> Iterator[tuple[Places, Numbers, Mask]]:
    """Ranges of about the same length together, as the rows of a matrix: which they are, their values sorted, where there are any."""
    by_length = np.argsort(high - low, kind="stable")
    lengths = (high - low)[by_length]
    highest = np.inf if data.dtype == np.float64 else np.iinfo(np.int64).max
    start = 0
    while start < len(low):
        # the longest of the next so many rows decides how many fit
        stop = min(len(low), start + max(1, _CHUNK_VALUES // max(1, int(lengths[start]))))
        stop = max(start + 1, int(np.searchsorted(lengths[:stop], 2 * int(lengths[start]) + 16, side="right")))
        stop = min(stop, start + max(1, _CHUNK_VALUES // max(1, int(lengths[stop - 1]))))
        rows = by_length[start:stop]
        width = max(1, int(lengths[stop - 1]))
        there = np.arange(width) < lengths[start:stop, None]
        values = np.where(there, data.take(low[rows, None] + np.arange(width), mode="clip"), highest)
        values.sort(axis=1)
        yield rows, values, there
        start = stop


def _levels(values: I64) -> Iterator[tuple[int, I64, int]]:
    """From the highest bit down: the bit, zeros before each place, zeros in all, of the array in the order of the matrix."""
    for bit in range(max(1, int(values.max()).bit_length()) - 1, -1, -1):
        one = (values >> bit) & 1 == 1
        zeros = np.append(0, np.cumsum(~one))
        yield bit, zeros, int(zeros[-1])
        values = np.concatenate((values[~one], values[one]))


def _descend(rank: I64, low: I64, high: I64, k: I64) -> I64:
    """The k-th smallest of each range of ``rank`` (distinct values from 0)."""
    found = np.zeros(len(low), np.int64)
    for bit, zeros, all_zeros in _levels(rank):
        zero_low, zero_high = zeros[low], zeros[high]
        have = zero_high - zero_low
        up = k >= have
        k = np.where(up, k - have, k)
        low = np.where(up, low - zero_low + all_zeros, zero_low)
        high = np.where(up, high - zero_high + all_zeros, zero_high)
        found |= up.astype(np.int64) << bit
    return found


def _below(values: I64, low: I64, high: I64, limit: I64) -> I64:
    """How many of each range of ``values`` (from 0) are less than its limit."""
    counted = np.zeros(len(low), np.int64)
    width = max(1, int(values.max()).bit_length())
    all_below = limit >= 1 << width
    counted[all_below] = (high - low)[all_below]
    open_ = ~all_below
    for bit, zeros, all_zeros in _levels(values):
        zero_low, zero_high = zeros[low], zeros[high]
        up = (limit >> bit) & 1 == 1
        counted += np.where(up & open_, zero_high - zero_low, 0)
        low = np.where(up, low - zero_low + all_zeros, zero_low)
        high = np.where(up, high - zero_high + all_zeros, zero_high)
    return counted
