"""Search as surfaces show it. Times in µs since 1970, UTC.

``GET /api/search`` gives ``Found``, ``GET /api/search/status`` a ``SearchPicture``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One search as a person asks it."""

    text: str
    """Words, "phrases", prefix*, AND OR NOT, parentheses."""
    streams: tuple[str, ...] = ()
    """Empty: all, and names besides."""
    where: tuple[str, ...] = ()
    """``TAG=VALUE`` (``TAG=``: without it); a record must have all of them."""
    since_us: int | None = None
    """Event time, half-open; None: unbounded."""
    until_us: int | None = None
    order: Literal["time", "rank"] = "time"
    limit: int = 20


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One record, or one name, that fits."""

    kind: str
    """``record``, ``stream``, ``tag``, ``template``, ``alert``, ``incident``."""
    stream: str
    """The stream; "" where the hit belongs to none."""
    name: str
    """For names: the name; for records: the text field that fits."""
    ts_us: int | None
    seq: int | None
    """Of a record."""
    tags: Mapping[str, str | None]
    snippet: str
    """The text around what fits, plain, at most 200 characters."""
    marks: tuple[tuple[int, int], ...]
    """Where in the snippet the words stand: half-open pairs of characters."""
    rank: float
    """Higher fits better."""
    again: str = ""
    """Of a template: the search that finds its records in its stream; empty: there is none."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one search, of one instant."""

    hits: tuple[Hit, ...]
    total: int
    """How many there are in all."""
    is_whole: bool
    """Whether ``total`` was counted to its end."""
    took_ms: float
    notes: tuple[str, ...]
    """What it lacks: an index that is being rebuilt, segments that are missing."""


class IndexRow(msgspec.Struct, frozen=True, kw_only=True):
    """The index of one stream."""

    stream: str
    fields: tuple[str, ...]
    hot_records: int
    sealed_records: int
    files: int
    bytes: int
    text_bytes: int | None
    """Of the same text as Parquet holds it; None: not measured."""
    state: str
    """``ok``, ``building``, ``rebuilding``, ``behind``."""
    behind_s: float
    note: str


class SearchPicture(msgspec.Struct, frozen=True, kw_only=True):
    """All indexes."""

    indexes: tuple[IndexRow, ...]
    queries: int
    """Since the start."""
    p50_ms: float | None
    p99_ms: float | None
