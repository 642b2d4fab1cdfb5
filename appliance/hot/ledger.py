"""What derived things (views, reports, models) have used of each stream, and which spans of that have changed since.

Owned by the writer's thread. What touches used spans is written in the very transaction that changes the records, so nothing
derived is ever taken for true that is not. Statements go through the owner's connection; memory follows with ``apply``, once
the transaction is durable, and ``forget`` drops what one that failed has staged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from appliance.derived import Stale, Used
from appliance.hot.series import I64
from appliance.spans import FIRST, LAST, ORIGIN_US, Span, ceil_to, common, fewer, union, widened, without

SPANS_MAX: Final = 512
"""Dirty spans of one entry; more are joined over the smallest gaps, which costs a refresh some work and no answer its truth."""
PENDING: Final = LAST
"""The stamp of what is durable but not yet published."""
_COLUMNS: Final = "id, kind, name, stream, bucket_us, closed_us, sealed_us, late"


class Reads(Protocol):
    """Anything that runs a SELECT: a connection, or ``HotReader.cursor``."""

    def __call__(self, sql: str, parameters: tuple[object, ...] = ..., /) -> sqlite3.Cursor: ...


class Ledger:
    """See the module."""

    def __init__(self, entries: Iterable[Used] = ()) -> None:
        self._entries = {u.id: u for u in entries}
        self._watched: dict[int, int] = {}
        self._staged: dict[int, Used | None] = {}
        self._by_stream: dict[str, tuple[int, ...]] = {}
        self._index()

    @property
    def entries(self) -> Mapping[int, Used]:
        """All of them, as of the last transaction."""
        return self._entries

    def get(self, ledger_id: int) -> Used:
        """An entry as the transaction under way has left it."""
        found = self._staged.get(ledger_id, self._entries.get(ledger_id))
        assert found is not None, "the entry has been dropped"
        return found

    def register(self, db: sqlite3.Connection, *, kind: str, name: str, stream: str, bucket_us: int, closed_us: int = FIRST) -> Used:
        """A new entry; what there was of the same kind, name and stream goes."""
        for old in [u for u in self._entries.values() if (u.kind, u.name, u.stream) == (kind, name, stream)]:
            self.drop(db, old.id)
        cursor = db.execute(
            "INSERT INTO ledger (kind, name, stream, bucket_us, closed_us, sealed_us) VALUES (?, ?, ?, ?, ?, ?)",
            (kind, name, stream, bucket_us, closed_us, FIRST),
        )
        assert cursor.lastrowid is not None
        used = Used(cursor.lastrowid, kind, name, stream, bucket_us, closed_us)
        self._staged[used.id] = used
        return used

    def drop(self, db: sqlite3.Connection, ledger_id: int) -> None:
        """Nobody asks any more."""
        db.execute("DELETE FROM ledger_dirty WHERE ledger_id = ?", (ledger_id,))
        db.execute("DELETE FROM ledger WHERE id = ?", (ledger_id,))
        self._staged[ledger_id] = None

    def watch(self, ledger_id: int, until_us: int) -> None:
        """From the next commit on notes what touches anything below ``until_us``: before a snapshot is pinned whose answer is to be kept.

        Of the memory alone: who does not live to use the answer has nothing that could be stale.
        """
        self._watched[ledger_id] = max(until_us, self._watched.get(ledger_id, FIRST))

    def use(self, db: sqlite3.Connection, ledger_id: int, spans: Sequence[Span], *, version: int) -> Used:
        """The answer of ``spans`` at the snapshot ``version`` is kept from now on: what that has seen is clean, and all below is used."""
        used = self.get(ledger_id)
        stale = [s for s in used.stale if s.stamp > version]
        left = without(union((s.low, s.high) for s in used.stale if s.stamp <= version), spans)
        merged = _merged([*stale, *(Stale(low, high, version) for low, high in left)])
        used = replace(used, stale=merged, closed_us=max(used.closed_us, spans[-1][1]))
        db.execute("UPDATE ledger SET closed_us = ? WHERE id = ?", (used.closed_us, ledger_id))
        self._rewrite(db, used)
        return used

    def touch(self, db: sqlite3.Connection, stream: str, ts: I64) -> None:
        """Records at these event times are committed; within their transaction. ``stream`` is folded."""
        ids = self._by_stream.get(stream)
        if ids is None:
            return
        low = int(ts.min())
        for ledger_id in ids:
            used = self.get(ledger_id)
            if low < max(used.closed_us, self._watched.get(ledger_id, FIRST)):
                self._touch(db, used, ts)

    def touch_span(self, db: sqlite3.Connection, stream: str, since_us: int, until_us: int) -> None:
        """Records in a span of event time have changed or gone; within that transaction."""
        for ledger_id in self._by_stream.get(stream, ()):
            self.touch_entry(db, ledger_id, since_us, until_us)

    def touch_entry(self, db: sqlite3.Connection, ledger_id: int, since_us: int, until_us: int) -> None:
        """One entry; within the transaction that says why."""
        used = self.get(ledger_id)
        self._add(db, used, widened([(since_us, until_us)], used.bucket_us))

    def write_again(self, db: sqlite3.Connection, ledger_id: int) -> None:
        """What is stale of an entry as memory has it, over whatever the store says."""
        self._rewrite(db, self.get(ledger_id))

    def seal(self, db: sqlite3.Connection, stream: str, until_us: int) -> None:
        """The records before ``until_us`` go, in this transaction: what was made of them stays as it is for good."""
        for ledger_id in self._by_stream.get(stream, ()):
            used = self.get(ledger_id)
            sealed = max(used.sealed_us, min(ceil_to(until_us, used.bucket_us), used.closed_us))
            if sealed != used.sealed_us:
                self.seal_entry(db, ledger_id, sealed)

    def needs(self, stream: str, until_us: int) -> bool:
        """Whether a view has yet to be made, or made anew, of records before ``until_us``."""
        entries = (self.get(i) for i in self._by_stream.get(stream, ()))
        return any(u.kind == "view" and u.needed_us < until_us for u in entries)

    def seal_entry(self, db: sqlite3.Connection, ledger_id: int, sealed_us: int) -> None:
        """One entry, up to the start of a bucket."""
        used = self.get(ledger_id)
        stale = tuple(Stale(max(s.low, sealed_us), s.high, s.stamp) for s in used.stale if s.high > sealed_us)
        db.execute("UPDATE ledger SET sealed_us = ? WHERE id = ?", (sealed_us, ledger_id))
        self._rewrite(db, replace(used, sealed_us=sealed_us, stale=stale))

    def apply(self) -> bool:
        """The transaction is durable: whether it has changed anything."""
        if not self._staged:
            return False
        for ledger_id, used in self._staged.items():
            if used is None:
                self._entries.pop(ledger_id, None)
                self._watched.pop(ledger_id, None)
            else:
                self._entries[ledger_id] = used
        self._staged = {}
        self._index()
        return True

    def forget(self) -> None:
        """The transaction has failed."""
        self._staged = {}

    def stamp(self, version: int) -> None:
        """What is pending is published as part of ``version``."""
        for ledger_id, used in self._entries.items():
            if any(s.stamp == PENDING for s in used.stale):
                stale = tuple(replace(s, stamp=version) if s.stamp == PENDING else s for s in used.stale)
                self._entries[ledger_id] = replace(used, stale=stale)

    def _touch(self, db: sqlite3.Connection, used: Used, ts: I64) -> None:
        until = max(used.closed_us, self._watched.get(used.id, FIRST))
        if used.sealed_us > FIRST and (late := int(np.count_nonzero(ts < used.sealed_us))):
            used = replace(used, late=used.late + late)
            db.execute("UPDATE ledger SET late = ? WHERE id = ?", (used.late, used.id))
            self._staged[used.id] = used
        self._add(db, used, buckets_of(ts[ts < until], used.bucket_us))

    def _add(self, db: sqlite3.Connection, used: Used, spans: tuple[Span, ...]) -> None:
        """Marks whole buckets; those above what is used or watched mean nothing and are left out."""
        until = max(used.closed_us, self._watched.get(used.id, FIRST))
        new = common(spans, ((used.sealed_us, until),))
        if not new:
            return
        known = union((s.low, s.high) for s in used.stale)
        kept = [Stale(low, high, s.stamp) for s in used.stale for low, high in without(((s.low, s.high),), new)]
        merged = _merged([*kept, *(Stale(low, high, PENDING) for low, high in new)])
        missing = without(new, known)
        used = replace(used, stale=merged)
        if len(merged) > SPANS_MAX:
            self._rewrite(db, _joined(used))
            return
        db.executemany("INSERT INTO ledger_dirty (ledger_id, low, high) VALUES (?, ?, ?)", [(used.id, *span) for span in missing])
        self._staged[used.id] = used

    def _rewrite(self, db: sqlite3.Connection, used: Used) -> None:
        db.execute("DELETE FROM ledger_dirty WHERE ledger_id = ?", (used.id,))
        spans = union((s.low, s.high) for s in used.stale)
        db.executemany("INSERT INTO ledger_dirty (ledger_id, low, high) VALUES (?, ?, ?)", [(used.id, *span) for span in spans])
        self._staged[used.id] = used

    def _index(self) -> None:
        found: dict[str, list[int]] = {}
        for used in self._entries.values():
            found.setdefault(used.stream, []).append(used.id)
        self._by_stream = {stream: tuple(ids) for stream, ids in found.items()}


def load_used(reads: Reads) -> list[Used]:
    """Every entry. What is dirty is so for every snapshot of this process: its stamp is 0."""
    dirty: dict[int, list[Span]] = {}
    for ledger_id, low, high in reads("SELECT ledger_id, low, high FROM ledger_dirty"):
        dirty.setdefault(ledger_id, []).append((low, high))
    found = []
    for row in reads(f"SELECT {_COLUMNS} FROM ledger ORDER BY id"):
        used = Used(*row)
        found.append(replace(used, stale=tuple(Stale(low, high, 0) for low, high in union(dirty.get(used.id, ())))))
    return found


def buckets_of(ts: I64, width_us: int) -> tuple[Span, ...]:
    """The buckets that hold these times, neighbours joined; by column, then over the few runs."""
    if not len(ts):
        return ()
    shift = ORIGIN_US % width_us
    low, high = int(ts.min()), int(ts.max())
    if (low - shift) // width_us == (high - shift) // width_us:
        numbers = np.array([(low - shift) // width_us])
    else:
        numbers = np.unique((np.maximum(ts, FIRST + width_us) - shift) // width_us)
    ends = np.flatnonzero(np.diff(numbers) != 1)
    firsts, lasts = numbers[np.r_[0, ends + 1]], numbers[np.r_[ends, len(numbers) - 1]]
    spans = [(int(a) * width_us + shift, (int(b) + 1) * width_us + shift) for a, b in zip(firsts, lasts, strict=True)]
    return union((max(a, FIRST + 1), min(b, LAST)) for a, b in spans)


def _merged(stale: Iterable[Stale]) -> tuple[Stale, ...]:
    """Sorted; neighbours of one stamp are one."""
    result: list[Stale] = []
    for s in sorted(stale, key=lambda s: s.low):
        if result and result[-1].high == s.low and result[-1].stamp == s.stamp:
            result[-1] = Stale(result[-1].low, s.high, s.stamp)
        else:
            result.append(s)
    return tuple(result)


def _joined(used: Used) -> Used:
    """Fewer spans that hold all: each has the newest stamp of what it is made of."""
    spans = fewer(union((s.low, s.high) for s in used.stale), SPANS_MAX // 2)
    return replace(used, stale=tuple(Stale(lo, hi, max(s.stamp for s in used.stale if lo <= s.low < hi)) for lo, hi in spans))
