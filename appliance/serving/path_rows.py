"""One workload as surfaces show it: out of where it was placed and what was measured, or out of the folder. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from appliance.clock import US_PER_S
from appliance.hot.alerts.reads import Reads
from appliance.hot.placements import Placed, load_moves, load_placements
from appliance.need_options import NeedsOptions
from appliance.observe.paths import MoveRow, NeedRow, PathFigures, PathRow, PathsPicture, Proposal
from appliance.paths.needs import Needs
from appliance.paths.placing import SETTLE_S, Measured
from appliance.serving.path_figures import WorkloadFigures
from appliance.units import show_duration

UNMEASURED: Final = WorkloadFigures(Measured(), None, None, (), ())


def need_rows(options: NeedsOptions, needs: Needs) -> tuple[NeedRow, ...]:
    """What a workload needs, in words, and what says so: the config, its SQL or its kind."""
    by_sql = options.complex is None and getattr(options, "sql", None) is not None
    shown = (
        ("waiting", options.waiting, _yes(needs.waiting)),
        ("triggers", options.triggers, _yes(needs.triggers)),
        ("session_bound", options.session_bound, _yes(needs.session_bound)),
        ("freshness", options.freshness_s, show_duration(needs.freshness_s)),
        ("staleness", options.staleness_s, show_duration(needs.staleness_s)),
        ("records", options.records, "not known" if needs.records is None else f"{needs.records:,}"),
        ("complex", options.complex, _yes(needs.is_complex)),
        ("nature", options.nature, needs.nature),
    )
    return tuple(
        NeedRow(need=name, value=value, origin="config" if said is not None else "sql" if name == "complex" and by_sql else "kind")
        for name, said, value in shown
    )


def path_row(placed: Placed, figures: WorkloadFigures, moves: Sequence[MoveRow], *, moves_are: str) -> PathRow:
    """One row; ``moves`` are those of this workload, ``moves_are`` what ``[paths] moves`` says."""
    at, latency = placed.placement, figures.latency
    return PathRow(
        name=placed.name,
        kind=placed.kind,
        path=at.path,
        rule=at.rule,
        reason=at.reason,
        runs_on=placed.runs_on,
        needs=_with_measured(placed.needs, figures.measured.records),
        budget_ms=placed.budget_ms,
        p50_ms=None if latency is None else latency.p50_ms,
        p99_ms=None if latency is None else latency.p99_ms,
        count=0 if latency is None else latency.count,
        cpu_s=figures.cpu_s,
        trend=figures.trend,
        costs=figures.costs,
        proposal=_proposal(placed, figures.costs, moves_are),
        warning=at.reason if at.rule == "kind" else "",
        since_us=placed.since_us,
        moved_from=placed.moved_from,
        moves=tuple(moves),
    )


def stored_paths(reads: Reads, *, now_us: int) -> PathsPicture:
    """Where everything ran when the service ended, without figures."""
    moves = load_moves(reads)
    rows = tuple(
        path_row(p, UNMEASURED, [m for m in moves if m.name == p.name], moves_are="propose") for p in load_placements(reads).values()
    )
    return PathsPicture(at_us=now_us, moves="propose", rows=rows, counts=counts(rows))


def counts(rows: Sequence[PathRow]) -> dict[str, int]:
    """Path -> workloads on it."""
    return {path: sum(row.path == path for row in rows) for path in ("hot", "hybrid", "cold")}


def _with_measured(needs: Sequence[NeedRow], records: int | None) -> tuple[NeedRow, ...]:
    """With the number of records that was really looked at, where that is known."""
    if records is None:
        return tuple(needs)
    said = NeedRow(need="records", value=f"{records:,}", origin="measured")
    return tuple(said if n.need == "records" else n for n in needs)


def _proposal(placed: Placed, costs: Sequence[PathFigures], moves_are: str) -> Proposal | None:
    wanted, since_us = placed.placement.wanted, placed.placement.wanted_us
    if wanted is None or since_us is None:
        return None
    return Proposal(
        path=wanted.path,
        rule=wanted.rule,
        reason=wanted.reason,
        expected=_expected(placed.placement.path, wanted.path, costs),
        since_us=since_us,
        made_us=round(since_us + SETTLE_S * US_PER_S) if moves_are == "make" else None,
    )


def _expected(here: str, there: str, costs: Sequence[PathFigures]) -> str:
    """What both cost a day, as far as that is known."""
    known = {c.path: c.cpu_s_day for c in costs if c.cpu_s_day is not None}
    now = f"now {known[here]:.3g} CPU seconds a day" if here in known else "its cost now is not measured yet"
    then = f"{known[there]:.3g} on {there}" if there in known else f"on {there} not measured: appliance cost says how to try it"
    return f"{now}, {then}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
