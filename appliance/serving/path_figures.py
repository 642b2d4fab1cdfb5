"""What was measured of each workload, out of the meters: for the rules, and for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, cast

from appliance.clock import US_PER_S
from appliance.hot.placements import Placed
from appliance.observe.costs import Costs, Spent
from appliance.observe.latencies import ALERTS, Figures, Latencies
from appliance.observe.paths import PathFigures
from appliance.observe.tiers import Key
from appliance.paths.needs import PATHS, Path
from appliance.paths.placing import Measured
from appliance.paths.rules import PathCost

DAY_S: Final = 86_400.0
TREND_S: Final = 300
TREND_STEPS: Final = 12
"""The trend is the last hour, in steps of five minutes."""
MEASURED_MIN_S: Final = 600.0
"""What a workload costs a day is said once it has run for this time on a path."""
_KEEP_US: Final = 10 * US_PER_S
_STAGES: Final = ("ready", "handed over", "committed", "evaluated", "done")
"""Stages of which the first that is known ends a workload's way."""
Trials = Mapping[tuple[str, Path], PathCost]


@dataclass(frozen=True, slots=True)
class WorkloadFigures:
    """One workload, measured."""

    measured: Measured
    latency: Figures | None
    """Of the last hour, to the end of its way."""
    cpu_s: float | None
    """Of the last hour; None: nothing was noted."""
    trend: tuple[float, ...]
    """CPU seconds of each step, the oldest first; empty: nothing was noted."""
    costs: tuple[PathFigures, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """All meters at one instant."""

    now_us: int
    day: Mapping[Key, Spent]
    steps: Sequence[Mapping[Key, Spent]]
    """Since the beginning of each step of the trend until now, the oldest first."""
    latency: Mapping[Key, Figures]
    trials: Trials

    def of(self, placed: Placed) -> WorkloadFigures:
        """What is known of one workload."""
        name = placed.name
        spent = {cast("Path", path): s for (workload, path), s in self.day.items() if workload == name}
        runs, rows = sum(s.runs for s in spent.values()), sum(s.rows for s in spent.values())
        latency = self._latency(placed)
        costs = self._costs(placed, spent, latency)
        since = [sum(s.cpu_s for (workload, _), s in step.items() if workload == name) for step in self.steps]
        was_on = any(workload == name for step in self.steps for workload, _ in step)
        trend = tuple(max(0.0, a - b) for a, b in zip(since, [*since[1:], 0.0], strict=True)) if was_on else ()
        return WorkloadFigures(
            measured=Measured(round(rows / runs) if runs and rows else None, costs),
            latency=latency,
            cpu_s=since[0] if was_on else None,
            trend=trend,
            costs=self._shown(placed, spent, costs),
        )

    def _latency(self, placed: Placed) -> Figures | None:
        keys = [(placed.name, stage) for stage in _STAGES]
        if placed.kind == "alert":
            keys += [(ALERTS, stage) for stage in _STAGES]
        return next((self.latency[key] for key in keys if key in self.latency), None)

    def _costs(self, placed: Placed, spent: Mapping[Path, Spent], latency: Figures | None) -> dict[Path, PathCost]:
        """By path: of the present one by what it has used there, of others by trials."""
        found = {path: cost for (name, path), cost in self.trials.items() if name == placed.name}
        here, ran_s = placed.placement.path, self._ran_s(placed)
        if here in spent and ran_s >= MEASURED_MIN_S:
            found[here] = PathCost(spent[here].cpu_s / ran_s * DAY_S, None if latency is None else latency.p99_ms / 1e3)
        return found

    def _shown(self, placed: Placed, spent: Mapping[Path, Spent], costs: Mapping[Path, PathCost]) -> tuple[PathFigures, ...]:
        here, ran_s = placed.placement.path, self._ran_s(placed)
        rows = []
        for path in PATHS:
            cost, used = costs.get(path), spent.get(path) if path == here and ran_s >= MEASURED_MIN_S else None
            if cost is not None:
                rows.append(
                    PathFigures(
                        path=path,
                        cpu_s_day=cost.cpu_s_day,
                        read_day=None if used is None else used.read / ran_s * DAY_S,
                        written_day=None if used is None else used.written / ran_s * DAY_S,
                        p99_ms=None if cost.ready_s is None else cost.ready_s * 1e3,
                        is_trial=path != here,
                    )
                )
        return tuple(rows)

    def _ran_s(self, placed: Placed) -> float:
        """For how long of the last day it has been on its path."""
        return min(DAY_S, (self.now_us - placed.since_us) / US_PER_S)


class Meters:
    """Looks at the meters, at most every ten seconds; from any thread."""

    def __init__(self, costs: Costs, latencies: Latencies, *, trials: Callable[[], Trials] = dict) -> None:
        self._costs = costs
        self._latencies = latencies
        self._trials = trials
        self._lock = Lock()
        self._last: Looked | None = None

    def look(self, now_us: int) -> Looked:
        """All of it now, or as it was some seconds ago."""
        with self._lock:
            if self._last is None or not 0 <= now_us - self._last.now_us < _KEEP_US:
                day_us, step_us = round(DAY_S) * US_PER_S, TREND_S * US_PER_S
                self._last = Looked(
                    now_us=now_us,
                    day=self._costs.spent(since_us=now_us - day_us, now_us=now_us),
                    steps=[self._costs.spent(since_us=now_us - n * step_us, now_us=now_us) for n in range(TREND_STEPS, 0, -1)],
                    latency=self._latencies.figures("hour", now_us=now_us),
                    trials=self._trials(),
                )
            return self._last
