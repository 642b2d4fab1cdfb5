"""What one transaction writes, and what becomes true in memory once it is durable.

``Committer`` belongs to the writer's thread: it holds the store, the books of the streams, the ring and the last values.
Memory changes only after COMMIT has returned; a transaction that fails leaves everything as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.clock import Clock
from appliance.config import LimitOptions, StreamOptions
from appliance.derived import Used, View
from appliance.door.book import StreamBook, place_hashes, times
from appliance.door.group import Draft, Group, join_parts
from appliance.door.twins import Finding, find_twins, reach_of
from appliance.door.views import ViewBook
from appliance.hot import latest_table, tallies
from appliance.hot.ledger import Ledger
from appliance.hot.ring import Ring, measured
from appliance.hot.series import I64, U64, LastValues, Rows, SeriesTable, series_hashes
from appliance.hot.state import ALL_TAGS, Chunk, State, StreamState
from appliance.hot.store import HotStore
from appliance.hot.visible import shown
from appliance.manifest import Segment
from appliance.names import folder_name
from appliance.records import Receipt, Schema, fold
from appliance.tally import tally_by_day

log = logging.getLogger(__name__)
Number = TypeVar("Number", np.int64, np.uint64)
SAVED_AT_ONCE = 2_000
"""Series whose last values are written in one transaction: some ten milliseconds of the writer's time."""


@dataclass(frozen=True, slots=True)
class Written:
    """The stored rows of one stream, waiting for the commit to become true."""

    chunks: tuple[Chunk, ...]
    hashes: tuple[U64, ...]
    """The series of the rows of each chunk."""
    places: U64
    """The identity of each row."""
    reach: I64
    """How far each row moves its series on."""
    finding: Finding | None
    """None where no two records of the stream are the same one."""


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
        step: Callable[[str], None],
        used: Iterable[Used] = (),
        views: Mapping[str, View] | None = None,
    ) -> None:
        """``books`` are by folded name; ``step`` is told each named step, for tests that stop there."""
        self.store = store
        self.books = books
        self.ring = ring
        self.clock = clock
        self.step = step
        self.is_whole = True
        """False between a transaction and what becomes true in memory after it: an error there needs a recovery."""
        self._limits = limits
        self._streams = streams
        self._boot: int | None = None
        self._changed: set[str] = set()
        self._aliases: set[str] = set()
        self._next_id = max((b.id for b in books.values()), default=0) + 1
        self.ledger = Ledger(used)
        self.views = ViewBook(store, self.ledger, views or {}, durably=self.durably, done=self._note_views)
        self._is_derived_changed = False

    def first_state(self) -> State:
        streams = {key: book.state(self.ring.chunks(book.id)) for key, book in self.books.items()}
        return State(streams, 1, self.views.picture(), dict(self.ledger.entries))

    def new_group(self) -> Group:
        return Group(self.books, limits=self._limits, streams=self._streams, on_alias=self._note_alias)

    def take_changes(self) -> Mapping[str, StreamState]:
        """The streams that have changed since the last call, as they are now."""
        changed = {key: self.books[key].state(self.ring.chunks(self.books[key].id)) for key in self._changed}
        self._changed = set()
        return changed

    def take_derived(self, version: int) -> tuple[Mapping[str, View], Mapping[int, Used]] | None:
        """Views and what derived things have used, when any of it has changed since the last call; it becomes part of ``version``."""
        if not self._is_derived_changed:
            return None
        self._is_derived_changed = False
        self.ledger.stamp(version)
        return self.views.picture(), dict(self.ledger.entries)

    def commit(self, group: Group) -> tuple[list[Receipt], dict[str, int]]:
        """Writes a group in one transaction; returns the receipts in the order of its entries and the records of each stream.

        Raises ``sqlite3.Error``; nothing has changed then, unless the disk itself failed (see ``Writer``).
        """
        group.settle()
        self.ledger.forget()
        now_us = self.clock.now_us()
        new_books: dict[str, StreamBook] = {}
        written: dict[str, Written] = {}
        sequences: list[dict[str, tuple[int, int]]] = [{} for _ in group.entries]
        with self.durably("commit"):
            boot = self._boot if self._boot is not None else self.store.boot(self.clock.boot_id())
            for key, draft in group.drafts.items():
                book = draft.book or self._new_book(draft, new_books, now_us)
                written[key] = self._write(draft, book, now_us=now_us, boot=boot)
                _number(draft, book.last_seq + 1, sequences)
            self._write_entries(group, now_us)
            self.store.chain.look()
        self._boot = boot
        self._next_id += len(new_books)
        counts: dict[str, int] = {}
        for key, draft in group.drafts.items():
            book = draft.book or new_books[key]
            self.books[key] = book
            counts[book.schema.stream] = self._make_true(book, draft, written[key], now_us)
        self._changed.update(group.drafts)
        self._evict()
        self.note_derived()
        receipts = [Receipt(entry.records, tuple(entry.rejects), sequences[i]) for i, entry in enumerate(group.entries)]
        return receipts, counts

    @contextmanager
    def durably(self, name: str) -> Iterator[None]:
        """A transaction with its named steps; the caller sets ``is_whole`` when memory has followed."""
        with self.store.transaction():
            yield
            self.step(f"{name}.written")
        self.is_whole = False
        self.step(f"{name}.durable")

    def note_derived(self) -> None:
        """Memory has followed a transaction that may have touched the ledger; the ledger follows here, as the last."""
        self._is_derived_changed |= self.ledger.apply()
        self.is_whole = True

    def _note_views(self) -> None:
        self._is_derived_changed = True
        self.note_derived()

    def note_change(self, key: str) -> None:
        """The stream's picture is to be published anew; ends what ``durably`` has begun."""
        self._changed.add(key)
        self.is_whole = True

    def _new_book(self, draft: Draft, new_books: dict[str, StreamBook], now_us: int) -> StreamBook:
        assert draft.schema is not None
        stream_id = self._next_id + len(new_books)
        folder = folder_name(draft.name)
        self.store.add_stream(stream_id=stream_id, name=draft.name, folder=folder, identity=draft.identity, now_us=now_us)
        empty = Schema(draft.name, (), 0)
        book = StreamBook(stream_id, empty, {}, draft.identity, folder, LastValues(draft.schema, merge_fields=draft.identity is not None))
        if draft.identity is not None and draft.identity != ALL_TAGS:
            book.places = SeriesTable.empty()
        new_books[fold(draft.name)] = book
        return book

    def _write(self, draft: Draft, book: StreamBook, *, now_us: int, boot: int) -> Written:
        assert draft.schema is not None
        if draft.schema.columns != book.schema.columns:
            draft.schema = replace(draft.schema, version=book.schema.version + 1)
            self.store.add_schema(book.id, draft.schema)
        else:
            draft.schema = book.schema
        joined = join_parts(draft)
        chunks = tuple(self._write_batches([data for data, _ in joined], book, draft.schema, now_us=now_us, boot=boot))
        hashes = tuple(h for _, h in joined)
        ts = _whole([times(data) for data, _ in joined])
        self.ledger.touch(self.store.connection, fold(draft.name), ts)
        if book.identity is None:
            return Written(chunks, hashes, _whole(hashes), ts, None)
        places = _whole([place_hashes(data, book.identity, draft.schema, h) for data, h in joined])
        table = book.identity_table()
        finding = find_twins(places, ts, first_seq=book.last_seq + 1, table=table, future=book.future, now_us=now_us)
        if finding.dirty:
            self.store.mark_dirty(book.id, finding.dirty)
        if finding.future is not None and finding.future != book.future:
            self.store.set_future(book.id, future_min=finding.future.ts_min, future_max=finding.future.ts_max)
        return Written(chunks, hashes, places, finding.reach, finding)

    def _write_batches(
        self, joined: Iterable[pa.RecordBatch], book: StreamBook, schema: Schema, *, now_us: int, boot: int
    ) -> Iterator[Chunk]:
        first = book.last_seq + 1
        for data in joined:
            ts = times(data)
            low, high = int(ts.min()), int(ts.max())
            self.store.add_batch(
                book.id,
                schema,
                data,
                first=first,
                ts_min=low,
                ts_max=high,
                boot=boot,
                uptime_us=self.clock.boottime_us(),
                now_us=now_us,
                batch_tallies=tally_by_day(data, first),
            )
            yield measured(first, data, ts_min=low, ts_max=high, schema_version=schema.version)
            first += data.num_rows

    def _write_entries(self, group: Group, now_us: int) -> None:
        for entry in group.entries:
            submission = entry.submission
            if entry.rejects:
                self.store.add_rejects(entry.rejects, source=submission.source, format_=submission.format, now_us=now_us)
            if submission.replay_of:
                self.store.mark_replayed(submission.replay_of, now_us=now_us)
            if submission.progress is not None:
                self.store.set_progress(submission.progress, records=entry.records, rejected=len(entry.rejects), now_us=now_us)
            if submission.also is not None:
                submission.also(self.store.connection)

    def _make_true(self, book: StreamBook, draft: Draft, written: Written, now_us: int) -> int:
        """Memory follows the transaction; returns the number of new records."""
        assert draft.schema is not None
        before = book.last_seq
        book.schema = draft.schema
        book.schemas[draft.schema.version] = draft.schema
        book.advance(_whole(written.hashes), written.places, written.reach)
        for chunk, hashes in zip(written.chunks, written.hashes, strict=True):
            self.ring.push(book.id, chunk)
            book.last.add(draft.schema, hashes, chunk.data, first_seq=chunk.first)
            book.last_seq = chunk.last
            book.last_ts_us = chunk.ts_max if book.last_ts_us is None else max(book.last_ts_us, chunk.ts_max)
        if written.finding is not None:
            book.future = written.finding.future
            for span in written.finding.dirty:
                have = book.dirty.get(span.day)
                book.dirty[span.day] = span if have is None else have.merge(span)
        book.last_commit_us = now_us
        return book.last_seq - before

    def _evict(self) -> None:
        touched = self.ring.evict()
        if touched:
            self._changed |= {key for key, book in self.books.items() if book.id in touched}

    def save_last(self, key: str, *, mark: int, series_max: int = SAVED_AT_ONCE) -> bool:
        """Writes some of the last values that a roll up to ``mark`` would have to, ahead of it; True while more are left.

        So a roll of a stream with very many series holds up nobody for long. When the roll is given up, what was written does no harm.
        """
        book = self.books[key]
        last, needed = self._unsaved(book, mark)
        if len(needed) > series_max:
            with self.durably("save_last"):
                self._save(book, last, needed[:series_max])
            self._note_saved(book, last, needed[:series_max])
            self.is_whole = True
        return len(needed) > series_max

    def commit_roll(self, key: str, segments: Iterable[Segment], *, mark: int) -> None:
        """A roll's end: registers its segments, raises the mark, drops the hot batches, keeps the last values; one transaction."""
        book = self.books[key]
        last, needed = self._unsaved(book, mark)
        with self.durably("roll"):
            added = self.store.add_segments(book.id, segments, now_us=self.clock.now_us())
            tallies.raise_to(self.store.connection, book.id, book.schemas, added, mark_from=book.mark, mark_to=mark)
            self.store.raise_mark(book.id, mark)
            self._save(book, last, needed)
        self._note_saved(book, last, needed)
        book.mark = max(book.mark, mark)
        book.segments = tuple(sorted((*book.segments, *added), key=lambda s: (s.day, s.first)))
        self.note_change(key)

    def _unsaved(self, book: StreamBook, mark: int) -> tuple[Rows, npt.NDArray[np.intp]]:
        """The last values, and which of them are not yet saved with all that a roll up to ``mark`` takes away.

        Below the mark of now nothing has changed since the roll before, but for series that were ahead in time of what came since.
        """
        last = book.last.rows()
        hashes, seqs, _ = last
        behind = book.saved.reached(hashes) < mark
        return last, np.flatnonzero(behind if book.future is not None else behind & (seqs > book.mark))

    def _save(self, book: StreamBook, last: Rows, which: npt.NDArray[np.intp]) -> None:
        if len(which):
            hashes, seqs, data = last
            rows = data.take(pa.array(which))
            reach = book.series.reached(hashes[which])
            latest_table.save(self.store.connection, book.schema, book.folder, hashes[which], seqs[which], rows, reach=reach)

    def _note_saved(self, book: StreamBook, last: Rows, which: npt.NDArray[np.intp]) -> None:
        book.saved.advance(last[0][which], np.full(len(which), book.last_seq))

    def set_aside(self, key: str, segment: Segment, *, state: str, reason: str) -> None:
        """Takes a missing or damaged segment out of the live set, for good to see."""
        book = self.books[key]
        with self.durably("set_aside"):
            self.store.end_segments([segment.id], state=state, reason=reason, now_us=self.clock.now_us())
        book.segments = tuple(s for s in book.segments if s.id != segment.id)
        book.lost = (*book.lost, segment)
        self.note_change(key)

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
        for owner, count in part.shares:
            last = first + count - 1
            have = sequences[owner].get(draft.name)
            sequences[owner][draft.name] = (first if have is None else have[0], last)
            first = last + 1


def _whole(parts: Sequence[npt.NDArray[Number]]) -> npt.NDArray[Number]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def restore_book(book: StreamBook, *, saved: tuple[U64, I64, pa.RecordBatch] | None, reach: I64 | None, is_followed: bool) -> None:
    """Series and last values as they were saved at the last roll; ``reach`` is how far each series had come then.

    ``is_followed``: last values have been found anew after every deletion. Until then one that is ``GONE`` may have records again that
    came, and became the last, and were deleted, since it was saved.
    """
    if saved is None or reach is None:
        return
    hashes, seqs, data = saved
    if is_followed:
        book.empty = np.sort(hashes[seqs == latest_table.GONE])
    book.last.restore(book.schema, *shown(saved, book.deletions))
    book.advance(hashes, place_hashes(data, book.identity, book.schema, hashes), reach)
    if len(hashes):
        book.last_ts_us = int(times(data).max())


def replay_hot(book: StreamBook, schema: Schema, chunk: Chunk, data: pa.RecordBatch, *, committed_us: int) -> None:
    """Takes a hot batch into series and last values at start, as its commit did; ``data`` is in the newest ``schema``."""
    hashes = series_hashes(data, schema.tags)
    ts = times(data)
    reach = ts if book.identity is None else reach_of(ts, now_us=committed_us)
    book.advance(hashes, place_hashes(data, book.identity, schema, hashes), reach)
    rows = (hashes, np.arange(chunk.first, chunk.first + data.num_rows, dtype=np.int64), data)
    book.last.put(schema, *shown(rows, book.deletions))
    book.last_ts_us = chunk.ts_max if book.last_ts_us is None else max(book.last_ts_us, chunk.ts_max)
