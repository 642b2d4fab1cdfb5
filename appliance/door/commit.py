"""What one transaction writes, and what becomes true in memory once it is durable.

``Committer`` belongs to the writer's thread: it holds the store, the books of the streams, the ring and the last values.
Memory changes only after COMMIT has returned; a transaction that fails leaves everything as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from appliance.clock import Clock
from appliance.config import LimitOptions, StreamOptions
from appliance.door.book import StreamBook, identity_tags, place_hashes, times
from appliance.door.group import Draft, Group, join_parts
from appliance.door.twins import Finding, FutureSpan, find_twins
from appliance.hot import latest_table
from appliance.hot.ring import Ring, measured
from appliance.hot.series import U64, LastValues, SeriesTable, series_hashes
from appliance.hot.state import ALL_TAGS, Chunk, State, StreamState
from appliance.hot.store import HotStore
from appliance.manifest import Dirty, Segment
from appliance.names import folder_name
from appliance.records import Receipt, Schema

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Written:
    """A stored batch, waiting for the commit to become true."""

    chunk: Chunk
    hashes: U64
    finding: Finding | None


class Committer:
    """The store and the books. One owner: the writer's thread."""

    def __init__(
        self,
        store: HotStore,
        books: dict[str, StreamBook],
        ring: Ring,
        *,
        clock: Clock,
        limits: LimitOptions,
        streams: Mapping[str, StreamOptions],
        boot: int,
        step: Callable[[str], None],
    ) -> None:
        """``books`` are by folded name; ``step`` is told each named step, for tests that stop there."""
        self.store = store
        self.books = books
        self.ring = ring
        self.clock = clock
        self.step = step
        self._limits = limits
        self._streams = streams
        self._boot = boot
        self._changed: set[str] = set()
        self._aliases: set[str] = set()
        self._next_id = max((b.id for b in books.values()), default=0) + 1

    def first_state(self) -> State:
        return State({key: book.state(self.ring.chunks(book.id)) for key, book in self.books.items()}, 1)

    def new_group(self) -> Group:
        return Group(self.books, limits=self._limits, streams=self._streams, on_alias=self._note_alias)

    def take_changes(self) -> Mapping[str, StreamState]:
        """The streams that have changed since the last call, as they are now."""
        changed = {key: self.books[key].state(self.ring.chunks(self.books[key].id)) for key in self._changed}
        self._changed = set()
        return changed

    def commit(self, group: Group) -> tuple[list[Receipt], dict[str, int]]:
        """Writes a group in one transaction; returns the receipts in the order of its entries and the records of each stream.

        Raises ``sqlite3.Error``; nothing has changed then, unless the disk itself failed (see ``Writer``).
        """
        now_us = self.clock.now_us()
        new_books: dict[str, StreamBook] = {}
        written: dict[str, list[Written]] = {}
        sequences: list[dict[str, tuple[int, int]]] = [{} for _ in group.entries]
        with self.store.transaction():
            for key, draft in group.drafts.items():
                book = draft.book or self._new_book(draft, new_books, now_us)
                written[key] = self._write(draft, book, now_us)
                _number(draft, book.last_seq + 1, sequences)
            self._write_entries(group, now_us)
            self.step("commit.written")
        self.step("commit.durable")
        self._next_id += len(new_books)
        counts: dict[str, int] = {}
        for key, draft in group.drafts.items():
            book = draft.book or new_books[key]
            self.books[key] = book
            counts[book.schema.stream] = self._make_true(key, book, draft, written[key], now_us)
        self._evict()
        receipts = [Receipt(entry.records, entry.rejects, sequences[i]) for i, entry in enumerate(group.entries)]
        return receipts, counts

    def _new_book(self, draft: Draft, new_books: dict[str, StreamBook], now_us: int) -> StreamBook:
        assert draft.schema is not None
        stream_id = self._next_id + len(new_books)
        folder = folder_name(draft.name)
        self.store.add_stream(stream_id=stream_id, name=draft.name, folder=folder, identity=draft.identity, now_us=now_us)
        empty = Schema(draft.name, (), 0)
        book = StreamBook(stream_id, empty, {}, draft.identity, folder, LastValues(draft.schema, merge_fields=draft.identity is not None))
        if draft.identity is not None and draft.identity != ALL_TAGS:
            book.places = SeriesTable.empty()
        new_books[draft.name.lower()] = book
        return book

    def _write(self, draft: Draft, book: StreamBook, now_us: int) -> list[Written]:
        assert draft.schema is not None
        if draft.schema.columns != book.schema.columns:
            draft.schema = replace(draft.schema, version=book.schema.version + 1)
            self.store.add_schema(book.id, draft.schema)
        else:
            draft.schema = book.schema
        written: list[Written] = []
        first = book.last_seq + 1
        future = book.future
        for data, hashes in join_parts(draft):
            ts = times(data)
            finding = None
            if book.identity is not None:
                places = place_hashes(data, book.identity, draft.schema, hashes)
                finding = find_twins(places, ts, first_seq=first, table=book.identity_table(), future=future, now_us=now_us)
                future = finding.future
                book.advance(hashes[finding.steady], places[finding.steady], ts[finding.steady])
                self.store.mark_dirty(book.id, finding.dirty)
            else:
                book.series.advance(hashes, ts)
            low, high = int(ts.min()), int(ts.max())
            self.store.add_batch(
                book.id,
                draft.schema,
                data,
                first=first,
                ts_min=low,
                ts_max=high,
                boot=self._boot,
                uptime_us=self.clock.boottime_us(),
                now_us=now_us,
            )
            written.append(Written(measured(first, data, ts_min=low, ts_max=high, schema_version=draft.schema.version), hashes, finding))
            first += data.num_rows
        if future is not None and future != book.future:
            self.store.set_future(book.id, future_min=future.ts_min, future_max=future.ts_max)
        return written

    def _write_entries(self, group: Group, now_us: int) -> None:
        for entry in group.entries:
            submission = entry.submission
            if entry.rejects:
                self.store.add_rejects(entry.rejects, source=submission.source, format_=submission.format, now_us=now_us)
            if submission.replay_of:
                self.store.mark_replayed(submission.replay_of, now_us=now_us)
            if submission.progress is not None:
                self.store.set_progress(submission.progress, records=entry.records, rejected=len(entry.rejects), now_us=now_us)

    def _make_true(self, key: str, book: StreamBook, draft: Draft, written: list[Written], now_us: int) -> int:
        assert draft.schema is not None
        book.schema = draft.schema
        book.schemas[draft.schema.version] = draft.schema
        rows = 0
        for item in written:
            chunk = item.chunk
            self.ring.push(book.id, chunk)
            book.last.add(draft.schema, item.hashes, chunk.data, first_seq=chunk.first)
            book.last_seq = chunk.last
            book.last_ts_us = chunk.ts_max if book.last_ts_us is None else max(book.last_ts_us, chunk.ts_max)
            rows += chunk.rows
            if item.finding is not None:
                book.future = item.finding.future
                for span in item.finding.dirty:
                    have = book.dirty.get(span.day)
                    book.dirty[span.day] = span if have is None else have.merge(span)
        book.last_commit_us = now_us
        self._changed.add(key)
        return rows

    def _evict(self) -> None:
        touched = self.ring.evict()
        if touched:
            self._changed |= {key for key, book in self.books.items() if book.id in touched}

    def commit_roll(self, key: str, segments: Iterable[Segment], *, mark: int) -> None:
        """A roll's end: registers its segments, raises the mark, drops the hot batches, keeps the last values; one transaction."""
        book = self.books[key]
        hashes, seqs, data = book.last.rows()
        changed = np.flatnonzero(seqs > book.mark)
        now_us = self.clock.now_us()
        with self.store.transaction():
            added = self.store.add_segments(book.id, segments, now_us=now_us)
            self.store.raise_mark(book.id, mark)
            if len(changed):
                latest_table.save(
                    self.store.connection, book.schema, book.folder, hashes[changed], seqs[changed], data.take(pa.array(changed))
                )
            self.step("roll.written")
        self.step("roll.durable")
        book.mark = max(book.mark, mark)
        book.segments = (*book.segments, *added)
        self._changed.add(key)

    def commit_compaction(self, key: str, inputs: Iterable[Segment], outputs: Iterable[Segment], *, clean_day: int | None, up_to_seq: int) -> bool:
        """A compaction's end: outputs in, inputs out (their files stay for readers), the day clean; one transaction.

        False, and nothing changed, when an input is no longer live.
        """
        book = self.books[key]
        gone = {s.id for s in inputs}
        if not gone <= {s.id for s in book.segments}:
            return False
        now_us = self.clock.now_us()
        with self.store.transaction():
            added = self.store.add_segments(book.id, outputs, now_us=now_us)
            self.store.end_segments(gone, state="replaced", reason=None, now_us=now_us)
            if clean_day is not None:
                self.store.clear_dirty(book.id, clean_day, up_to_seq=up_to_seq)
            self.step("compact.written")
        self.step("compact.durable")
        kept = [s for s in book.segments if s.id not in gone]
        book.segments = tuple(sorted((*kept, *added), key=lambda s: (s.day, s.first)))
        if clean_day is not None and (span := book.dirty.get(clean_day)) is not None and span.seq <= up_to_seq:
            del book.dirty[clean_day]
        self._changed.add(key)
        return True

    def set_aside(self, key: str, segment: Segment, *, state: str, reason: str) -> None:
        """Takes a missing or damaged segment out of the live set, for good to see."""
        book = self.books[key]
        with self.store.transaction():
            self.store.end_segments([segment.id], state=state, reason=reason, now_us=self.clock.now_us())
        book.segments = tuple(s for s in book.segments if s.id != segment.id)
        book.lost = (*book.lost, segment)
        self._changed.add(key)

    def forget_replaced(self, ids: Iterable[int]) -> None:
        """The files of these replaced segments are gone; so go their entries."""
        with self.store.transaction():
            self.store.forget_segments(ids)

    def last_values(self, key: str) -> pa.Table:
        """The last record of each series of a stream, in the columns of ``Schema.lake``."""
        book = self.books[key]
        _, seqs, data = book.last.rows()
        columns = [data.column(0), *data.columns[1:], pa.array(seqs)]
        return pa.table(columns, names=["ts", *data.schema.names[1:], "_seq"]).cast(book.schema.lake)

    def _note_alias(self, given: str, known: str) -> None:
        if given not in self._aliases and len(self._aliases) < 10_000:
            self._aliases.add(given)
            log.info("stream %r differs from %r only in case: taken as the same", given, known)


def _number(draft: Draft, first: int, sequences: list[dict[str, tuple[int, int]]]) -> None:
    """Notes which sequences each submission got; its rows of a stream are one run after the other."""
    for part in draft.parts:
        last = first + part.data.num_rows - 1
        have = sequences[part.owner].get(draft.name)
        sequences[part.owner][draft.name] = (first if have is None else have[0], last)
        first = last + 1


def restore_book(
    book: StreamBook, *, saved: tuple[U64, np.ndarray[tuple[int], np.dtype[np.int64]], pa.RecordBatch] | None, now_us: int
) -> None:
    """Series and last values as they were saved at the last roll."""
    if saved is None:
        return
    hashes, seqs, data = saved
    book.last.restore(book.schema, hashes, seqs, data)
    ts = times(data)
    reach = ts if book.future is None else np.minimum(ts, now_us)
    places = place_hashes(data, book.identity, book.schema, hashes)
    book.advance(hashes, places, reach)
    if len(ts):
        book.last_ts_us = int(ts.max())


def replay_hot(book: StreamBook, schema: Schema, chunk: Chunk, data: pa.RecordBatch, *, now_us: int) -> None:
    """Takes a hot batch into series and last values at start, as its commit did; ``data`` is in the newest ``schema``."""
    hashes = series_hashes(data, schema.tags)
    ts = times(data)
    places = place_hashes(data, book.identity, schema, hashes)
    reach = ts if book.future is None else np.minimum(ts, now_us)
    book.advance(hashes, places, reach)
    book.last.add(schema, hashes, data, first_seq=chunk.first)
    book.last_ts_us = chunk.ts_max if book.last_ts_us is None else max(book.last_ts_us, chunk.ts_max)


