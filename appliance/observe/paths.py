"""Which workload runs on which path, and how it does there: rows for ``/api/paths``, the command line and the screen. Values only.

Times in µs since 1970, UTC; None: not known, or not measured yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class NeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One need of a workload."""

    need: str
    """As the option is called: ``freshness``, ``records``."""
    value: str
    """For people: ``2s``, ``12,400``, ``yes``."""
    origin: str
    """``config``, ``sql`` (its words say so), ``kind`` (the default of its kind) or ``measured``."""


class PathFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload costs on one path, measured."""

    path: str
    cpu_s_day: float | None = None
    read_day: float | None = None
    """Bytes a day, as ``written_day``."""
    written_day: float | None = None
    p99_ms: float | None = None
    is_trial: bool = False
    """By a trial run on recent data: it does not run there."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A move that what is measured asks for."""

    path: str
    rule: str
    reason: str
    expected: str
    """What it would cost there, and what it costs here, in words."""
    since_us: int
    made_us: int | None = None
    """When it will be made by itself, as ``[paths] moves`` wants; None: somebody has to change what the workload needs."""


class MoveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a workload."""

    at_us: int
    name: str
    kind: str
    moved_from: str
    path: str
    rule: str
    reason: str
    cause: str
    """``config``: what it needs was changed; ``measured``: by itself."""


class PathRow(msgspec.Struct, frozen=True, kw_only=True):
    """One workload."""

    name: str
    kind: str
    path: str
    """Where it runs."""
    rule: str
    """The rule that decided (``paths.rules.Rule``)."""
    reason: str
    runs_on: tuple[str, ...] = ()
    """The paths that its kind can run on."""
    needs: tuple[NeedRow, ...] = ()
    budget_ms: float | None = None
    """What its latency is held against."""
    p50_ms: float | None = None
    """Of the last hour, as the two that follow."""
    p99_ms: float | None = None
    count: int = 0
    cpu_s: float | None = None
    """CPU seconds of the last hour."""
    trend: tuple[float, ...] = ()
    """CPU seconds of each five minutes of the last hour, the oldest first; empty: nothing was noted."""
    costs: tuple[PathFigures, ...] = ()
    """On each path on which it was measured."""
    proposal: Proposal | None = None
    warning: str = ""
    """What its needs ask for and its kind can't give."""
    since_us: int | None = None
    """Since when it runs on its path; None: no service has run it yet."""
    moved_from: str = ""
    """The path before; empty: it has never moved."""
    moves: tuple[MoveRow, ...] = ()
    """The newest ones, first."""


class PathsPicture(msgspec.Struct, frozen=True, kw_only=True):
    """All workloads at one instant."""

    at_us: int
    moves: str
    """``propose`` or ``make``."""
    rows: tuple[PathRow, ...]
    """In the order of the config."""
    counts: Mapping[str, int] = {}
    """Path -> workloads on it."""


class PathsDesk(Protocol):
    """Who answers for the assignment of workloads."""

    def picture(self) -> PathsPicture:
        """Which workload runs where."""
