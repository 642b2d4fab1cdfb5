"""Panes that are over go into the rings of their keys: those that were newest before a round, and all of the round but the last."""

from __future__ import annotations

import numpy as np

from appliance.hot.stream.values import I64
from appliance.hot.stream.windows.aggregates import NEVER
from appliance.hot.stream.windows.store import Store
from appliance.hot.stream.windows.timeline import Taken


def put_away(store: Store, taken: Taken, oldest: I64) -> None:
    """Of each key the pane that was its newest, where the round has a newer one, and the runs of the round but the last.

    ``oldest`` is the first pane that is kept of each key of the round. The newest panes of before are still those of the store.
    """
    rows = taken.rows
    keys, first = rows.keys, rows.run_of[rows.key_starts]
    ends = np.append(first[1:], len(rows.starts)) - 1
    opened = store.pane[keys]
    gone = ~taken.goes_on[first] & (opened != NEVER) & (opened >= oldest)
    is_inner = np.ones(len(rows.starts), np.bool_)
    is_inner[ends] = False
    runs, rank = np.flatnonzero(is_inner), np.repeat(np.arange(len(keys)), ends - first)
    inner = taken.pane[rows.starts[runs]]
    kept = inner >= oldest[rank]
    if not kept.all():
        runs, rank, inner = runs[kept], rank[kept], inner[kept]
    counts = np.bincount(rank, minlength=len(keys)) + gone
    some = np.flatnonzero(counts)
    if not len(some):
        return
    at_gone, at_inner = (np.cumsum(counts) - counts)[gone], np.arange(len(runs)) + np.cumsum(gone)[rank]
    panes = np.empty(len(at_gone) + len(at_inner), np.int64)
    panes[at_gone], panes[at_inner] = opened[gone], inner
    parts = ((at_gone, store.open, keys[gone]), (at_inner, taken.state, rows.ends[runs]))
    store.ring.append(keys[some], counts[some], panes, parts, oldest=oldest[some])
