"""How long workloads take and what they cost: rows for ``/api/latency``, ``/api/cost``, the command line and the screen. Values only.

Times in µs since 1970, UTC; None: not known, or there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from appliance.paths.needs import Path


class LatencyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one workload over one window."""

    workload: str
    """Of the config, or of the appliance itself: ``_ingest``, ``_alerts``, ``_query``."""
    path: str
    """``hot``, ``cold`` or ``hybrid``; empty: no workload of the config."""
    stage: str
    window: str
    """``minute``, ``hour`` or ``day``: the last one."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    count: int
    budget_ms: float | None = None
    is_missed: bool = False
    """The 99th percentile is above the budget."""


class LatencyPicture(msgspec.Struct, frozen=True, kw_only=True):
    """All of it at one instant."""

    at_us: int
    rows: tuple[LatencyRow, ...]
    """By workload, stage and window; what nothing was measured of is missing."""


class CostRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one workload has used on one path since ``CostPicture.since_us``; in a sum of a path ``workload`` is empty."""

    workload: str = ""
    path: str
    cpu_s: float = 0.0
    cpu_s_day: float = 0.0
    """The same, as if it went on like this for a day."""
    read_bytes: int = 0
    """By system calls, out of the page cache or not."""
    written_bytes: int = 0
    """Towards the disk."""
    rows: int = 0
    """Records that it has looked at."""
    memory_bytes: int = 0
    """The most that it has held at once."""
    disk_bytes: int = 0
    """What it holds on the disk now."""
    notifications: int = 0
    runs: int = 0
    """Answers, runs, refreshes; 0 for what runs all the time."""


class Wear(msgspec.Struct, frozen=True, kw_only=True):
    """What the card has to bear."""

    bytes_per_day: int
    """Written towards the disk by all processes of the appliance, as measured; without what the file system adds."""
    measured_s: float
    """Over how long."""
    endurance_bytes: int | None = None
    """What the card is said to bear (``[node] endurance``)."""
    years_left: float | None = None
    """Of a new card at this rate."""


class CostPicture(msgspec.Struct, frozen=True, kw_only=True):
    """What everything has cost since ``since_us``."""

    at_us: int
    since_us: int
    measured_s: float
    """For how much of that time the service ran and was measured; at least a minute."""
    paths: tuple[CostRow, ...]
    """Hot, cold and hybrid, in this order, whatever there is."""
    rows: tuple[CostRow, ...]
    """The dearest first."""
    wear: Wear


class TrialSide(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload costs on one path, one run measured and taken for a day."""

    path: Path
    is_current: bool
    """It runs there."""
    ms: float
    """One run, from the question to its last row."""
    cpu_s: float
    """One run."""
    rows: int
    """Records that one run has looked at."""
    read_bytes: int
    runs_day: float
    """How often it has to run for the answer to be as fresh as it needs to be."""
    cpu_s_day: float
    how: str
    """What was run, in words."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial run of a workload on recent data, on each path that it can be tried on."""

    workload: str
    at_us: int
    path: str
    """Where it runs."""
    sides: tuple[TrialSide, ...]
    notes: tuple[str, ...] = ()


class MeterDesk(Protocol):
    """Who answers for latency and cost."""

    def latency(self) -> LatencyPicture:
        """How long workloads take."""

    def cost(self, since_us: int | None) -> CostPicture:
        """What they have cost since then; None: in the last day."""

    def totals(self) -> Sequence[CostRow]:
        """What they have cost since the service started."""

    async def trial(self, name: str) -> Trial:
        """Runs a workload's query once on each path and says what it costs. Raises ``UsageRefused`` where it can't be tried."""
