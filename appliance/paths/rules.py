"""From needs to a path: the rules, in the order in which they decide. Pure.

1. *nature*: analysis, search indexes and caches are hybrid: a first answer from hot, a better one from cold.
2. *trigger*, *session*: what triggers an alert or a notification, and what is bound to an open session, is hot, however large: it
   is carried along record by record and never computed again from history.
3. *both*: what rule 4 would make hot but looks at more records than hot holds is hybrid: stored parts from cold and a live tail.
4. *user*, *fresh*: hot if a user is waiting, or if freshness below 5 s is required.
5. *batch*: cold if nobody is directly waiting, more than 10,000 records are looked at, staleness above 1 min is acceptable and the
   aggregation is complex; all of them.
6. *cheapest*: what no rule decides goes to the cheapest path that meets its freshness, by measured cost.
7. *kind*: a kind that can't run on the path found so far stays where it can.

The figures are those of the architecture's decision; they are bounds of its rules, no options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from appliance.paths.needs import PATHS, Needs, Path
from appliance.units import show_duration

Rule = Literal["nature", "trigger", "session", "both", "user", "fresh", "batch", "cheapest", "kind"]

FRESHNESS_HOT_S: Final = 5.0
"""Freshness below this is hot."""
RECORDS_COLD_MIN: Final = 10_000
"""Cold work looks at more records than this."""
STALENESS_COLD_S: Final = 60.0
"""Cold work may be older than this."""
HOT_RECORDS_MAX: Final = 500_000
"""Records of one stream that hot holds where nobody says otherwise: the default of ``[roll] rows_max``."""

PROMISED_S: Final[Mapping[Path, float]] = {"cold": 60.0, "hybrid": 5.0, "hot": 1.0}
"""How fresh a path keeps an answer as long as nobody has measured it; from the least work to the most, as one run each minute, a
stored part with a live tail, and a look after each commit are."""


@dataclass(frozen=True, slots=True)
class PathCost:
    """What a workload costs on one path, measured there or by a trial run on recent data."""

    cpu_s_day: float
    """CPU seconds a day."""
    ready_s: float | None = None
    """How old an answer gets there at worst (p99 of record acknowledged, or run scheduled, → ready); None: not measured."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which path, and why."""

    path: Path
    rule: Rule
    reason: str
    """One line for people, with the figures that decided."""


def assign(
    needs: Needs,
    costs: Mapping[Path, PathCost] | None = None,
    *,
    runs_on: Sequence[Path] = PATHS,
    hot_records_max: int = HOT_RECORDS_MAX,
) -> Assignment:
    """The path of a workload with these needs.

    ``costs`` are those that are measured; a path that is not in it is taken only where no measured one meets the freshness.
    ``runs_on`` are the paths that its kind can run on, at least one; ``hot_records_max`` is how many records of a stream hot holds.
    """
    found = _by_needs(needs, costs or {}, runs_on, hot_records_max)
    if found.path in runs_on:
        return found
    return Assignment(runs_on[0], "kind", f"its kind runs on {' or '.join(runs_on)} only; its needs ask for {found.path}: {found.reason}")


def _by_needs(needs: Needs, costs: Mapping[Path, PathCost], runs_on: Sequence[Path], hot_records_max: int) -> Assignment:
    if needs.nature != "plain":
        return Assignment("hybrid", "nature", f"{_NATURES[needs.nature]} a first answer from hot and a better one from cold")
    if needs.triggers:
        return Assignment("hot", "trigger", "it triggers an alert or a notification, which has to be at once")
    if needs.session_bound:
        return Assignment("hot", "session", "its data belongs to a session that is still open")
    is_fresh = needs.freshness_s < FRESHNESS_HOT_S
    asks_hot = f"needs answers of {_s(needs.freshness_s)}, below {_s(FRESHNESS_HOT_S)}" if is_fresh else "a user is waiting for it"
    if (needs.waiting or is_fresh) and _is_above_hot(needs, hot_records_max):
        return Assignment("hybrid", "both", f"{asks_hot}, but it looks at {needs.records:,} records, and hot holds {hot_records_max:,}")
    if needs.waiting:
        return Assignment("hot", "user", "a user is waiting for it")
    if is_fresh:
        return Assignment("hot", "fresh", asks_hot)
    if needs.records is not None and needs.records > RECORDS_COLD_MIN and needs.staleness_s > STALENESS_COLD_S and needs.is_complex:
        return Assignment("cold", "batch", _why_cold(needs.records, needs.staleness_s))
    return _cheapest(needs, costs, [p for p in PROMISED_S if p in runs_on], hot_records_max)


def _cheapest(needs: Needs, costs: Mapping[Path, PathCost], paths: list[Path], hot_records_max: int) -> Assignment:
    """``paths`` in the order of ``PROMISED_S``; where none of them meets the freshness, the freshest."""
    able = [p for p in paths if not (p == "hot" and _is_above_hot(needs, hot_records_max))] or paths
    meeting = [p for p in able if _ready_s(p, costs) <= needs.freshness_s] or able[-1:]
    measured = [p for p in meeting if p in costs]
    path = min(measured, key=lambda p: costs[p].cpu_s_day) if measured else meeting[0]
    undecided = _undecided(needs)
    if measured:
        said = ", ".join(f"{p} {costs[p].cpu_s_day:.3g}" for p in measured)
        why = f"the cheapest path that keeps answers of {_s(needs.freshness_s)}, in CPU seconds a day: {said}"
    else:
        why = f"the path with the least work that keeps answers of {_s(needs.freshness_s)}, as long as no cost is measured"
    return Assignment(path, "cheapest", f"no rule decides ({undecided}); {why}")


def _ready_s(path: Path, costs: Mapping[Path, PathCost]) -> float:
    measured_s = costs[path].ready_s if path in costs else None
    return PROMISED_S[path] if measured_s is None else measured_s


def _is_above_hot(needs: Needs, hot_records_max: int) -> bool:
    return needs.records is not None and needs.records > hot_records_max


def _why_cold(records: int, staleness_s: float) -> str:
    return f"nobody waits for it, {records:,} records, may be {_s(staleness_s)} old, complex"


def _undecided(needs: Needs) -> str:
    """Which part of the cold rule doesn't hold."""
    missing = []
    if needs.records is None:
        missing.append("records not measured yet")
    elif needs.records <= RECORDS_COLD_MIN:
        missing.append(f"only {needs.records:,} records")
    if needs.staleness_s <= STALENESS_COLD_S:
        missing.append(f"may not be older than {_s(needs.staleness_s)}")
    if not needs.is_complex:
        missing.append("not complex")
    return ", ".join(missing)


def _s(seconds: float) -> str:
    return show_duration(seconds)


_NATURES: Final[Mapping[str, str]] = {
    "analysis": "an analysis has",
    "search": "a search index has",
    "cache": "a cache has",
}
