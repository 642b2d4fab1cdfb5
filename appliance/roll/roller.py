"""Carries out a step of a roll: writes the hot rows as segments, one a UTC day. Files only.

The caller commits the result in one transaction (segments into the manifest, mark raised, hot batches dropped); until then
the files are orphans that a restart removes, and after it everything is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.cold.encodings import Encodings, choose_encodings
from appliance.cold.files import Publisher, remove
from appliance.cold.layout import Ranks, sort_columns, split_days, tag_array
from appliance.cold.segments import GROUP_ROWS, ROLL_ZSTD, SegmentMeta, write_segment
from appliance.manifest import Segment
from appliance.records import Kind, Schema
from appliance.roll.plan import RollStep


@dataclass(frozen=True, slots=True)
class HotRows:
    """Rows with the contiguous sequences from ``first``, in the columns of ``schema.arrow``."""

    first: int
    data: pa.Table
    schema: Schema
    """The version to write; rows of older ones have been widened to it."""

    @property
    def last(self) -> int:
        return self.first + int(self.data.num_rows) - 1


@dataclass(frozen=True, slots=True)
class RollResult:
    """What to commit: when this is in the manifest, the lake holds all records of the stream up to ``mark_to``."""

    stream: str
    mark_from: int
    mark_to: int
    segments: tuple[Segment, ...]
    """One for each day, ``id`` 0."""

    @property
    def rows(self) -> int:
        return self.mark_to - self.mark_from

    @property
    def bytes(self) -> int:
        return sum(s.bytes for s in self.segments)


class Roller:
    """Writes the segments of rolls; owned by the housekeeper thread."""

    def __init__(self, publisher: Publisher, *, node: str) -> None:
        self.publisher = publisher
        self.node = node

    def build(self, step: RollStep, *, folder: str, identity: Sequence[str] | None, rows: Callable[[RollStep], HotRows]) -> RollResult:
        """The segments of a step, published and synced but not yet in any manifest.

        ``identity`` is that of ``StreamState.identity_columns``. ``rows`` gives the records from ``mark + 1`` on (later where some are
        lost), at least one and no more than the step says; it may stop early, at the end of a batch or when they are wide. A thousand
        days in one step are a thousand files, written one after the other: memory holds the rows, their order and one row group.

        When a segment can't be written, those before it are removed and the error is raised: ``RetryLater`` when the disk
        is full, ``StoreDamaged`` otherwise. The records stay hot, so nothing is lost and the step can be tried again.
        """
        hot = rows(step)
        assert hot.first > step.mark, f"{step}: got rows from {hot.first}"
        assert step.mark < hot.last <= step.until, f"{step}: got rows to {hot.last}"
        segments: list[Segment] = []
        try:
            for meta, tables, encodings in self._days(hot, identity):
                segments.append(write_segment(tables, publisher=self.publisher, folder=folder, meta=meta, encodings=encodings))
        except BaseException:
            self.discard(RollResult(step.stream, step.mark, hot.last, tuple(segments)))
            raise
        assert sum(s.rows for s in segments) == hot.data.num_rows, step
        return RollResult(step.stream, step.mark, hot.last, tuple(segments))

    def discard(self, result: RollResult) -> None:
        """Remove the files of a result that could not be committed."""
        remove(self.publisher.root, [s.path for s in result.segments])

    def _days(self, hot: HotRows, identity: Sequence[str] | None) -> Iterator[tuple[SegmentMeta, Iterator[pa.Table], Encodings]]:
        schema, data = hot.schema, hot.data
        assert data.schema.names == schema.arrow.names, f"{schema.stream}: rows have columns of another version"
        order = sort_columns(schema, identity)
        ranked = dict.fromkeys((*schema.tags, *(c for c in order if schema.arrow.field(c).type == pa.string())))
        ranks = Ranks.of([data], tuple(ranked))
        codes = {c: ranks.codes(data.column(c), c) for c in ranked}
        ts = data.column("ts").cast(pa.int64()).to_numpy()
        days = list(split_days(ts, ranks.words(data, order, codes=codes)))
        fullest = max((picked for _day, picked in days), key=len)
        encodings = choose_encodings(next(_groups(hot, fullest, ranks=ranks, codes=codes)), zstd_level=ROLL_ZSTD)
        for day, picked in days:
            meta = SegmentMeta(schema, self.node, day, level=0, sorted_by=order)
            yield meta, _groups(hot, picked, ranks=ranks, codes=codes), encodings


def _groups(hot: HotRows, picked: np.ndarray, *, ranks: Ranks, codes: Mapping[str, np.ndarray]) -> Iterator[pa.Table]:
    """The picked rows, in that order, a row group at a time, with the columns of a segment."""
    fields = [c.name for c in hot.schema.columns if c.kind is not Kind.TAG]
    plain = hot.data.select(["ts", *fields])
    for start in range(0, len(picked), GROUP_ROWS):
        part = picked[start : start + GROUP_ROWS]
        taken: Any = plain.take(pa.array(part))
        tags = [tag_array(codes[t][part], ranks.values[t]) for t in hot.schema.tags]
        columns = [taken.column("ts"), *tags, *(taken.column(f) for f in fields), pa.array(part + hot.first)]
        yield pa.table(columns, names=hot.schema.lake.names)
