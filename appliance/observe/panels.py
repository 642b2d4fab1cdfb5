"""Panels as surfaces show them: values only. Times in µs since 1970, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class PanelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One panel."""

    name: str
    path: str
    """``hot``, ``hybrid`` or ``cold``: that its needs put it on; ``appliance paths`` says why."""
    running: str
    """That its next answer comes by: ``hybrid`` in place of ``hot`` where not all that it reads lies there."""
    freshness_s: float
    state: str
    """``new`` (not asked yet), ``ok``, ``waiting`` (no answer, for the reason that is said), ``failing`` (no newer one)."""
    reason: str
    notes: tuple[str, ...]
    """What the newest answer lacks: segments that are missing or damaged."""
    made_by: str
    """The path that has made the newest answer."""
    number: int
    """How many answers it has had: the number of the newest."""
    as_of_us: int | None
    """When the newest answer was found; None: there is none."""
    checked_us: int | None
    """Up to when it is known to be still true, since the start of the service."""
    seen: Mapping[str, int]
    """Stream -> the highest sequence that was seen then."""
    rows: int
    records: int
    """Records that its last question has looked at."""
    ready_ms: float | None
    """From a commit to the answer with its records, of the newest answer that is kept up continuously."""
    parts: str | None
    """The view of its closed part; None: it has none."""
    parts_reason: str
    """Why not, where it would pay."""
    history: str | None
    """The stream of its answers."""
    sql: str


class PanelPicture(msgspec.Struct, frozen=True, kw_only=True):
    """One panel with its newest answer."""

    panel: PanelRow
    columns: tuple[tuple[str, str], ...]
    """Name and SQL type."""
    answer: tuple[Mapping[str, Any], ...]
    """Its rows; times as ISO 8601."""
