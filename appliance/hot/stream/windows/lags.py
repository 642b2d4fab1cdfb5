"""How far the own watermarks of keys are behind that of all after each row of a round, before the round is taken in."""

from __future__ import annotations

import numpy as np

from appliance.hot.stream.values import I64, Mask
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.store import Store


def lags_after(store: Store, rows: Round, newest_us: I64, lag_us: I64, ts: I64, watermark: I64, counts: Mask) -> I64:
    """One for each row, as they came; ``newest_us`` and ``lag_us`` are how each of ``rows.keys`` stands. Rows that do not
    count set none."""
    times, place = ts[rows.order], np.arange(len(ts))
    highest = times.copy()
    highest[rows.key_starts] = np.maximum(highest[rows.key_starts], newest_us)
    rows.accumulate(np.maximum, highest)
    sets = np.maximum.accumulate(np.where(counts[rows.order] & (times >= highest), place, -1))
    lengths = rows.key_ends - rows.key_starts + 1
    own = store.lags(times, watermark[rows.order])
    found = np.empty(len(ts), np.int64)
    found[rows.order] = np.where(sets >= np.repeat(rows.key_starts, lengths), own[sets], np.repeat(lag_us, lengths))
    return found
