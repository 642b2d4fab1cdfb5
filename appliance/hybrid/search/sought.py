"""What one search asks of one stream, and what comes of looking: plain values, and the filters that all sources share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.hiding import hidden_rows
from appliance.hybrid.search.language import Leaf, Query
from appliance.hybrid.search.matching import combined
from appliance.hybrid.search.words import I64, Mask
from appliance.manifest import Deletion
from appliance.records import EVERYTHING, Schema, TimeRange, fold

Spans = Sequence[tuple[int, int]]
"""Closed spans of event times, rising, apart from each other."""
LIMIT_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What is looked for in one stream."""

    query: Query
    schema: Schema
    fields: tuple[str, ...]
    """The text fields that are searched, as the schema names them; at least one."""
    span: TimeRange
    where: Mapping[str, str | None]
    """By the names of the schema's tags."""
    deletions: tuple[Deletion, ...]
    apart: Spans
    """Event times in which records may have twins: what lies there is looked at by itself."""

    @property
    def columns(self) -> frozenset[str]:
        """What has to be read of a record to say whether it counts."""
        named = {fold(n) for d in self.deletions for n in d.matching} | {fold(n) for n in self.where}
        return frozenset({"ts", "_seq", *(c.name for c in self.schema.columns if fold(c.name) in named)})

    @property
    def is_open(self) -> bool:
        """Whether every record that fits the words counts, whatever else it says."""
        return not (self.where or self.deletions or self.apart or self.span != EVERYTHING)

    def narrowed(self, ts_min: int, ts_max: int, *, first: int, deletions: tuple[Deletion, ...] | None = None) -> Sought:
        """What of it matters for records of these (closed) event times with sequences from ``first`` on."""
        span = self.span
        span = TimeRange(
            None if span.since is None or span.since <= ts_min else span.since,
            None if span.until is None or span.until > ts_max else span.until,
        )
        known = self.deletions if deletions is None else deletions
        hiding = tuple(d for d in known if d.up_to_seq >= first and d.overlaps(ts_min, ts_max))
        apart = tuple((a, b) for a, b in self.apart if a <= ts_max and b >= ts_min)
        return replace(self, span=span, deletions=hiding, apart=apart)


@dataclass(frozen=True, slots=True)
class Matched:
    """Records of one source that count."""

    places: I64
    """Their numbers within the source."""
    ts: I64
    seqs: I64
    scores: I64
    """How many of the wanted words and phrases each has."""


def scores_of(query: Query, found: Mapping[Leaf, Mask]) -> I64:
    """For each row how many of the wanted words and phrases it has; 0 where it doesn't fit."""
    fits = combined(query.root, found)
    many = np.zeros(len(fits), np.int64)
    for leaf in query.wanted:
        many += found[leaf]
    return np.where(fits, many, 0)


def counting(data: Any, sought: Sought, *, ts: I64, seqs: I64) -> Mask:
    """Which records (with the columns of ``Sought.columns``) count, whatever their words."""
    kept = np.ones(len(ts), np.bool_)
    if sought.span.since is not None:
        kept &= ts >= sought.span.since
    if sought.span.until is not None:
        kept &= ts < sought.span.until
    for low, high in sought.apart:
        kept &= (ts < low) | (ts > high)
    hidden = hidden_rows(data, seqs, sought.deletions) if len(ts) else None
    if hidden is not None:
        kept &= ~hidden
    for name, value in sought.where.items():
        if kept.any():
            kept &= _has(data, name, value)
    return kept


def _has(data: Any, name: str, value: str | None) -> Mask:
    at = next((i for i, n in enumerate(data.schema.names) if fold(n) == fold(name)), None)
    if at is None:
        return np.full(data.num_rows, value is None)
    column = data.column(at)
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    mask = pc.is_null(column) if value is None else pc.equal(column, value).fill_null(False)
    return np.asarray(mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy(), np.bool_)


def ts_of(data: Any) -> I64:
    """Event times in µs."""
    column = data.column("ts").cast(pa.int64())
    return np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy(), np.int64)


def texts_of(data: Any, fields: Sequence[str]) -> list[Any]:
    """The columns that are searched, null where the data lacks one."""
    names = data.schema.names
    return [data.column(f) if f in names else pa.nulls(data.num_rows, pa.string()) for f in fields]
