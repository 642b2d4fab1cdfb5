"""How unlike everything before and after each stretch of a series is: the distance to the stretch that is most like it. Pure.

The matrix profile (Yeh et al., 2016) without its scaling by each stretch's own spread, since how high values are matters here. Rows are
taken by the block, so memory follows the cells, not their square.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.values import F64, I64, Mask

_BLOCK: Final = 200_000
"""Distances that are computed at once: some megabytes."""
_UNKNOWN_MAX: Final = 0.5
"""A stretch of which a larger part lies in a gap is like no other and unlike none; of two others what is known of both is compared."""


def nearest(values: F64, known: Mask, width: int, rows: I64) -> tuple[F64, I64]:
    """For the stretches of ``width`` cells that begin at ``rows``: the root mean squared distance to the nearest other one that doesn't
    overlap it, and where that begins. NaN and -1 where there is none."""
    count = len(values) - width + 1
    found, at = np.full(len(rows), np.nan), np.full(len(rows), -1, np.int64)
    if count < width + 1:
        return found, at
    gap = _gaps(known, width)
    centre = np.where(gap, 0.0, values - np.median(values))  # keeps differences of squares exact where a series lies far from zero
    stretches = np.lib.stride_tricks.sliding_window_view(centre, width)
    squares = np.einsum("ij,ij->i", stretches, stretches)
    there = np.lib.stride_tricks.sliding_window_view((~gap).astype(np.float64), width)
    hidden = there.sum(axis=1) < (1 - _UNKNOWN_MAX) * width
    places, has_gap = np.arange(count), bool(gap.any())
    size = max(1, _BLOCK // count)
    for begin in range(0, len(rows), size):
        block = rows[begin : begin + size]
        product = stretches[block] @ stretches.T
        if has_gap:
            own = stretches[block] ** 2 @ there.T + there[block] @ (stretches**2).T
            distance = (own - 2.0 * product) / np.maximum(there[block] @ there.T, width / 4)
        else:
            distance = (squares[block, None] + squares[None] - 2.0 * product) / width
        distance[np.abs(places[None] - block[:, None]) < width] = np.inf
        distance[:, hidden] = np.inf
        best = distance.argmin(axis=1)
        least = distance[np.arange(len(block)), best]
        ok = np.isfinite(least) & ~hidden[block]
        found[begin : begin + size] = np.where(ok, np.sqrt(np.maximum(least, 0.0)), np.nan)
        at[begin : begin + size] = np.where(ok, best, -1)
    return found, at


def strangeness(values: F64, known: Mask, width: int) -> F64:
    """For each cell: how unlike all others the stretch around it is; zero at the ends and where nothing is known."""
    out = np.zeros(len(values))
    count = len(values) - width + 1
    if count > 0:
        found, _ = nearest(values, known, width, np.arange(count))
        out[width // 2 : width // 2 + count] = np.nan_to_num(found)
    return out


def _gaps(known: Mask, least: int) -> Mask:
    """Cells in stretches of at least so many that are not known."""
    edges = np.flatnonzero(np.diff(np.r_[True, known, True].astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    marks = np.zeros(len(known) + 1, np.int64)
    long = ends - begins >= least
    marks[begins[long]] += 1
    marks[ends[long]] -= 1
    return np.cumsum(marks)[:-1] > 0
