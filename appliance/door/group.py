"""One commit in the making: submissions are checked and laid together by stream, and nothing is written yet.

Pure of I/O. Whatever a submission adds (streams, columns, rows) is staged here and becomes true only when the writer's
transaction is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from appliance.config import LimitOptions, StreamOptions
from appliance.door.align import Aligned, align, reject_row
from appliance.door.book import StreamBook
from appliance.errors import RejectPayload
from appliance.hot.series import U64, SeriesTable, fit, series_hashes
from appliance.hot.state import ALL_TAGS
from appliance.records import Batch, Format, Reject, Schema, Submission, check_name, fold

BATCH_ROWS_MIN = 4096
"""Parts of one stream are joined until a stored batch has so many rows."""
FILE_SOURCES = ("drop", "ingest")


@dataclass(slots=True)
class Part:
    """Rows of one submission for one stream."""

    owner: int
    """Place of the submission within the group."""
    data: pa.RecordBatch
    hashes: U64


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
        table = SeriesTable(self.new_series.hashes, self.new_series.ts_max)
        return Draft(self.book, self.name, self.schema, self.identity, list(self.parts), table)


@dataclass(slots=True)
class Entry:
    """A submission of the group and what was found about it."""

    submission: Submission
    rejects: tuple[Reject, ...]
    records: int


class Group:
    """Collects submissions; ``drafts`` and ``entries`` are what the writer then commits."""

    def __init__(
        self, books: Mapping[str, StreamBook], *, limits: LimitOptions, streams: Mapping[str, StreamOptions], on_alias: Callable[[str, str], None]
    ) -> None:
        """``on_alias`` is told once a batch when a name differs from a known one only in case."""
        self._books = books
        self._limits = limits
        self._options = {fold(name): options for name, options in streams.items()}
        self._on_alias = on_alias
        self.drafts: dict[str, Draft] = {}
        self.entries: list[Entry] = []

    def add(self, submission: Submission) -> None:
        """Takes a submission in. Raises ``RejectPayload``, leaving the group as it was, when it is all or nothing and not all can be taken."""
        before = {key: draft.copy() for key, draft in self.drafts.items()} if submission.all_or_nothing else None
        rejects = list(submission.rejects)
        records = 0
        for batch in submission.batches:
            taken, refused = self._add_batch(batch, submission)
            records += taken
            rejects += refused
        if before is not None and rejects:
            self.drafts = before
            raise RejectPayload(f"nothing was stored, because not every record can be taken: {rejects[0].reason}")
        self.entries.append(Entry(submission, tuple(rejects), records))

    def _add_batch(self, batch: Batch, submission: Submission) -> tuple[int, list[Reject]]:
        draft = self._draft(batch.stream, submission)
        if isinstance(draft, str):
            return 0, [reject_row(batch, row, draft) for row in range(batch.rows)]
        if draft.name != batch.stream:
            self._on_alias(batch.stream, draft.name)
            batch = replace(batch, stream=draft.name)
        aligned = align(batch, draft.schema, self._limits, self._tags(draft.name))
        refused = list(aligned.rejects)
        data, hashes, over = self._within_series_limit(batch, aligned, draft)
        refused += over
        if data.num_rows:
            draft.schema = aligned.schema
            self.drafts[fold(batch.stream)] = draft
            draft.parts.append(Part(len(self.entries), data, hashes))
        return data.num_rows, refused

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

    def _within_series_limit(self, batch: Batch, aligned: Aligned, draft: Draft) -> tuple[pa.RecordBatch, U64, list[Reject]]:
        data = aligned.data
        hashes = series_hashes(data, aligned.schema.tags)
        known = draft.book.series if draft.book is not None else SeriesTable.empty()
        new = known.unknown(hashes) & draft.new_series.unknown(hashes)
        if not new.any():
            return data, hashes, []
        fresh, first_seen = np.unique(hashes[new], return_index=True)
        room = self._limits.series_max - len(known) - len(draft.new_series)
        if len(fresh) > room:
            allowed = fresh[np.argsort(first_seen)][: max(room, 0)]
            over = new & ~np.isin(hashes, allowed)
            reason = f"stream {draft.name!r} has {self._limits.series_max} different sets of tag values already, the limit [limits] series_max"
            place = np.arange(batch.rows) if aligned.kept is None else aligned.kept
            rejects = [reject_row(batch, int(row), reason) for row in place[over]]
            data, hashes, fresh = data.filter(pa.array(~over)), hashes[~over], np.sort(allowed)
        else:
            rejects = []
        draft.new_series.advance(fresh, np.zeros(len(fresh), dtype=np.int64))
        return data, hashes, rejects


def join_parts(draft: Draft) -> list[tuple[pa.RecordBatch, U64]]:
    """The rows of a stream in the order of arrival, in its newest schema: few batches instead of many small parts."""
    assert draft.schema is not None
    joined: list[tuple[pa.RecordBatch, U64]] = []
    waiting: list[Part] = []
    rows = 0
    for part in draft.parts:
        waiting.append(part)
        rows += part.data.num_rows
        if rows >= BATCH_ROWS_MIN:
            joined.append(_join(waiting, draft.schema))
            waiting, rows = [], 0
    if waiting:
        joined.append(_join(waiting, draft.schema))
    return joined


def _join(parts: list[Part], schema: Schema) -> tuple[pa.RecordBatch, U64]:
    if len(parts) == 1:
        return fit(parts[0].data, schema), parts[0].hashes
    return pa.concat_batches([fit(p.data, schema) for p in parts]), np.concatenate([p.hashes for p in parts])
