"""A part of an answer: sums over closed buckets of a stream, kept in memory, of which only what has changed is computed again.

It is offered to queries like a view over the stream: what asks for nothing finer is put together from its rows, those of the buckets that
are dirty or not closed are computed from the records of the very snapshot (``serving.rewriting``). Values; no lock, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.hot.series import I64
from appliance.serving.snapshot import Offer, ViewInfo, WantedView
from appliance.serving.view_pins import LIVE_SPANS_MAX, ViewPin
from appliance.spans import FIRST, LAST, Span, ceil_to, common, fewer, floor_to, union, widened, without

NAME: Final = "kept part "
BUCKET: Final = "bucket"
DIRTY_MAX: Final = 64
"""Spans that are remembered apart; more are joined over the smallest gaps."""


@dataclass(slots=True)
class Part:
    """See the module."""

    number: int
    stream: str
    """Folded name."""
    source: str
    """The stream as the SQL writes it."""
    sql: str
    """Gives its rows out of the stream's records; the column of buckets is ``bucket``."""
    asked: str
    """The SQL of the question that it was made for."""
    width_us: int
    base: tuple[tuple[str, str], ...]
    """Columns of the stream in SQL."""
    columns: tuple[str, ...]
    """Those of them that the SQL mentions."""
    table: pa.Table
    """Sorted by bucket."""
    low: int
    high: int
    """It holds the buckets from ``low`` to ``high``."""
    version: int
    """``State.version`` of the newest of its rows."""
    cost_ms: float
    """What it takes to ask the records themselves."""
    made_us: int
    dirty: tuple[Span, ...] = ()
    """Of these, what it holds may not be true any more."""
    used_us: int = 0
    hits: int = 0
    starts: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    """Of the bucket of each row."""
    bytes: int = 0

    def __post_init__(self) -> None:
        self.set_table(self.table)

    @property
    def key(self) -> str:
        """The name by which snapshots know it."""
        return f"{NAME}{self.number}"

    def set_table(self, table: pa.Table) -> None:
        """Other rows."""
        self.table = table
        self.starts = _starts(table)
        self.bytes = table.nbytes + self.starts.nbytes + 4 * len(self.sql) + 2_048

    def touch(self, spans: Sequence[Span]) -> None:
        """These buckets may be others now."""
        new = common(widened(spans, self.width_us), ((self.low, self.high),))
        if new:
            self.dirty = fewer(union([*self.dirty, *new]), DIRTY_MAX)

    def clean(self) -> tuple[Span, ...]:
        """The buckets whose rows are true."""
        return without(((self.low, self.high),), self.dirty)

    def offer(self) -> Offer:
        """What may stand in for the stream's records."""
        info = ViewInfo(1, BUCKET, self.width_us, ((self.source, self.sql),), self.base)
        return Offer(self.key, self.key, info, self.table.num_rows)

    def pin(self, want: WantedView) -> tuple[ViewPin, pa.Table]:
        """What of it counts for the records wanted: rows of whole clean buckets, and spans of event time that have to be computed."""
        since, until = FIRST if want.since_us is None else want.since_us, LAST if want.until_us is None else want.until_us
        spans = ((since, until),) if since < until else ()
        whole = tuple((ceil_to(low, self.width_us), floor_to(high, self.width_us)) for low, high in spans)
        kept = common(self.clean(), union(whole))
        live = fewer(without(spans, kept), LIVE_SPANS_MAX)
        kept = without(kept, live)
        pin = ViewPin(
            name=self.key,
            sql=self.sql,
            source=self.source,
            bucket=BUCKET,
            width_us=self.width_us,
            files=(),
            live=live,
            below=None,
            stream=self.stream,
            stream_spans=live,
            columns=self.columns,
            kept=kept,
        )
        return pin, self.rows_of(kept)

    def rows_of(self, spans: Sequence[Span]) -> pa.Table:
        """Its rows of some buckets."""
        edges = [np.searchsorted(self.starts, span) for span in spans]
        pieces = [self.table.slice(int(a), int(b - a)) for a, b in edges if a < b]
        return pa.concat_tables(pieces) if pieces else self.table.slice(0, 0)

    def replace(self, fresh: pa.Table, spans: Sequence[Span], *, version: int) -> None:
        """``fresh`` are the rows of these buckets at a picture of this version; the part reaches as far as they do."""
        held = self.rows_of(without(((self.low, self.high),), spans))
        self.set_table(sorted_by_bucket(pa.concat_tables([held, packed(fresh).cast(held.schema)])))
        self.dirty = without(self.dirty, spans)
        self.low, self.high = min(self.low, spans[0][0]), max(self.high, spans[-1][1])
        self.version = max(self.version, version)


def packed(table: pa.Table) -> pa.Table:
    """Texts by number, as they repeat in each bucket."""
    columns = [
        c.combine_chunks().dictionary_encode() if pa.types.is_string(c.type) or pa.types.is_large_string(c.type) else c
        for c in table.columns
    ]
    return pa.table(dict(zip(table.column_names, columns, strict=True)))


def sorted_by_bucket(table: pa.Table) -> pa.Table:
    """Its rows in the order of their buckets, in one piece."""
    return table.unify_dictionaries().combine_chunks().sort_by(BUCKET)


def _starts(table: pa.Table) -> I64:
    column = pc.cast(table.column(BUCKET), pa.timestamp("us")).combine_chunks()
    return np.asarray(column.view(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
