"""Records of many series in order of arrival, cut into rounds: the k-th record of each series. Pure, by column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from appliance.hybrid.analysis.numeric.scored import F64, I32, I64

_SECOND_US: Final = 1_000_000


def rounds(slots: I32) -> Iterator[I64]:
    """Places of records, so that no slot is twice in a round and each slot's records come in their order."""
    if not len(slots):
        return
    order = np.argsort(slots, kind="stable")
    yield from _by_rank(order, _rank(slots[order]))


def seconds(slots: I32, ts_us: I64, values: F64) -> Iterator[I64]:
    """Places of records, so that each part has one second of event time at most of each slot, in the order of arrival: all of it that came
    without another second or a change between finite and infinite values in between."""
    if not len(slots):
        return
    order = np.argsort(slots, kind="stable")
    in_order, second, finite = slots[order], ts_us[order] // _SECOND_US, np.isfinite(values[order])
    other = (in_order[1:] != in_order[:-1]) | (second[1:] != second[:-1]) | (finite[1:] != finite[:-1])
    begins = np.concatenate([[True], other])
    run = np.cumsum(begins) - 1
    rank = _rank(in_order[begins])[run]
    for part in _by_rank(order, rank):
        yield np.sort(part)


def _rank(ordered: I32) -> I64:
    """How many equal ones come before; ``ordered``: equal ones together."""
    places = np.arange(len(ordered))
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    return places - np.maximum.accumulate(np.where(begins, places, 0))


def _by_rank(order: I64, rank: I64) -> Iterator[I64]:
    by_rank = order[np.argsort(rank, kind="stable")]
    yield from np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])
