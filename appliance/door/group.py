"""One commit in the making: submissions are checked and laid together by stream, and nothing is written yet.

Pure of I/O. Whatever a submission adds (streams, columns, rows) is staged here and becomes true only when the writer's
transaction is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from appliance.config import LimitOptions, StreamOptions
from appliance.door.align import Mask, align, reject_row
from appliance.door.book import StreamBook
from appliance.door.laying import Laid, lay_together
from appliance.errors import RejectPayload
from appliance.hot.owned import owned
from appliance.hot.series import I64, LOWEST, U64, SeriesTable, fit, series_hashes
from appliance.hot.state import ALL_TAGS
from appliance.records import Batch, Format, Reject, Schema, Submission, check_name, fold

BATCH_ROWS_MIN = 4096
"""Parts of one stream are joined until a stored batch has so many rows."""
BATCH_ROWS_MAX = 65_536
"""Larger parts are cut: a batch is the unit in which the hot store is read."""
FILE_SOURCES = ("drop", "ingest")


@dataclass(frozen=True, slots=True)
class Part:
    """Checked rows of one stream that came one after the other."""

    data: pa.RecordBatch
    hashes: U64
    shares: tuple[tuple[int, int], ...]
    """(place of a submission within the group, how many of the rows are its own), in order."""


@dataclass(slots=True)
class Draft:
    """A stream as it will be after the commit."""

    book: StreamBook | None
    """None: the stream is new."""
    name: str
    schema: Schema | None
    identity: tuple[str, ...] | None
    parts: list[Part] = field(default_factory=list)
    new_series: SeriesTable = field(default_factory=SeriesTable.empty)

    def copy(self) -> Draft:
        table = SeriesTable(self.new_series.hashes, self.new_series.ts_max.copy())
        return Draft(self.book, self.name, self.schema, self.identity, list(self.parts), table)


@dataclass(slots=True)
class Entry:
    """A submission of the group and what was found about it."""

    submission: Submission
    rejects: list[Reject]
    records: int = 0


class Group:
    """Collects submissions; ``drafts`` and ``entries`` are what the writer then commits, after ``settle``."""

    def __init__(
        self,
        books: Mapping[str, StreamBook],
        *,
        limits: LimitOptions,
        streams: Mapping[str, StreamOptions],
        on_alias: Callable[[str, str], None],
    ) -> None:
        """``on_alias`` is told once a batch when a name differs from a known one only in case."""
        self._books = books
        self._limits = limits
        self._options = {fold(name): options for name, options in streams.items()}
        self._on_alias = on_alias
        self._waiting: dict[str, list[tuple[int, Batch]]] = {}
        self.drafts: dict[str, Draft] = {}
        self.entries: list[Entry] = []

    def add(self, submission: Submission) -> None:
        """Takes a submission in. When it is all or nothing and not all can be taken: ``RejectPayload``, and the group is as it was."""
        if submission.all_or_nothing:
            self.settle()
        before = {key: draft.copy() for key, draft in self.drafts.items()} if submission.all_or_nothing else None
        owner = len(self.entries)
        self.entries.append(Entry(submission, list(submission.rejects)))
        for batch in submission.batches:
            self._waiting.setdefault(fold(batch.stream), []).append((owner, batch))
        if before is None:
            return
        self.settle()
        rejects = self.entries[owner].rejects
        if rejects:
            self.drafts = before
            del self.entries[owner]
            raise RejectPayload(f"nothing was stored, because not every record can be taken: {rejects[0].reason}")

    def settle(self) -> None:
        """Checks what was added since the last time: afterwards ``drafts`` and ``entries`` are whole."""
        waiting, self._waiting = self._waiting, {}
        for batches in waiting.values():
            for laid in lay_together(batches):
                self._add_laid(laid)

    def _add_laid(self, laid: Laid) -> None:
        batch = laid.batch
        draft = self._draft(batch.stream, self.entries[int(laid.owners[0])].submission)
        if isinstance(draft, str):
            self._refuse(laid, range(batch.rows), [reject_row(batch, row, draft) for row in range(batch.rows)])
            return
        if draft.name != batch.stream:
            self._on_alias(batch.stream, draft.name)
            batch = replace(batch, stream=draft.name)
        aligned = align(batch, draft.schema, self._limits, self._tags(draft.name))
        place = np.arange(batch.rows) if aligned.kept is None else aligned.kept
        if aligned.rejects:
            self._refuse(laid, np.setdiff1d(np.arange(batch.rows), place).tolist(), aligned.rejects)
        data, hashes = aligned.data, series_hashes(aligned.data, aligned.schema.tags)
        over = self._over_series_limit(hashes, draft)
        if over is not None:
            limit = self._limits.series_max
            reason = f"stream {draft.name!r} has {limit} different sets of tag values already, the limit [limits] series_max"
            self._refuse(laid, place[over].tolist(), [reject_row(batch, int(row), reason) for row in place[over]])
            data, hashes, place = data.filter(pa.array(~over)), hashes[~over], place[~over]
        if data.num_rows:
            draft.schema = aligned.schema
            self.drafts[fold(batch.stream)] = draft
            part = Part(data, hashes, _shares(laid.owners if data.num_rows == batch.rows else laid.owners[place]))
            draft.parts.append(part)
            for owner, count in part.shares:
                self.entries[owner].records += count

    def _refuse(self, laid: Laid, rows: Iterable[int], rejects: Iterable[Reject]) -> None:
        for row, reject in zip(rows, rejects, strict=True):
            self.entries[int(laid.owners[row])].rejects.append(reject)

    def _draft(self, name: str, submission: Submission) -> Draft | str:
        """The draft of a stream, or why there can't be one."""
        key = fold(name)
        draft = self.drafts.get(key)
        if draft is not None:
            return draft
        book = self._books.get(key)
        if book is not None:
            return Draft(book, book.schema.stream, book.schema, book.identity)
        reason = check_name(name, what="stream", bytes_max=self._limits.name_bytes_max)
        if reason is None and name.startswith("_"):
            reason = f"stream name {name!r} starts with an underscore, which is kept for the appliance's own tables"
        if reason is None and len(self._books) + sum(d.book is None for d in self.drafts.values()) >= self._limits.streams_max:
            reason = f"there are {self._limits.streams_max} streams already, the limit [limits] streams_max"
        if reason is not None:
            return reason
        return Draft(None, name, None, self._identity(key, submission))

    def _tags(self, name: str) -> tuple[str, ...]:
        """Columns that the owner has declared as tags; an identity's columns are tags too."""
        options = self._options.get(fold(name))
        if options is None:
            return ()
        identity = options.identity if isinstance(options.identity, tuple) else ()
        return (*options.tags, *(c for c in identity if fold(c) != "ts"))

    def _identity(self, key: str, submission: Submission) -> tuple[str, ...] | None:
        """What makes two records of a new stream the same one: as configured, else by the kind of its first source."""
        options = self._options.get(key)
        if options is not None and options.identity is not None:
            return None if options.identity == "none" else tuple(options.identity)
        from_file = submission.source.split(":", 1)[0] in FILE_SOURCES and submission.format is not Format.LP
        return None if from_file else ALL_TAGS

    def _over_series_limit(self, hashes: U64, draft: Draft) -> Mask | None:
        """Rows of series that would be one too many; None when there are none. Notes the others as new series of the draft."""
        known = draft.book.series if draft.book is not None else SeriesTable.empty()
        new = known.unknown(hashes) & draft.new_series.unknown(hashes)
        if not new.any():
            return None
        fresh, first_seen = np.unique(hashes[new], return_index=True)
        room = max(0, self._limits.series_max - len(known) - len(draft.new_series))
        over = None
        if len(fresh) > room:
            fresh = fresh[np.argsort(first_seen)][:room]
            over = new & ~np.isin(hashes, fresh)
        draft.new_series.advance(fresh, np.full(len(fresh), LOWEST))
        return over


def _shares(owners: I64) -> tuple[tuple[int, int], ...]:
    """Of rows (at least one) whose owners do not fall."""
    if owners[0] == owners[-1]:
        return ((int(owners[0]), len(owners)),)
    ends = np.flatnonzero(np.append(owners[1:] != owners[:-1], True)) + 1
    return tuple(zip(owners[ends - 1].tolist(), np.diff(ends, prepend=0).tolist(), strict=True))


def join_parts(draft: Draft) -> list[tuple[pa.RecordBatch, U64]]:
    """The rows of a stream in the order of arrival, in its newest schema and in memory of their own, as few batches."""
    assert draft.schema is not None
    joined: list[tuple[pa.RecordBatch, U64]] = []
    waiting: list[Part] = []
    rows = 0
    for part in draft.parts:
        waiting.append(part)
        rows += part.data.num_rows
        if rows >= BATCH_ROWS_MIN:
            joined += _join(waiting, draft.schema)
            waiting, rows = [], 0
    if waiting:
        joined += _join(waiting, draft.schema)
    return joined


def _join(parts: list[Part], schema: Schema) -> list[tuple[pa.RecordBatch, U64]]:
    data = owned([fit(p.data, schema) for p in parts])
    hashes = np.concatenate([p.hashes for p in parts])
    if data.num_rows <= BATCH_ROWS_MAX:
        return [(data, hashes)]
    starts = range(0, data.num_rows, BATCH_ROWS_MAX)
    return [(owned([data.slice(i, BATCH_ROWS_MAX)]), hashes[i : i + BATCH_ROWS_MAX]) for i in starts]
