"""How long each workload may take, from its kind and its needs, and whether it does. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.config import AlertOptions, NeedsOptions
from appliance.observe.histogram import Histogram
from appliance.observe.latencies import ALERTS, INGEST
from appliance.observe.tiers import Key
from appliance.paths.budgets import budget_ms
from appliance.paths.defaults import kind_of, needs_of

TOLD_MS: Final = 1_000.0
"""An alert: record acknowledged → firing, and somebody told. As long as the wait for others of its group is no longer than by default."""
SEEN_MS: Final = 5_000.0
"""A dashboard: record received → in every answer."""
ANALYSIS_MS: Final[Mapping[str, float]] = {"scored": 3_000.0, "first pass": 3_000.0, "refined": 30_000.0}
"""An analysis: record acknowledged → scored, and, where it is unusual, told with a summary; refinement queued → pushed."""
_GROUP_WAIT_S: Final = 0.5
"""The longest wait by default."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one stage of one workload stands."""

    key: Key
    p99_ms: float
    budget_ms: float
    count: int

    @property
    def is_missed(self) -> bool:
        return self.p99_ms > self.budget_ms


def budgets_of(workloads: Mapping[str, NeedsOptions]) -> dict[Key, float]:
    """By workload and stage, in milliseconds; what has no bound is not in it."""
    found: dict[Key, float] = {(ALERTS, "committed"): TOLD_MS, (INGEST, "visible"): SEEN_MS}
    for name, options in workloads.items():
        for stage, ms in _stages(name, options):
            found[(name, stage)] = ms
    return found


def _stages(name: str, options: NeedsOptions) -> Iterable[tuple[str, float]]:
    needs = needs_of(name, options)
    freshness_ms = needs.freshness_s * 1e3
    if needs.nature == "analysis":
        yield from ANALYSIS_MS.items()
    match kind_of(options):
        case "alert":
            assert isinstance(options, AlertOptions)
            if options.sql is not None:
                yield "evaluated", max(freshness_ms, TOLD_MS)
                return
            yield "evaluated", freshness_ms
            yield "committed", freshness_ms
            yield "handed over", freshness_ms + max(0.0, options.told_after_s - _GROUP_WAIT_S) * 1e3
        case "view":
            yield "ready", needs.staleness_s * 1e3
        case "session":
            return
        case kind:
            yield "ready", budget_ms(kind, needs)


def verdicts(budgets: Mapping[Key, float], histograms: Mapping[Key, Histogram]) -> list[Verdict]:
    """Of each budget about which there is anything to say."""
    return [
        Verdict(key, histograms[key].percentile(0.99), budget_ms, histograms[key].count)
        for key, budget_ms in budgets.items()
        if key in histograms and histograms[key].body
    ]
