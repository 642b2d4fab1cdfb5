"""Rows that nobody asks anything of yet: they go into the panes by the run, not by the row, and no window is put together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.hot.stream.values import Vector
from appliance.hot.stream.windows.argument import Begins
from appliance.hot.stream.windows.batch import Batch
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.state import pick
from appliance.hot.stream.windows.store import Store
from appliance.hot.stream.windows.timeline import Taken


def absorbed(store: Store, batch: Batch, vectors: Sequence[Sequence[Vector]], *, pane_us: int) -> Taken:
    """What rows in order, at least one, make of the panes of their keys, with the last row of each run in place of all of it.

    ``until`` and ``seq`` say nothing, since no point follows from it.
    """
    rows, times = batch.rows, batch.times
    pane = times // pane_us
    rows.cut(pane[1:] != pane[:-1])
    key, of = rows.key.take(rows.starts), pane.take(rows.starts)
    goes_on = store.pane.take(key) == of
    steady = bool(goes_on.all())
    on = np.flatnonzero(goes_on)
    begins = Begins(slice(None) if steady else on, pick(store.open, key.take(on)))
    state = store.layout.total(
        begins, rows, times, [batch.inputs(argument, vectors[index]) for index, argument in store.layout.arguments.items()]
    )
    last = times.take(rows.ends)
    lag = store.lags(last, batch.before.take(rows.order.take(rows.ends)))
    runs = Round(rows.ends, key, np.flatnonzero(np.append(True, key[1:] != key[:-1])), np.arange(len(key)))
    none = np.empty(0, np.int64)
    return Taken(runs, last, none, of, lag, none, goes_on, steady, state)
