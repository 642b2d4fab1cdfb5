"""Records of many series in order of arrival, cut into rounds: the k-th record of each series. Pure, by column."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from appliance.hybrid.analysis.numeric.scored import I32, I64


def rounds(slots: I32) -> Iterator[I64]:
    """Places of records, so that no slot is twice in a round and each slot's records come in their order."""
    if not len(slots):
        return
    order = np.argsort(slots, kind="stable")
    in_order = slots[order]
    begins = np.concatenate([[True], in_order[1:] != in_order[:-1]])
    places = np.arange(len(slots))
    rank = places - np.maximum.accumulate(np.where(begins, places, 0))
    by_rank = order[np.argsort(rank, kind="stable")]
    yield from np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])
