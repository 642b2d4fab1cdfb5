"""What time alone does to sliding windows: panes leave them.

Not by the watermark of all but by that of each key: its newest record less the lateness, and from then on as fast as that of all. So
a device that is half a minute behind all others, or that sends what it has stored while it was cut off, keeps its windows as they are
for it, instead of losing them to a time that is not its own. ``lag`` is how far it is behind that of all; each row sets it anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.hot.stream.values import I64, Mask
from appliance.hot.stream.windows.aggregates import NEVER, State
from appliance.hot.stream.windows.points import Found
from appliance.hot.stream.windows.state import blank, choose, joined, pick, ragged
from appliance.hot.stream.windows.store import Store
from appliance.hot.stream.windows.timeline import Clock, Taken, Timeline


@dataclass(slots=True)
class Stands:
    """Where keys stand for a while: from a row of theirs, or from the round's begin, up to their next row or the round's end."""

    rank: I64
    """Which key of the timeline."""
    entry: I64
    """Its newest pane meanwhile."""
    begin: I64
    """The first entry of the window of that pane."""
    lag: I64
    passed: I64
    """Own watermark up to which points were given before; NEVER from a row on, since nothing of its window is due yet."""
    until: I64
    """The watermark at the end of it."""
    after: I64
    """The row (as it came) with which it begins; -1: the round's begin."""
    slot: I64
    """The sorted row before which its points come."""
    final: Mask
    """Whether it is the key's last in this round."""
    state: State
    """Of the newest pane meanwhile."""


def early_stands(store: Store, line: Timeline, taken: Taken | None, clock: Clock) -> Stands:
    """From the round's begin to each key's first row, where something is due meanwhile."""
    until, slot = np.full(len(line.ids), clock.end, np.int64), np.zeros(len(line.ids), np.int64)
    if taken is not None:
        slot = np.append(taken.rows.key_starts, len(taken.rows))[np.searchsorted(taken.rows.keys, line.ids)]
        has = np.flatnonzero(line.key_runs)
        until[has] = clock.before[taken.rows.order[slot[has]]]
    due = np.flatnonzero(store.next_at[line.ids] <= until)
    ids = line.ids[due]
    return Stands(
        rank=due,
        entry=line.newest[due],
        begin=line.offset[due],
        lag=store.lag[ids],
        passed=store.watermark_us - store.lag[ids],
        until=until[due],
        after=np.full(len(due), -1, np.int64),
        slot=slot[due],
        final=line.key_runs[due] == 0,
        state=pick(store.open, ids),
    )


def row_stands(line: Timeline, taken: Taken, begins: I64, due: I64) -> Stands:
    """From rows on in whose stand something is due (``due``: sorted rows). ``begins``: the first entry of the window of each run."""
    run = taken.rows.run_of[due]
    return Stands(
        rank=line.run_rank[run],
        entry=line.run_entry[run],
        begin=begins[run],
        lag=taken.lag[due],
        passed=np.full(len(due), NEVER, np.int64),
        until=taken.until[due],
        after=taken.rows.order[due],
        slot=due + 1,
        final=np.append(taken.rows.key[1:] != taken.rows.key[:-1], True)[due],
        state=pick(taken.state, due),
    )


def both(a: Stands, b: Stands) -> Stands:
    """All of them."""
    return Stands(
        rank=np.concatenate((a.rank, b.rank)),
        entry=np.concatenate((a.entry, b.entry)),
        begin=np.concatenate((a.begin, b.begin)),
        lag=np.concatenate((a.lag, b.lag)),
        passed=np.concatenate((a.passed, b.passed)),
        until=np.concatenate((a.until, b.until)),
        after=np.concatenate((a.after, b.after)),
        slot=np.concatenate((a.slot, b.slot)),
        final=np.concatenate((a.final, b.final)),
        state=joined([a.state, b.state]),
    )


@dataclass(slots=True)
class Left:
    """What has left."""

    found: Found
    """A point for each pane that has left a window."""
    slots: I64
    """The sorted row before which each comes; not falling."""
    stands: Stands
    rest: I64
    """By stand: the first entry of the window that hasn't left it."""


def leave(store: Store, line: Timeline, at: Stands, clock: Clock, *, pane_us: int, panes: int) -> Left:
    """The windows after each pane that has left one: that of the pane ``panes`` later."""
    first = at.begin.copy()
    again = np.flatnonzero(at.passed != NEVER)
    first[again] = np.maximum(first[again], line.from_pane(at.rank[again], at.passed[again] // pane_us - panes + 1))
    first = np.minimum(first, at.entry + 1)
    rest = np.clip(line.from_pane(at.rank, (at.until - at.lag) // pane_us - panes + 1), first, at.entry + 1)
    stand = np.repeat(np.arange(len(rest)), rest - first)
    entry = ragged(first, rest - first)
    order = np.lexsort((entry, at.rank[stand], at.slot[stand]))
    stand, entry = stand[order], entry[order]
    newest = at.entry[stand]
    due = (line.pane[entry] + panes) * pane_us
    closed = line.stretches.window(np.minimum(entry + 1, newest), np.maximum(newest - entry - 1, 0))
    own = pick(at.state, stand)
    if (entry == newest).any():
        own = choose(entry == newest, blank(store.layout.columns, len(entry)), own)
    row = np.maximum(at.after[stand] + 1, clock.row_at(due + at.lag[stand]))
    found = Found(line.ids[at.rank[stand]], row, due, np.full(len(row), -1, np.int64), store.layout.combine(closed, own))
    return Left(found, at.slot[stand], at, rest)
