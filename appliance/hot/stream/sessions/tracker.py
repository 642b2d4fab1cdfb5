"""The sessions of one workload: records in by round, closed sessions out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from appliance.hot.stream.sessions import bodies
from appliance.hot.stream.sessions.closing import NO_LATE, closed_of, joined, nothing
from appliance.hot.stream.sessions.known import Known
from appliance.hot.stream.sessions.layout import Layout, lay
from appliance.hot.stream.sessions.measures import Measures
from appliance.hot.stream.sessions.pool import Pool
from appliance.hot.stream.sessions.values import FAR, Closed, LateRows, Places, SessionAggregate, SessionRows
from appliance.hot.stream.sessions.walk import LATE
from appliance.hot.stream.values import I64, Vector

ROWS_MAX = 32_768
"""Larger rounds are taken in parts, which bounds what a round may need besides what stays."""
VALUES_MAX = 10_000
"""Values (for a quantile) or different values (for ``distinct``) of one session; above it the aggregate is null."""
VALUES_TOTAL_MAX = 4_000_000
"""The same over all sessions, 32 MB; a session that comes to need more then has null. This alone may depend on the cut into rounds."""
_NONE: Places = np.empty(0, np.intp)


class SessionTracker:
    """The sessions of every key; see the package for what a session is and what late records do to it.

    Owned by the processor's thread. Holds at most two sessions a key (``bytes``).
    """

    def __init__(
        self,
        gap_us: int,
        longest_us: int,
        aggregates: Sequence[SessionAggregate],
        *,
        values_max: int = VALUES_MAX,
        values_total_max: int = VALUES_TOTAL_MAX,
    ) -> None:
        assert gap_us > 0, gap_us
        assert longest_us > 0, longest_us
        self.gap_us = gap_us
        self.longest_us = longest_us
        self.aggregates = tuple(aggregates)
        self.late = 0
        """Late records so far that belonged to no session that could still change."""
        self._known = Known()
        self._pool = Pool(Measures(self.aggregates, values_max=values_max, values_total_max=values_total_max))
        self._signature = bodies.signature_of(gap_us, longest_us, self.aggregates)

    @property
    def bytes(self) -> int:
        """About what it holds in memory."""
        return self._known.bytes + self._pool.bytes

    @property
    def open(self) -> int:
        """Open sessions."""
        return int(np.count_nonzero(self._known.due_us != FAR))

    def take(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64) -> Closed:
        """Takes in a round, in the order of the sequences, and gives what is closed by its end.

        ``ids`` are dense ids of keys, ``ts`` event times, ``vectors`` what the aggregates' arguments point into, ``watermark`` how far
        event time had come for everybody before each row (with its own time, less the lateness; not falling). All of one length.
        Raises ``TypeError`` for a vector that an aggregate can't be had of (``SessionAggregate.refusal``).
        """
        return self._taken(ids, ts, seqs, vectors, watermark, quiet=False)

    def load_rows(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64) -> None:
        """As ``take``, for records of which all has been given out already: nothing comes out, and late ones are not counted."""
        self._taken(ids, ts, seqs, vectors, watermark, quiet=True)

    def advance(self, watermark_us: int) -> Closed:
        """Closes what the watermark closes where no record comes."""
        return self._closed(Layout(_NONE), watermark_us, late=NO_LATE, quiet=False)

    def open_sessions(self) -> SessionRows:
        """The sessions that are open now, as they stand."""
        ids = np.flatnonzero(self._known.due_us != FAR)
        return self._pool.rows(ids.astype(np.int64), self._known.now[ids])[0]

    @property
    def changed(self) -> I64:
        """Keys whose state is not what ``dump`` said of them last, rising."""
        return np.flatnonzero(self._known.changed).astype(np.int64)

    def dump(self, ids: Iterable[int] | None = None) -> list[tuple[int, str]]:
        """(key, body) of what ``load`` needs to go on as if nothing had happened, bit for bit; of ``changed`` keys, or of ``ids``.

        A body is a JSON object. A key has one from its first record on, also while no session of it is open: its last closed
        sessions may still be corrected. Those told here are changed no more.
        """
        at = self.changed if ids is None else np.array(sorted(ids), np.int64)
        at = at[at < self._known.keys]
        at = at[self._known.now[at] >= 0]
        self._known.changed[at] = False
        return list(zip(at.tolist(), bodies.dump(self._known, self._pool, at, self._signature), strict=True))

    def load(self, key: int, body: str) -> bool:
        """Restores one key that has had no record yet. False: the body is of other aggregates, gap or longest; nothing was loaded."""
        return bodies.load(self._known, self._pool, key, body, self._signature, gap_us=self.gap_us)

    def _taken(self, ids: I64, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, quiet: bool) -> Closed:
        if len(ids) <= ROWS_MAX:
            return self._part(ids.astype(np.intp, copy=False), ts, seqs, vectors, watermark, quiet=quiet)
        parts = []
        for start in range(0, len(ids), ROWS_MAX):
            at = slice(start, start + ROWS_MAX)
            some = [Vector(v.values[at], v.valid[at], v.texts) for v in vectors]
            parts.append(self._part(ids[at].astype(np.intp, copy=False), ts[at], seqs[at], some, watermark[at], quiet=quiet))
        return joined(parts)

    def _part(self, ids: Places, ts: I64, seqs: I64, vectors: Sequence[Vector], watermark: I64, *, quiet: bool) -> Closed:
        if not len(ids):
            return nothing(self._pool)
        known, pool = self._known, self._pool
        known.grow(int(ids.max()) + 1)
        layout = self._going_on(ids, ts, watermark) or lay(known, pool, ids, ts, watermark, gap_us=self.gap_us, longest_us=self.longest_us)
        late = NO_LATE
        if layout.slots.min() == LATE:
            lost = layout.slots == LATE
            late = LateRows(ids[lost].astype(np.int64), ts[lost], seqs[lost])
        self._add(layout, ts, seqs, vectors)
        known.changed[ids] = True
        for keys, slots in layout.forgotten:
            known.forget(keys, slots, pool)
        if len(layout.followed):
            known.low_us[layout.followed] = known.newest_us[layout.followed]
            known.high_us[layout.followed] = FAR
        for keys in layout.expected:
            if len(keys):
                known.expect(keys, pool.last[known.now[keys]] + self.gap_us)
        return self._closed(layout, int(watermark[-1]), late=late, quiet=quiet)

    def _going_on(self, ids: Places, ts: I64, watermark: I64) -> Layout | None:
        """The usual round: no key twice, and each record continues its session. None: it is another one."""
        known, pool = self._known, self._pool
        slots = known.now[ids]
        if slots.min() < 0:
            return None
        last = pool.last[slots]
        since = ts - last
        if since.min() < 0 or since.max() >= self.gap_us or (ts - pool.start[slots]).max() > self.longest_us or not known.are_alone(ids):
            return None
        closed = watermark >= last + self.gap_us
        if closed.any():
            pool.settled[slots[closed]] = True
        return Layout(slots, expected=[ids])

    def _add(self, layout: Layout, ts: I64, seqs: I64, vectors: Sequence[Vector]) -> None:
        """Adds the rows, and makes one session of two where that is due."""
        if layout.levels is None:
            rows = None if layout.slots.min() != LATE else np.flatnonzero(layout.slots != LATE)
            self._add_rows(layout.slots, rows, ts, seqs, vectors)
            return
        for level in range(int(layout.levels.max()) + 1):
            self._add_rows(layout.slots, np.flatnonzero((layout.slots != LATE) & (layout.levels == level)), ts, seqs, vectors)
            for _level, stays, goes in (m for m in layout.merges if m[0] == level):
                self._pool.merge(stays, goes)

    def _add_rows(self, slots: Places, rows: Places | None, ts: I64, seqs: I64, vectors: Sequence[Vector]) -> None:
        if rows is None:
            self._pool.add(slots, ts, seqs, vectors)
        elif len(rows):
            self._pool.add(slots[rows], ts[rows], seqs[rows], [v.take(rows) for v in vectors])

    def _closed(self, layout: Layout, watermark_us: int, *, late: LateRows, quiet: bool) -> Closed:
        """Closes what is due, takes the rows of all that is closed, and gives back the slots of what is forgotten."""
        known, pool = self._known, self._pool
        due = known.take_due(watermark_us)
        slots = known.now[due]
        pool.settled[slots] = True
        given = [(due, slots), *layout.given]
        if quiet:
            closed = nothing(pool)
            for _keys, some in given:
                pool.given[some] = True
        else:
            self.late += len(late)
            closed = closed_of(pool, given, late)
        if layout.gone:
            pool.release(np.concatenate(layout.gone))
        return closed
