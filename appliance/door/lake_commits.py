"""What the writer commits about the lake besides rolls: compactions, deletions and what follows from them, retention.

Functions over the ``Committer``, in the writer's thread; each is one transaction with its named steps (``compact``, ``delete``,
``latest``, ``purge``, ``retention``, each ``….written`` before the commit and ``….durable`` after it), and memory follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from appliance.clock import US_PER_DAY
from appliance.door.book import StreamBook, times
from appliance.door.commit import Committer
from appliance.errors import UsageRefused
from appliance.hot import deletions, latest_table, tallies
from appliance.hot.series import U64, LastValues, Rows
from appliance.hot.visible import shown
from appliance.manifest import Deletion, Segment
from appliance.records import fold
from appliance.spans import FIRST, LAST
from appliance.tally import Tallies


def commit_compaction(
    committer: Committer,
    key: str,
    inputs: Iterable[Segment],
    outputs: Iterable[Segment],
    *,
    clean_days: range | None,
    up_to_seq: int,
    changes: Tallies,
) -> bool:
    """A compaction's end: outputs in, inputs out (their files stay for readers), the days clean; one transaction.

    ``clean_days``: days in which twins were made one; those with no file left are clean anyway. ``up_to_seq`` is the mark when it was
    planned, ``changes`` what the outputs have more or less than the inputs. False, and nothing changed, when an input is no longer live.
    """
    book = committer.books[key]
    gone = {s.id for s in inputs}
    if not gone <= {s.id for s in book.segments}:
        return False
    now_us, made = committer.clock.now_us(), list(outputs)
    kept = [s for s in book.segments if s.id not in gone]
    clean = _clean_days(book, [*kept, *made], clean_days, up_to_seq)
    with committer.durably("compact"):
        added = committer.store.add_segments(book.id, made, now_us=now_us)
        committer.store.end_segments(gone, state="replaced", reason=None, now_us=now_us)
        tallies.declare(committer.store.connection, book.id, changes)
        tallies.settle(committer.store.connection, book.id)
        for day in clean:
            committer.store.clear_dirty(book.id, day, up_to_seq=up_to_seq)
    _set_segments(book, [*kept, *added])
    book.dirty = {day: span for day, span in book.dirty.items() if day not in clean}
    committer.note_change(key)
    return True


def commit_purged(committer: Committer, key: str, segments: Sequence[Segment], *, purged: int) -> None:
    """These files were looked through and hold nothing of any deletion up to ``purged``."""
    book = committer.books[key]
    ids = {s.id for s in segments}
    with committer.durably("purge"):
        deletions.note_purged(committer.store.connection, segments, purged=purged)
    book.segments = tuple(replace(s, purged=purged) if s.id in ids else s for s in book.segments)
    committer.note_change(key)


def commit_tallies(committer: Committer, key: str, found: Mapping[int, Tallies]) -> None:
    """What segments (by id) hold, found by reading files that are what their hashes say, where it was not known; and days of which
    everything is known now. One transaction with the steps ``tally.written`` and ``tally.durable``; what is known stays as it is.
    """
    book = committer.books[key]
    with committer.durably("tally"):
        tallies.note_segments(committer.store.connection, found)
        tallies.settle(committer.store.connection, book.id)
    book.segments, book.lost = (
        tuple(replace(s, tallies=found[s.id]) if s.tallies is None and s.id in found else s for s in held)
        for held in (book.segments, book.lost)
    )
    committer.note_change(key)


def commit_deletion(committer: Committer, deletion: Deletion, *, records: int | None = None) -> Deletion:
    """Writes a deletion down: from the next picture on nobody sees its records. Returns it with its id, its time and its last sequence.

    ``records`` is how many it was said to hide. Raises ``UsageRefused`` for an unknown stream or column, or a column by which twins
    are not told apart: of two records that are one, only one would match.
    """
    book = committer.books.get(fold(deletion.stream))
    if book is None:
        raise UsageRefused(f"there is no stream {deletion.stream!r}")
    key = fold(book.schema.stream)
    _check_columns(book, deletion)
    whole = replace(deletion, stream=book.schema.stream, up_to_seq=book.last_seq, at_us=committer.clock.now_us())
    since_us = FIRST if whole.since_us is None else whole.since_us
    until_us = LAST if whole.until_us is None else whole.until_us
    committer.ledger.forget()
    with committer.durably("delete"):
        whole = deletions.add(committer.store.connection, book.id, whole, records=records)
        committer.store.chain.add("deletion", deletions.evidence(whole, records=records))
        committer.ledger.touch_span(committer.store.connection, key, since_us, until_us)
    book.deletions = (*book.deletions, whole)
    book.settle_empty()
    book.last.restore(book.schema, *shown(book.last.rows(), [whole]))
    committer.note_change(key)
    committer.note_derived()
    return whole


def _check_columns(book: StreamBook, deletion: Deletion) -> None:
    identity = book.state(()).identity_columns()
    allowed = book.schema.tags if identity is None else tuple(c for c in identity if c != "ts")
    for name in deletion.matching:
        if fold(name) not in {fold(c) for c in allowed}:
            some = ", ".join(allowed) or "none"
            raise UsageRefused(f"records of {book.schema.stream!r} are told apart by their tags ({some}); {name!r} is none of them")


def series_without_last(committer: Committer, key: str) -> U64:
    """The series of a stream whose last record was deleted, so that an older one may be it now; without those that hold nothing.

    One that has got a late record since, older than it has been before, is among them: what was left may be newer than that.
    """
    book = committer.books[key]
    hashes, seqs, data = book.last.rows()
    waiting = deletions.without_latest(committer.store.connection.execute, book.id)
    since = min((d.up_to_seq for d in book.deletions if d.id in waiting), default=book.last_seq)
    is_late = (seqs > since) & (times(data) < book.series.reached(hashes))
    return np.union1d(np.setdiff1d(np.setdiff1d(book.series.hashes, hashes), book.empty), hashes[is_late])


def commit_latest(committer: Committer, key: str, asked: U64, found: Rows, *, up_to_seq: int, done: Iterable[int] = ()) -> None:
    """The last records of the series ``asked``, as found by reading what is left; those without one have none, and stay so unasked.

    What was found and deleted meanwhile stays open until that deletion is followed. ``done`` are the deletions for which all of their
    series have been asked about.
    """
    book = committer.books[key]
    left = shown(found, book.deletions)
    asked = np.setdiff1d(asked, np.setdiff1d(found[0], left[0]))
    last = LastValues(book.schema, merge_fields=book.identity is not None)
    last.restore(book.schema, *book.last.rows())
    last.put(book.schema, *left)
    hashes, seqs, data = last.rows()
    have = np.isin(hashes, asked)
    kept, rows = hashes[have], data.filter(pa.array(have))
    now_us = committer.clock.now_us()
    with committer.durably("latest"):
        db = committer.store.connection
        if len(kept):
            latest_table.save(db, book.schema, book.folder, kept, seqs[have], rows, reach=book.series.reached(kept))
        latest_table.forget(db, book.schema, book.folder, np.setdiff1d(asked, kept), up_to_seq=up_to_seq)
        deletions.note_latest(db, done, now_us=now_us)
    book.last = last
    book.settle_empty(asked)
    committer.note_change(key)


def end_deletions(committer: Committer, key: str, ids: Iterable[int]) -> None:
    """No file holds a record of these any more, and none is hot."""
    book, ended = committer.books[key], set(ids)
    with committer.durably("purged"):
        deletions.end(committer.store.connection, ended, now_us=committer.clock.now_us())
        committer.store.chain.add("deletion done", {"stream": book.schema.stream, "deletions": sorted(ended)})
    book.deletions = tuple(d for d in book.deletions if d.id not in ended)
    committer.note_change(key)


def commit_retention(committer: Committer, key: str, segments: Sequence[Segment], *, why: str) -> bool:
    """Takes expired segments out of the lake and writes down which, with their hashes; their files go when nobody reads them. What
    derived things have made of their records stays as it is from now on.

    False, and nothing changed, when one is no longer live, one of its days has become dirty since it was planned, or a view needs it again.
    """
    book = committer.books[key]
    gone = {s.id for s in segments}
    days = {day for s in segments for day in range(s.day, s.day_last + 1)}
    until_us = (max(days) + 1) * US_PER_DAY
    if not gone <= {s.id for s in book.segments} or any(day in days for day in book.dirty) or committer.ledger.needs(key, until_us):
        return False
    now_us = committer.clock.now_us()
    committer.ledger.forget()
    with committer.durably("retention"):
        committer.store.end_segments(gone, state="expired", reason=why, now_us=now_us)
        tallies.take_off(committer.store.connection, book.id, segments)
        deletions.add_removals(committer.store.connection, book.id, segments, kind="retention", why=why, author="appliance", now_us=now_us)
        committer.ledger.seal(committer.store.connection, key, until_us)
    book.segments = tuple(s for s in book.segments if s.id not in gone)
    committer.note_change(key)
    committer.note_derived()
    return True


def _clean_days(book: StreamBook, live: Sequence[Segment], clean_days: range | None, up_to_seq: int) -> frozenset[int]:
    """The dirty days that are settled: their twins made one, or no file of them left."""
    settled = [span.day for span in book.dirty.values() if span.seq <= up_to_seq]
    return frozenset(
        day for day in settled if (clean_days is not None and day in clean_days) or not any(s.day <= day <= s.day_last for s in live)
    )


def _set_segments(book: StreamBook, segments: Iterable[Segment]) -> None:
    book.segments = tuple(sorted(segments, key=lambda s: (s.day, s.first)))
