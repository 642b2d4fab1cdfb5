"""Windows of fixed length over the records of all keys of a stream, sliding or tumbling, kept as panes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from appliance.hot.stream.values import I64, Mask, Points, Vector
from appliance.hot.stream.windows import closing, rewriting
from appliance.hot.stream.windows.absorbing import absorbed
from appliance.hot.stream.windows.aggregates import FAR, NEVER, Aggregate
from appliance.hot.stream.windows.batch import Batch
from appliance.hot.stream.windows.fold import newest_windows
from appliance.hot.stream.windows.lags import lags_after
from appliance.hot.stream.windows.leaving import Left, both, early_stands, leave, row_stands
from appliance.hot.stream.windows.points import Found, empty, finished, merged, nothing
from appliance.hot.stream.windows.putting_away import put_away
from appliance.hot.stream.windows.rounds import Round
from appliance.hot.stream.windows.state import pick, put
from appliance.hot.stream.windows.store import Store
from appliance.hot.stream.windows.timeline import Clock, Taken, Timeline, timeline


class Mode(StrEnum):
    """How windows follow each other, and when they are looked at."""

    SLIDING = "sliding"
    """By a pane; a point after each row, and one for each pane that leaves."""
    TUMBLING = "tumbling"
    """End to end, each a pane; one point, when it ends."""


class PaneTable:
    """One stream, one set of keys, one length of window, and all that rules ask of these windows. Has one owner, takes no locks.

    Memory is bounded by keys × kept panes (``panes + lateness_panes``, counted from the newest of each key, only those with content)
    plus, for quantiles and distinct counts, ``2 × values_max`` values a key. Points are the same whatever rounds the rows come in.
    """

    def __init__(
        self,
        *,
        pane_us: int,
        panes: int,
        aggregates: Sequence[Aggregate],
        mode: Mode = Mode.SLIDING,
        lateness_panes: int = 0,
        lateness_us: int = 0,
        values_max: int = 100_000,
    ) -> None:
        """``panes`` of ``pane_us`` make a window (1 when tumbling); ``lateness_panes`` more are kept for rows that come late.

        ``lateness_us`` is how far the watermark is behind the newest record of all; a key's own is as far behind its newest.
        """
        assert pane_us > 0, pane_us
        assert panes >= 1, panes
        assert lateness_panes >= 0, lateness_panes
        assert mode is Mode.SLIDING or panes == 1, f"a tumbling window is one pane, not {panes}"
        self.pane_us = pane_us
        self.panes = panes
        self.mode = mode
        self.kept_panes = panes + lateness_panes
        self._store = Store(aggregates, lateness_us=lateness_us, values_max=values_max)
        self._is_stale = False

    @property
    def bytes(self) -> int:
        """Memory of what is kept."""
        return self._store.bytes

    @property
    def watermark_us(self) -> int:
        """Up to which time points have been given; ``NEVER`` at first."""
        return self._store.watermark_us

    @property
    def overfull(self) -> I64:
        """Keys whose latest window has more values than ``values_max``, so that quantiles and distinct counts of it are null; rising."""
        return np.flatnonzero(self._store.overfull)

    def take(
        self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, watermark_us: int, watched: Mask | None = None
    ) -> Points:
        """Applies rows that are in order (each not older than the newest of its key) and gives the points up to the end of the round.

        ``ids`` are dense ids of keys, at least 0; ``watermark`` is that before each row, not falling, ``watermark_us`` that after the
        round, not below them. ``Points.row`` counts these rows. ``watched``: only rows of these keys (a mask by id, for all ids) are
        taken and only their points given; the other rows are given to ``absorb``, before or after.
        """
        some = None if watched is None else np.flatnonzero(watched.take(ids))
        if not len(ids if some is None else some):
            return self.advance(watermark_us, watermark, watched)
        store = self._store
        self._refresh(watched)
        store.reserve(int(ids.max()) + 1)
        store.meet(vectors)
        clock = Clock(watermark, max(watermark_us, store.watermark_us))
        with np.errstate(over="ignore", invalid="ignore"):
            taken = self._taken(ids, ts, seqs, vectors, clock, some)
            due = self._due_rows(taken, clock)
            keys = self._eventful(taken, due, clock, watched)
            found = self._sliding(taken, due, keys, clock) if self.mode is Mode.SLIDING else self._tumbling(taken, keys, clock)
            store.watermark_us = clock.end
        points = finished(store, found)
        store.trim(taken.rows.keys)
        return points

    def advance(self, watermark_us: int, watermark: I64 | None = None, watched: Mask | None = None) -> Points:
        """Time goes on without rows: the points up to ``watermark_us``, all with row 0, or before the row with this ``watermark`` before
        it. ``watched`` as in ``take``."""
        store = self._store
        self._refresh(watched)
        keys = np.flatnonzero(store.next_at <= watermark_us)
        if watched is not None:
            keys = keys[watched.take(keys, mode="clip")]
        clock = Clock(np.empty(0, np.int64) if watermark is None else watermark, max(watermark_us, store.watermark_us))
        if not len(keys):
            store.watermark_us = clock.end
            return nothing(store)
        with np.errstate(over="ignore", invalid="ignore"):
            none = np.empty(0, np.int64)
            found = self._sliding(None, none, keys, clock) if self.mode is Mode.SLIDING else self._tumbling(None, keys, clock)
        store.watermark_us = clock.end
        return finished(store, found)

    @property
    def absorbs(self) -> bool:
        """Whether rows can be taken without giving points: sliding windows that keep no values."""
        return self.mode is Mode.SLIDING and not self._store.layout.valued

    def absorb(self, batch: Batch, vectors: Sequence[Sequence[Vector]], *, watermark_us: int) -> None:
        """As ``take``, for whoever knows that nothing comes of the points: they are not given, at a fraction of the cost.

        ``vectors`` are of each argument those of all parts.
        """
        assert self.absorbs
        store = self._store
        clock = Clock(np.empty(0, np.int64), max(watermark_us, store.watermark_us))
        if len(batch):
            store.reserve(int(batch.rows.key[-1]) + 1)
            for part in range(len(batch.ids)):
                store.meet([of[part] for of in vectors])
            with np.errstate(over="ignore", invalid="ignore"):
                taken = absorbed(store, batch, vectors, pane_us=self.pane_us)
                self._keep(taken, clock)
            store.stale[taken.rows.keys] = True
        store.watermark_us = clock.end
        self._is_stale = True

    @property
    def begin_us(self) -> int:
        """The event time before which no window that is yet to be given reaches, but of a key whose panes have all left its window; ``FAR``
        where there is none."""
        return self._store.begin_us(pane_us=self.pane_us, panes=self.panes)

    def load(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, watermark_us: int) -> None:
        """Takes in rows without giving points, to rebuild after a start: in the order of their sequences, whatever their times.

        May be called again with later rows. Rows of all kept panes give the state that ``take`` would have left.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            rewriting.load(
                self._store, self._frame, ids, ts, seqs, vectors, watermark, watermark_us=watermark_us, others=not self._is_stale
            )

    def replace(self, affected: I64, pane_from: int, pane_to: int, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector]) -> None:
        """The panes ``pane_from`` to ``pane_to`` (both in) of the keys ``affected`` are made anew of these rows.

        The rows are all that these keys have in these panes, each record once, in any order; panes that aren't kept any more are left out.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            rewriting.replace(self._store, self._frame, affected, pane_from, pane_to, ids, ts, seqs, vectors)

    @property
    def is_ordered(self) -> bool:
        """Whether an aggregate asks for the order of records within a pane."""
        return self._store.layout.is_ordered

    def is_past(self, ts: I64, newest_us: I64, watermark: I64) -> Mask:
        """Whether the pane of a row at ``ts`` isn't kept any more, when the newest of its key is at ``newest_us``."""
        oldest = newest_us // self.pane_us - self.kept_panes + 1
        if self.mode is Mode.TUMBLING:
            oldest = np.minimum(oldest, watermark // self.pane_us)
        return np.asarray(ts // self.pane_us < oldest, dtype=np.bool_)

    def stands(self, ids: I64) -> tuple[I64, I64]:
        """Of some keys the newest event time, and how far their own watermark is behind that of all."""
        if len(ids):
            self._store.reserve(int(ids.max()) + 1)
        return self._store.newest[ids], self._store.lag[ids]

    def lags_of(self, ids: I64, ts: I64, watermark: I64, counts: Mask) -> I64:
        """As the second of ``stands`` it would be just after each of some rows; those that do not count set none."""
        rows = Round.of(ids)
        return lags_after(self._store, rows, *self.stands(rows.keys), ts, watermark, counts)

    def oldest(self, ids: I64) -> int:
        """The oldest pane that is kept of any of these keys (at least one); ``NEVER`` where one of them has none."""
        self._store.reserve(int(ids.max()) + 1)
        return max(NEVER, int(self._store.pane[ids].min()) - self.kept_panes + 1)

    def history(self, ids: I64, pane_from: int, pane_to: int) -> Points:
        """The windows of the panes ``pane_from`` to ``pane_to`` (both in) of some keys, as they now are.

        A point for each pane whose whole window is kept, up to the key's own watermark (tumbling: each with content), at the end of the
        pane, in row 0.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return finished(self._store, rewriting.history(self._store, self._frame, ids, pane_from, pane_to))

    def current(self, ids: I64) -> Points:
        """The window that each key is in now, one point a key, at its newest record or its own watermark, whichever is later, in row 0."""
        with np.errstate(over="ignore", invalid="ignore"):
            return finished(self._store, rewriting.current(self._store, self._frame, ids))

    @property
    def _frame(self) -> rewriting.Frame:
        return rewriting.Frame(self.pane_us, self.panes, self.kept_panes, tumbling=self.mode is Mode.TUMBLING)

    def _refresh(self, watched: Mask | None) -> None:
        """Puts the windows together of keys (those that are ``watched``) whose rows were only absorbed, or whose points weren't given."""
        if self._is_stale:
            store = self._store
            stale = store.stale | (store.next_at <= store.watermark_us)
            keys = np.flatnonzero(stale)
            if watched is not None:
                keys = keys[watched.take(keys, mode="clip")]
            if len(keys):
                with np.errstate(over="ignore", invalid="ignore"):
                    rewriting.reschedule(store, self._frame, keys)
                store.stale[keys] = False
        self._is_stale = watched is not None

    def _taken(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], clock: Clock, some: I64 | None) -> Taken:
        store = self._store
        if some is None:
            rows = Round.of(ids)
        else:
            rows = Round.of(ids.take(some))
            rows.order = some.take(rows.order)
        times, watermark = ts.take(rows.order), clock.before.take(rows.order)
        pane = times // self.pane_us
        rows.cut(pane[1:] != pane[:-1])
        inputs = store.layout.inputs(vectors, rows.order)
        run_key = rows.key.take(rows.starts)
        goes_on = store.pane.take(run_key) == pane.take(rows.starts)
        start = store.layout.begin(goes_on, pick(store.open, run_key))
        state = store.layout.run(start, rows, times, inputs, store.totals(rows, inputs))
        until = np.empty_like(watermark)
        until[:-1] = watermark[1:]
        until[rows.key_ends] = clock.end
        return Taken(rows, times, seqs.take(rows.order), pane, store.lags(times, watermark), until, goes_on, bool(goes_on.all()), state)

    def _due_rows(self, taken: Taken, clock: Clock) -> I64:
        """The sorted rows after which time makes a point before their key's next row."""
        if clock.end < (int(taken.pane.min()) + 1) * self.pane_us:
            return np.empty(0, np.int64)
        return np.flatnonzero(taken.until - taken.lag >= (taken.pane + 1) * self.pane_us)

    def _eventful(self, taken: Taken, due: I64, clock: Clock, watched: Mask | None) -> I64:
        """Keys of which more comes than rows in their newest pane, rising."""
        store, rows = self._store, taken.rows
        timed = store.next_at <= clock.end
        if watched is not None:
            there = np.flatnonzero(timed)
            timed[there[~watched.take(there, mode="clip")]] = False
        if taken.steady and not len(due) and not timed.any():
            return np.empty(0, np.int64)
        timed[rows.key[rows.starts[~taken.goes_on]]] = True
        timed[rows.key[due]] = True
        return np.flatnonzero(timed)

    # --- sliding ----------------------------------------------------------------------------------------------------------

    def _sliding(self, taken: Taken | None, due: I64, keys: I64, clock: Clock) -> Found:
        store = self._store
        if taken is None:
            return self._left(self._line(None, keys), None, due, due, clock).found
        rows = taken.rows
        base = pick(store.base, rows.key.take(rows.starts))
        first_pane = np.full(len(rows.starts), NEVER, np.int64)
        simple, crowded = self._parted(taken, due, keys, clock)
        left, line = None, None
        if len(crowded):
            line = self._line(taken, crowded)
            begins = self._begins(line)
            left = self._left(line, taken, due, begins, clock)
            here = np.flatnonzero(begins >= 0)
            new = here[~taken.goes_on[here]]
            put(base, new, line.stretches.window(begins[new], line.run_entry[new] - begins[new]))
            first_pane[here] = line.pane[begins[here]]
        self._keep(taken, clock)
        if len(simple):
            ids, pane = rows.key[rows.starts[simple]], taken.pane[rows.starts[simple]]
            skip = store.ring.before(ids, pane - self.panes + 1)
            put(base, simple, newest_windows(store.layout, store.ring, ids, skip))
            first_pane[simple] = np.where(skip < store.ring.count[ids], store.ring.pane(store.ring.blocks(ids, skip, 1)[0]), pane)
        if not taken.steady:
            last = rows.run_of[rows.key_ends]
            put(store.base, rows.keys, pick(base, last))
            known = np.flatnonzero(first_pane[last] != NEVER)
            store.first_due[rows.keys[known]] = (first_pane[last[known]] + self.panes) * self.pane_us
        store.next_at[rows.keys] = store.first_due[rows.keys] + store.lag[rows.keys]
        state = store.layout.combine(base if rows.single else pick(base, rows.run_of), taken.state)
        found = Found(rows.key, rows.order, taken.ts, taken.seq, state)
        if left is None or line is None:
            return found
        self._schedule_left(line, left)
        return merged(found, left.found, left.slots)

    def _left(self, line: Timeline, taken: Taken | None, due: I64, begins: I64, clock: Clock) -> Left:
        """What leaves windows; ``due``: rows after which something does, ``begins``: the first entry of the window of each run."""
        at = early_stands(self._store, line, taken, clock)
        if taken is not None and len(due):
            at = both(at, row_stands(line, taken, begins, due))
        left = leave(self._store, line, at, clock, pane_us=self.pane_us, panes=self.panes)
        if taken is None:
            self._schedule_left(line, left)
        return left

    def _parted(self, taken: Taken, due: I64, keys: I64, clock: Clock) -> tuple[I64, I64]:
        """Runs that are the only new pane of their key, to which nothing else happens; and all other keys that are not steady."""
        if not len(keys):
            return keys, keys
        store, rows = self._store, taken.rows
        crowded = np.zeros(len(store.pane), np.bool_)
        crowded[keys] = store.next_at[keys] <= clock.end
        crowded[rows.key[due]] = True
        new = np.flatnonzero(~taken.goes_on)
        of = rows.key[rows.starts[new]]
        crowded[of[1:][of[1:] == of[:-1]]] = True
        return new[~crowded[of]], np.flatnonzero(crowded)

    def _line(self, taken: Taken | None, keys: I64) -> Timeline:
        store = self._store
        return timeline(store, taken, keys, skip=store.ring.before(keys, store.pane[keys] - self.panes + 1))

    def _begins(self, line: Timeline) -> I64:
        """The first entry of the window of each run of the round; -1 for keys that are not in the timeline."""
        begins = np.full(len(line.run_entry), -1, np.int64)
        here = np.flatnonzero(line.run_rank >= 0)
        begins[here] = line.window_starts(line.run_entry[here], line.run_rank[here], self.panes)
        return begins

    def _schedule_left(self, line: Timeline, left: Left) -> None:
        """Sets when the next pane leaves, for keys of whose present window some have left."""
        final = np.flatnonzero(left.stands.final)
        rest, entry, ids = left.rest[final], left.stands.entry[final], line.ids[left.stands.rank[final]]
        due = (line.pane.take(np.minimum(rest, entry)) + self.panes) * self.pane_us + self._store.lag[ids]
        self._store.next_at[ids] = np.where(rest > entry, FAR, due)

    # --- tumbling ---------------------------------------------------------------------------------------------------------

    def _tumbling(self, taken: Taken | None, keys: I64, clock: Clock) -> Found:
        store = self._store
        found = empty(store)
        if len(keys):
            skip = store.ring.before(keys, np.full(len(keys), store.watermark_us // self.pane_us, np.int64))
            line = timeline(store, taken, keys, skip=skip)
            found = closing.close(closing.ends(store, line, taken, clock, pane_us=self.pane_us), clock, pane_us=self.pane_us)
        if taken is not None:
            self._keep(taken, clock)
            rows = taken.rows.keys
            store.next_at[rows] = np.minimum((store.pane[rows] + 1) * self.pane_us + store.lag[rows], store.older[rows])
        store.watermark_us = clock.end
        if len(keys):
            closing.schedule(store, keys, pane_us=self.pane_us)
        return found

    # --- both -------------------------------------------------------------------------------------------------------------

    def _keep(self, taken: Taken, clock: Clock) -> None:
        """Puts the closed panes into the rings, those too old out of them, and the newest ones in their places."""
        store, rows = self._store, taken.rows
        last = rows.key_ends
        if not taken.steady:
            oldest = taken.pane[last] - self.kept_panes + 1
            if self.mode is Mode.TUMBLING:
                # what hasn't ended yet is kept, however far the key is ahead
                oldest = np.minimum(oldest, clock.end // self.pane_us)
            put_away(store, taken, oldest)
        keys = rows.keys
        put(store.open, keys, pick(taken.state, last))
        store.pane[keys], store.newest[keys], store.lag[keys] = taken.pane[last], taken.ts[last], taken.lag[last]
