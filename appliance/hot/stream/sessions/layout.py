"""Which session each record of a round belongs to, by array: what continues, what starts, and what is left to ``walk``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from appliance.hot.stream.event_clock import NEVER
from appliance.hot.stream.sessions.known import Known
from appliance.hot.stream.sessions.pool import Pool
from appliance.hot.stream.sessions.values import FAR, Places
from appliance.hot.stream.sessions.walk import Steps, Walk
from appliance.hot.stream.values import I64, Mask

_NONE: Places = np.empty(0, np.intp)


@dataclass(slots=True)
class Layout:
    """What is to be done with the rows of one round, and what becomes of sessions when it is done."""

    slots: Places
    """The slot of each row, ``walk.LATE`` for none."""
    levels: Places | None = None
    """Rows up to level n are added before the merges of that level; None: there are no merges."""
    merges: list[tuple[int, int, int]] = field(default_factory=list)
    """(level, slot that stays, slot that goes)."""
    given: list[tuple[Places, Places]] = field(default_factory=list)
    """(keys, slots) of closed sessions to be given out."""
    forgotten: list[tuple[Places, Places]] = field(default_factory=list)
    """(keys, slots) of which only the edges stay known."""
    gone: list[Places] = field(default_factory=list)
    """Slots to give back at the end."""
    followed: Places = field(default_factory=lambda: _NONE)
    """Keys that have a new one before, later than all that are forgotten."""
    expected: list[Places] = field(default_factory=list)
    """Keys whose current session is open."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A round sorted by key."""

    order: Places
    keys: Places
    ts: I64
    is_head: Mask
    """The first row of its key."""
    is_start: Mask
    is_late: Mask
    is_closed: Mask
    """As in ``walk.Steps``."""


def lay(known: Known, pool: Pool, ids: Places, ts: I64, watermark: I64, *, gap_us: int, longest_us: int) -> Layout:
    """Takes slots for new sessions and moves ``known`` on, except for edges of forgotten sessions and what is due."""
    rows = _sorted(known, pool, ids, ts, watermark, gap_us)
    layout = Layout(np.empty(len(ids), np.intp))
    odd = _odd(rows, known, pool, longest_us)
    if odd is None:
        layout.slots[rows.order] = _even(rows, known, pool, layout)
        return layout
    even = np.flatnonzero(~odd)
    if len(even):
        some = _picked(rows, even)
        layout.slots[some.order] = _even(some, known, pool, layout)
    _walk(_picked(rows, np.flatnonzero(odd)), Walk(pool, known, gap_us=gap_us, longest_us=longest_us), layout)
    return layout


def _sorted(known: Known, pool: Pool, ids: Places, ts: I64, watermark: I64, gap_us: int) -> _Sorted:
    # Sixteen bits are sorted by counting, four times faster.
    order = np.argsort(ids.astype(np.uint16) if known.keys <= 0x10000 else ids, kind="stable")
    keys, t = ids[order], ts[order]
    head = np.empty(len(keys), np.bool_)
    head[0] = True
    np.not_equal(keys[1:], keys[:-1], out=head[1:])
    now = known.now[keys]
    newest = np.where(now >= 0, pool.last[now], NEVER)
    reached = np.maximum(_reached(t, head), newest)
    is_late = t < reached
    closed = (reached != NEVER) & (watermark[order] >= reached + gap_us)
    return _Sorted(order, keys, t, head, t - reached >= gap_us, is_late, closed)


def _reached(ts: I64, head: Mask) -> I64:
    """The largest time of the rows of the same key before each row; ``NEVER`` for the first."""
    before = np.empty_like(ts)
    before[0] = NEVER
    before[1:] = ts[:-1]
    before[head] = NEVER
    if not (ts < before).any():
        return before
    # Ranks in place of times: so the rows of all keys fit side by side into one rising number.
    distinct, rank = np.unique(before, return_inverse=True)
    side = (np.cumsum(head) - 1) * len(distinct)
    return np.asarray(distinct[np.maximum.accumulate(rank + side) - side])


def _odd(rows: _Sorted, known: Known, pool: Pool, longest_us: int) -> Mask | None:
    """The rows of keys that have to be walked through; None: there are none."""
    piece = rows.is_head | rows.is_start
    firsts = np.flatnonzero(piece)
    starts = np.where(rows.is_start[firsts], rows.ts[firsts], pool.start[known.now[rows.keys[firsts]]])
    since = rows.ts - starts[np.cumsum(piece) - 1]
    odd = (since > longest_us) | (since < 0)
    if not odd.any():
        return None
    group = np.cumsum(rows.is_head) - 1
    return np.asarray(np.bincount(group[odd], minlength=int(group[-1]) + 1)[group] > 0)


def _even(rows: _Sorted, known: Known, pool: Pool, layout: Layout) -> Places:
    """The slot of each row, of keys without a record before its session and without a session that is too long."""
    piece = rows.is_head | rows.is_start
    firsts = np.flatnonzero(piece)
    keys, new = rows.keys[firsts], rows.is_start[firsts]
    slots = known.now[keys]
    started = np.flatnonzero(new)
    if len(started):
        old = slots[started]
        slots[started] = pool.take(len(started))
        _follow(keys, slots, started, old, known, layout)
    found = slots[np.cumsum(piece) - 1]
    settled = rows.is_closed & ~rows.is_start
    if settled.any():
        pool.settled[found[settled]] = True
    layout.expected.append(keys[np.append(keys[1:] != keys[:-1], True)])
    return np.asarray(found)


def _follow(keys: Places, slots: Places, started: Places, old: Places, known: Known, layout: Layout) -> None:
    """New sessions take the place of current ones, and these that of the one before.

    ``keys`` and ``slots`` are those of all pieces, in order; ``started`` are the pieces that are new, ``old`` the current slots of
    their keys before this round.
    """
    after_piece = (started > 0) & (keys[started] == keys[started - 1])
    previous = np.where(after_piece, slots[started - 1], old)
    new_keys = keys[started]
    is_last = np.append(new_keys[1:] != new_keys[:-1], True)
    followed = new_keys[is_last]
    known_before = known.before[followed]
    there = known_before >= 0
    passed = ~is_last & (previous >= 0)
    forgotten = (np.concatenate([followed[there], new_keys[passed]]), np.concatenate([known_before[there], previous[passed]]))
    layout.forgotten.append(forgotten)
    layout.gone.append(forgotten[1])
    given = (previous >= 0) & (after_piece | (known.due_us[new_keys] != FAR))
    layout.given.append((new_keys[given], previous[given]))
    known.now[followed] = slots[started[is_last]]
    known.before[followed] = previous[is_last]
    layout.followed = followed


def _walk(rows: _Sorted, walk: Walk, layout: Layout) -> None:
    laid = walk.through(Steps(rows.keys, rows.ts, rows.is_start, rows.is_late, rows.is_closed))
    layout.slots[rows.order] = np.repeat(np.array(laid.slots, np.intp), laid.lengths)
    if laid.merges:
        layout.levels = np.zeros(len(layout.slots), np.intp)
        layout.levels[rows.order] = np.repeat(np.array(laid.levels, np.intp), laid.lengths)
        layout.merges = laid.merges
    layout.given.append((np.array(list(laid.given.values()), np.intp), np.array(list(laid.given), np.intp)))
    layout.gone.append(np.array(laid.gone, np.intp))
    layout.expected.append(np.array(laid.expected, np.intp))


def _picked(rows: _Sorted, at: Places) -> _Sorted:
    return _Sorted(
        order=rows.order[at],
        keys=rows.keys[at],
        ts=rows.ts[at],
        is_head=rows.is_head[at],
        is_start=rows.is_start[at],
        is_late=rows.is_late[at],
        is_closed=rows.is_closed[at],
    )
