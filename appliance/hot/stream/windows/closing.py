"""What time alone does to tumbling windows: they end.

A window ends when its key's own watermark (see ``leaving``) gets to the end of its pane; once the key has sent a row in a later pane
that of all decides, since no more rows in order can come. A pane that gets another row after that (its key has fallen further behind
meanwhile) ends once more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.hot.stream.values import I64, Mask
from appliance.hot.stream.windows.aggregates import FAR, NEVER, State
from appliance.hot.stream.windows.points import Found
from appliance.hot.stream.windows.state import joined, pick, ragged
from appliance.hot.stream.windows.store import Store
from appliance.hot.stream.windows.timeline import Clock, Taken, Timeline


@dataclass(slots=True)
class Ends:
    """Panes that may end: as they are after a row, or were at the round's begin."""

    key: I64
    pane: I64
    lag: I64
    until: I64
    """The watermark at the key's next row, or after the round."""
    after: I64
    """The row (as it came) that made it so; -1: the round's begin."""
    follower: I64
    """The key's next row when that is in a later pane: from then on only the watermark decides; -1: none."""
    state: State


def ends(store: Store, line: Timeline, taken: Taken | None, clock: Clock, *, pane_us: int) -> list[Ends]:
    """All panes that may end in a round, of the keys of ``line``, which has the closed panes that haven't ended yet."""
    closed = ragged(line.offset, line.newest - line.offset)
    of = np.repeat(line.ids, line.newest - line.offset)
    none = np.full(len(closed), -1, np.int64)
    past = Ends(of, line.pane[closed], np.zeros_like(of), np.full(len(of), clock.end, np.int64), none, none, pick(line.state, closed))
    return [past, _open_ends(store, line, taken, clock, pane_us=pane_us), *([] if taken is None else [_row_ends(line, taken)])]


def _open_ends(store: Store, line: Timeline, taken: Taken | None, clock: Clock, *, pane_us: int) -> Ends:
    """The panes that were newest at the round's begin, unless they had ended then."""
    lag = store.lag[line.ids]
    pane = store.pane[line.ids]
    rank = np.flatnonzero((pane != NEVER) & ((pane + 1) * pane_us > store.watermark_us - lag))
    until, follower = np.full(len(rank), clock.end, np.int64), np.full(len(rank), -1, np.int64)
    if taken is not None:
        has = np.flatnonzero(line.key_runs[rank])
        first = taken.rows.key_starts[np.searchsorted(taken.rows.keys, line.ids[rank[has]])]
        row = taken.rows.order[first]
        until[has] = clock.before[row]
        follower[has] = np.where(taken.goes_on[taken.rows.run_of[first]], -1, row)
    ids = line.ids[rank]
    none = np.full(len(rank), -1, np.int64)
    return Ends(ids, pane[rank], lag[rank], until, none, follower, pick(store.open, ids))


def _row_ends(line: Timeline, taken: Taken) -> Ends:
    """The panes of the round's rows."""
    key, order = taken.rows.key, taken.rows.order
    rows = np.flatnonzero(line.run_rank[taken.rows.run_of] >= 0)
    following = np.minimum(rows + 1, len(key) - 1)
    later = (key[following] == key[rows]) & (taken.pane[following] > taken.pane[rows])
    state = pick(taken.state, rows)
    follower = np.where(later, order[following], -1)
    return Ends(key[rows], taken.pane[rows], taken.lag[rows], taken.until[rows], order[rows], follower, state)


def close(parts: list[Ends], clock: Clock, *, pane_us: int) -> Found:
    """The points of the panes that have ended, sorted."""
    key, pane, lag, until, after, follower = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("key", "pane", "lag", "until", "after", "follower")
    )
    due = (pane + 1) * pane_us
    meanwhile = until - lag >= due
    chosen = np.flatnonzero(meanwhile | ((follower >= 0) & (clock.end >= due)))
    chosen = chosen[np.lexsort((after[chosen], due[chosen], key[chosen]))]
    row = np.where(
        meanwhile[chosen],
        np.maximum(after[chosen] + 1, clock.row_at(due[chosen] + lag[chosen])),
        np.maximum(follower[chosen] + 1, clock.row_at(due[chosen])),
    )
    state = pick(joined([part.state for part in parts]), chosen)
    return Found(key[chosen], row, due[chosen], np.full(len(chosen), -1, np.int64), state)


def schedule(store: Store, ids: I64, *, pane_us: int) -> None:
    """Sets when the next window of some keys ends, from what they hold."""
    pane, lag = store.pane[ids], store.lag[ids]
    ended: Mask = (pane + 1) * pane_us <= store.watermark_us - lag
    store.first_due[ids] = np.where(pane == NEVER, FAR, (pane + 1) * pane_us)
    skip = store.ring.before(ids, np.full(len(ids), store.watermark_us // pane_us, np.int64))
    some = store.ring.count[ids] > skip
    places = store.ring.places(ids, skip, some.astype(np.int64))
    store.older[ids] = FAR
    store.older[ids[some]] = (store.ring.pane(places) + 1) * pane_us
    own = np.where((pane == NEVER) | ended, FAR, (pane + 1) * pane_us + lag)
    store.next_at[ids] = np.minimum(own, store.older[ids])
