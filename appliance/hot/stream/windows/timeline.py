"""A round in a table: its rows by key and pane, and of keys to which more happens than rows in their newest pane all panes in order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from appliance.hot.stream.values import I64, Mask
from appliance.hot.stream.windows.aggregates import FAR, NEVER, State
from appliance.hot.stream.windows.fold import Stretches
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.state import lower_bound, pick, put, ragged
from appliance.hot.stream.windows.store import Store


@dataclass(frozen=True, slots=True)
class Clock:
    """How the watermark goes on in a round."""

    before: I64
    """Before each row, in the order in which they came; not falling."""
    end: int
    """After the round."""

    def row_at(self, due: I64) -> I64:
        """The row before which the watermark gets to ``due``; the number of rows where that is after them, or not at all."""
        return np.asarray(np.searchsorted(self.before, due), dtype=np.int64)


@dataclass
class Taken:
    """The rows of one round, sorted by key, with what became of the states of their keys' panes."""

    rows: Round
    ts: I64
    seq: I64
    pane: I64
    lag: I64
    """How far the key's own watermark is behind that of all from the row on."""
    until: I64
    """The watermark before the key's next row, or after the round."""
    goes_on: Mask
    """Of each run: whether it goes on with the pane that was its key's newest."""
    steady: bool
    """Whether all do."""
    state: State
    """As a pane, after each row."""


@dataclass
class Timeline:
    """Some keys with their panes as entries one after the other: closed ones, the newest one before the round, those of the round.

    A run that goes on with the newest pane has the entry of that. Of the closed panes only those that still matter are there.
    """

    ids: I64
    """The keys, rising."""
    offset: I64
    """The first entry of each key."""
    newest: I64
    """The entry of the pane that was newest before the round; of a new key its first entry."""
    pane: I64
    """Of each entry."""
    state: State
    """Of each entry, after the round."""
    run_entry: I64
    """The entry of each run of the round; -1 for keys that are not here."""
    run_rank: I64
    """Which of ``ids`` each run belongs to; -1 as above."""
    key_runs: I64
    """Runs of each key."""
    stretches: Stretches

    def window_starts(self, entries: I64, ranks: I64, panes: int) -> I64:
        """The first entry of the window of ``panes`` panes that ends with each entry."""
        first = self.offset[ranks]
        wanted = self.pane.take(entries) - (panes - 1)
        # without gaps between the panes the place is known
        guess = np.maximum(first, entries - (panes - 1))
        wrong = np.flatnonzero(self.pane.take(guess) < wanted)
        if len(wrong):
            guess[wrong] = self.from_pane(ranks[wrong], wanted[wrong])
        return guess

    def from_pane(self, ranks: I64, panes: I64) -> I64:
        """The first entry of each key whose pane is at least the given one; the end of the key's where there is none."""
        if self._places is None:
            ends = np.append(self.offset[1:], len(self.pane))
            return lower_bound(self.pane, self.offset[ranks], ends[ranks], panes)
        lowest, span, places = self._places
        return np.asarray(np.searchsorted(places, ranks * span + np.clip(panes - lowest, 0, span - 1)), dtype=np.int64)

    @cached_property
    def _places(self) -> tuple[int, int, I64] | None:
        """Keys and panes as one rising number: the lowest pane, what a key counts, the numbers; None when they would be too large."""
        if not len(self.pane):
            return None
        lowest = int(self.pane.min())
        span = int(self.pane.max()) - lowest + 2
        if span * (len(self.ids) + 1) >= FAR:
            return None
        counts = np.diff(np.append(self.offset, len(self.pane)))
        return lowest, span, np.repeat(np.arange(len(self.ids)) * span, counts) + (self.pane - lowest)


def timeline(store: Store, taken: Taken | None, ids: I64, *, skip: I64) -> Timeline:
    """Lays out the panes of ``ids`` (rising), of the closed ones those from the ``skip``-th on."""
    closed = store.ring.count[ids] - skip
    alone = store.pane[ids] != NEVER
    runs = np.zeros(len(ids), np.int64)
    run_rank = run_entry = here = np.empty(0, np.int64)
    if taken is not None:
        rank = np.full(len(store.pane), -1, np.int64)
        rank[ids] = np.arange(len(ids))
        run_rank = rank[taken.rows.key.take(taken.rows.starts)]
        here = np.flatnonzero(run_rank >= 0)
        runs = np.bincount(run_rank[here], minlength=len(ids))
        alone[run_rank[here[taken.goes_on[here]]]] = False
    counts = closed + alone + runs
    offset = np.cumsum(counts) - counts
    newest = offset + closed
    first_run = newest + alone
    places = ragged(first_run, runs)
    pane = np.empty(int(counts.sum()), np.int64)
    in_ring = store.ring.places(ids, skip, closed)
    at_ring, at_open, opened = ragged(offset, closed), newest[alone], ids[alone]
    pane[at_ring], pane[at_open] = store.ring.pane(in_ring), store.pane[opened]
    state = {name: np.empty(len(pane), dtype=column.dtype) for name, column in store.open.items()}
    put(state, at_ring, pick(store.ring.state, in_ring))
    put(state, at_open, pick(store.open, opened))
    if taken is not None:
        run_entry = np.full(len(run_rank), -1, np.int64)
        run_entry[here] = places
        pane[places] = taken.pane[taken.rows.starts[here]]
        put(state, places, pick(taken.state, taken.rows.ends[here]))
    return Timeline(ids, offset, newest, pane, state, run_entry, run_rank, runs, Stretches(store.layout, state))
