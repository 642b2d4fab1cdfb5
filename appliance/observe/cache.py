"""The result cache as surfaces show it. ``GET /api/cache`` gives a ``CachePicture``. Times in µs since 1970, UTC."""

from __future__ import annotations

import msgspec


class CacheRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kept answer, or part of one."""

    sql: str
    """At most 200 characters."""
    kind: str
    """``answer`` (whole), ``part`` (of closed history, completed by what is hot)."""
    streams: tuple[str, ...]
    bytes: int
    hits: int
    made_us: int
    used_us: int
    cost_ms: float
    """What it took to compute: what a hit saves."""
    warmed: bool
    """Whether batch made it, unasked."""


class CachePicture(msgspec.Struct, frozen=True, kw_only=True):
    """The cache since the start of the service."""

    entries: int
    bytes: int
    bytes_max: int
    hits: int
    partial_hits: int
    misses: int
    invalidated: int
    """Entries dropped because what they depended on has changed."""
    evicted: int
    """Entries dropped for room."""
    warmed: int
    saved_s: float
    """Time that hits did not take."""
    rows: tuple[CacheRow, ...]
    """Those that save most first; at most 100."""
