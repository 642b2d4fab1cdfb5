"""The exact slow way: panes made anew for late rows and after a start, and windows of the past looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.hot.stream.values import I64, Vector
from appliance.hot.stream.windows import closing
from appliance.hot.stream.windows.aggregates import FAR, NEVER, Numbers, State
from appliance.hot.stream.windows.argument import Argument
from appliance.hot.stream.windows.layout import Inputs
from appliance.hot.stream.windows.points import Found
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.state import blank, joined, lower_bound, pick, put, ragged
from appliance.hot.stream.windows.store import Store
from appliance.hot.stream.windows.timeline import Timeline, timeline


@dataclass(frozen=True, slots=True)
class Frame:
    """What windows are like."""

    pane_us: int
    panes: int
    kept_panes: int
    tumbling: bool


@dataclass(slots=True)
class Contents:
    """All panes of some keys, one after the other."""

    key: I64
    pane: I64
    state: State


def load(
    store: Store,
    frame: Frame,
    ids: I64,
    ts: I64,
    seqs: I64,
    vectors: Sequence[Vector],
    watermark: I64,
    *,
    watermark_us: int,
    others: bool,
) -> None:
    """See ``PaneTable.load``. ``others``: keys without rows are brought up to the watermark too."""
    assert bool(np.all(seqs[1:] > seqs[:-1])), "rows are loaded in the order of their sequences"
    if len(ids):
        store.reserve(int(ids.max()) + 1)
        # where the order within a pane doesn't matter each row of the newest one counts as its newest
        by, have = (ts, store.newest) if store.layout.is_ordered else (ts // frame.pane_us, store.pane)
        order = np.lexsort((seqs, by, ids))
        last = order[np.append(ids[order][1:] != ids[order][:-1], True)]
        newer = last[by[last] >= have[ids[last]]]
        np.maximum.at(store.newest, ids, ts)
        store.lag[ids[newer]] = store.lags(store.newest[ids[newer]], watermark[newer])
    store.watermark_us = max(store.watermark_us, watermark_us)
    keys = np.unique(ids)
    _merge(store, frame, keys, _contents(store, keys), ids, ts, vectors)
    # points that are due by now are not given, of other keys either
    passed = store.next_at <= store.watermark_us if others else np.zeros(len(store.pane), np.bool_)
    passed[keys] = True
    reschedule(store, frame, np.flatnonzero(passed))


def replace(
    store: Store,
    frame: Frame,
    affected: I64,
    pane_from: int,
    pane_to: int,
    ids: I64,
    ts: I64,
    seqs: I64,
    vectors: Sequence[Vector],
) -> None:
    """See ``PaneTable.replace``."""
    keys = np.unique(affected)
    if not len(keys):
        return
    store.reserve(int(keys[-1]) + 1)
    panes = ts // frame.pane_us
    assert bool(np.all((panes >= pane_from) & (panes <= pane_to))), "rows outside of the panes that are replaced"
    assert bool(np.isin(ids, keys).all()), "rows of keys that are not replaced"
    kept = np.flatnonzero((store.pane[ids] == NEVER) | (panes > store.pane[ids] - frame.kept_panes))
    order = kept[np.argsort(seqs[kept], kind="stable")]
    np.maximum.at(store.newest, ids[order], ts[order])
    have = _contents(store, keys)
    stays = np.flatnonzero((have.pane < pane_from) | (have.pane > pane_to))
    have = Contents(have.key[stays], have.pane[stays], pick(have.state, stays))
    _merge(store, frame, keys, have, ids[order], ts[order], [vector.take(order) for vector in vectors])
    reschedule(store, frame, keys)


def history(store: Store, frame: Frame, ids: I64, pane_from: int, pane_to: int) -> Found:
    """See ``PaneTable.history``."""
    keys = np.unique(ids)
    keys = keys[keys < len(store.pane)]
    keys = keys[store.pane[keys] != NEVER]
    line = _whole(store, keys)
    if frame.tumbling:
        rank = np.repeat(np.arange(len(keys)), line.newest - line.offset + 1)
        entry = np.flatnonzero((line.pane >= pane_from) & (line.pane <= pane_to))
        return _windows(store, line, rank[entry], line.pane[entry], frame)
    first = np.maximum(pane_from, store.pane[keys] - frame.kept_panes + frame.panes)
    now = np.maximum(store.pane[keys], (store.watermark_us - store.lag[keys]) // frame.pane_us)
    counts = np.maximum(np.minimum(pane_to, now) - first + 1, 0)
    return _windows(store, line, np.repeat(np.arange(len(keys)), counts), ragged(first, counts), frame)


def current(store: Store, frame: Frame, ids: I64) -> Found:
    """See ``PaneTable.current``."""
    keys = np.unique(ids)
    if len(keys):
        store.reserve(int(keys[-1]) + 1)
    own_us = store.watermark_us - store.lag[keys]
    pane = store.pane[keys] if frame.tumbling else np.maximum(store.pane[keys], own_us // frame.pane_us)
    found = _windows(store, _whole(store, keys), np.arange(len(keys)), pane, frame)
    found.at_us = np.maximum(store.newest[keys], own_us)
    return found


def _windows(store: Store, line: Timeline, rank: I64, pane: I64, frame: Frame) -> Found:
    """The window that ends with each of these panes: its closed panes and, after them, its newest one, as ``take`` has it."""
    stop = np.append(line.offset[1:], len(line.pane))[rank] if len(line.offset) else np.empty(0, np.int64)
    first = lower_bound(line.pane, line.offset[rank], stop, pane - frame.panes + 1)
    behind = lower_bound(line.pane, first, stop, pane + 1)
    some = np.flatnonzero(behind > first)
    state = line.stretches.window(first, np.maximum(behind - first - 1, 0))
    put(state, some, store.layout.combine(pick(state, some), pick(line.state, behind[some] - 1)))
    zeros = np.zeros(len(rank), np.int64)
    return Found(line.ids[rank], zeros, (pane + 1) * frame.pane_us, zeros - 1, state)


def reschedule(store: Store, frame: Frame, ids: I64) -> None:
    """What follows from the panes of some keys: the closed part of the present window, and when time will next make a point."""
    if frame.tumbling:
        closing.schedule(store, ids, pane_us=frame.pane_us)
        return
    store.first_due[ids], store.next_at[ids] = FAR, FAR
    ids = ids[store.pane[ids] != NEVER]
    line = timeline(store, None, ids, skip=store.ring.before(ids, store.pane[ids] - frame.panes + 1))
    put(store.base, ids, line.stretches.window(line.offset, line.newest - line.offset))
    store.first_due[ids] = (line.pane[line.offset] + frame.panes) * frame.pane_us
    own_us = store.watermark_us - store.lag[ids]
    rest = lower_bound(line.pane, line.offset, line.newest + 1, own_us // frame.pane_us - frame.panes + 1)
    due = (line.pane.take(np.minimum(rest, line.newest)) + frame.panes) * frame.pane_us + store.lag[ids]
    store.next_at[ids] = np.where(rest > line.newest, FAR, due)


def _whole(store: Store, keys: I64) -> Timeline:
    """All that is kept of some keys."""
    return timeline(store, None, keys, skip=np.zeros(len(keys), np.int64))


def _contents(store: Store, keys: I64) -> Contents:
    """All panes of some keys (rising)."""
    counts = store.ring.count[keys]
    places = store.ring.places(keys, np.zeros_like(keys), counts)
    opened = keys[store.pane[keys] != NEVER]
    key = np.concatenate((np.repeat(keys, counts), opened))
    order = np.argsort(key, kind="stable")
    pane = np.concatenate((store.ring.pane(places), store.pane[opened]))
    state = joined([pick(store.ring.state, places), pick(store.open, opened)])
    return Contents(key[order], pane[order], pick(state, order))


def _merge(store: Store, frame: Frame, keys: I64, have: Contents, ids: I64, ts: I64, vectors: Sequence[Vector]) -> None:
    """Puts rows (in the order of their sequences) to the panes that keys have, and stores these."""
    layout = store.layout
    values: dict[int, tuple[I64, Numbers]] = {}
    parts = have
    if len(ids):
        store.meet(vectors)
        layout.convert(have.state)
        by_pane = np.argsort(ts // frame.pane_us, kind="stable")
        rows = Round.of(ids[by_pane])
        rows.order = by_pane[rows.order]
        times = ts[rows.order]
        pane = times // frame.pane_us
        rows.cut(pane[1:] != pane[:-1])
        key, of = rows.key[rows.starts], pane[rows.starts]
        inputs = layout.inputs(vectors, rows.order)
        at = _find(have, key, of)
        old = np.flatnonzero(at >= 0)
        start = blank(layout.columns, len(key))
        put(start, old, pick(have.state, at[old]))
        totals = {argument.index: np.zeros(len(rows), np.int64) for argument in layout.valued}
        state = layout.gather(start, rows, times, inputs, totals)
        rest = np.ones(len(have.key), np.bool_)
        rest[at[old]] = False
        stays = np.flatnonzero(rest)
        order = np.lexsort((np.concatenate((have.pane[stays], of)), np.concatenate((have.key[stays], key))))
        parts = Contents(
            np.concatenate((have.key[stays], key))[order],
            np.concatenate((have.pane[stays], of))[order],
            pick(joined([pick(have.state, stays), state]), order),
        )
        values = _new_values(store, rows, inputs, key, of, parts)
    for argument in layout.valued:
        _rewrite_values(store, argument, keys, have, parts, values.get(argument.index))
    _put_contents(store, frame, keys, parts)
    store.trim(keys)


def _find(have: Contents, key: I64, pane: I64) -> I64:
    """Where each (key, pane) is; -1: nowhere."""
    low, high = np.searchsorted(have.key, key), np.searchsorted(have.key, key, side="right")
    at = lower_bound(have.pane, low, high, pane)
    if not len(have.pane):
        return np.full(len(key), -1, np.int64)
    return np.where((at < high) & (have.pane.take(at, mode="clip") == pane), at, -1)


def _new_values(store: Store, rows: Round, inputs: Inputs, key: I64, pane: I64, parts: Contents) -> dict[int, tuple[I64, Numbers]]:
    """By argument: the entry of ``parts`` that each new value belongs to, and the values."""
    entry = _find(parts, key, pane)[rows.run_of]
    out: dict[int, tuple[I64, Numbers]] = {}
    for argument, (values, ok) in zip(store.layout.arguments.values(), inputs, strict=True):
        if argument.index in store.retained:
            out[argument.index] = (entry[ok], values[ok])
    return out


def _rewrite_values(store: Store, argument: Argument, keys: I64, have: Contents, parts: Contents, new: tuple[I64, Numbers] | None) -> None:
    """Lays the values of keys anew, in the order of their panes, and numbers them."""
    retained = store.retained[argument.index]
    ordinal, n = have.state[argument.ordinal], have.state[argument.n]
    oldest = np.maximum(ordinal - n, retained.oldest[have.key])
    counts = np.maximum(ordinal - oldest, 0)
    data = retained.data[ragged(retained.places(have.key, oldest), counts)]
    entry = np.repeat(_find(parts, have.key, have.pane), counts)
    if new is not None:
        entry, data = np.concatenate((entry, new[0])), np.concatenate((data, new[1]))
    order = np.argsort(entry, kind="stable")
    n = parts.state[argument.n]
    there = np.bincount(entry, minlength=len(n))
    starts = np.searchsorted(parts.key, keys)
    stops = np.searchsorted(parts.key, keys, side="right")
    total = np.append(0, np.cumsum(n))
    parts.state[argument.ordinal] = total[1:] - np.repeat(total[starts], stops - starts)
    # where some values of a pane are gone already, those of it and of all panes before it go
    place = np.where(there < n, np.arange(len(n)), -1)
    gap = np.maximum.accumulate(place) if len(place) else place
    whole = np.ones(len(n), np.bool_)
    if len(n):
        newest_gap = gap[np.maximum(stops - 1, 0)]
        whole = np.arange(len(n)) > np.repeat(newest_gap, stops - starts)
    kept = data[order][whole[entry[order]]]
    held = np.append(0, np.cumsum(np.where(whole, n, 0)))
    counts = held[stops] - held[starts]
    retained.clear(keys)
    retained.total[keys] = retained.oldest[keys] = total[stops] - total[starts] - counts
    retained.append(keys, counts, kept)


def _put_contents(store: Store, frame: Frame, keys: I64, parts: Contents) -> None:
    """Stores all panes of some keys, but for those that are too old."""
    last = np.append(parts.key[1:] != parts.key[:-1], True)[: len(parts.key)]
    newest = np.flatnonzero(last)
    store.ring.clear(keys)
    store.pane[keys] = NEVER
    put(store.open, keys, blank(store.layout.columns, len(keys)))
    store.pane[parts.key[newest]] = parts.pane[newest]
    put(store.open, parts.key[newest], pick(parts.state, newest))
    oldest = store.pane[parts.key] - frame.kept_panes + 1
    if frame.tumbling:
        oldest = np.minimum(oldest, store.watermark_us // frame.pane_us)
    closed = np.flatnonzero(~last & (parts.pane >= oldest))
    if len(closed):
        ids, counts = np.unique(parts.key[closed], return_counts=True)
        first = np.cumsum(counts) - counts
        of = ((np.arange(len(closed)), parts.state, closed),)
        store.ring.append(ids, counts, parts.pane[closed], of, oldest=parts.pane[closed[first]])
