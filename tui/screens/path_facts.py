"""What there is to tell of the chosen workload of the paths screen, as lines for a panel. None of these functions knows a widget."""

from __future__ import annotations

from rich.style import Style

from appliance.observe.paths import PathFigures, PathRow
from tui import figures
from tui.look import Line, Look
from tui.widgets.labelled import Labelled
from tui.widgets.paths import budget_state, path_span

_fact = Labelled(cells=9, lines_max=4).fact


def facts(row: PathRow | None, look: Look, width: int) -> list[Line]:
    """The lines for one workload; the weightiest first."""
    if row is None:
        return []
    lines: list[Line] = [
        (path_span(row.path, look), (f"  {look.safe(row.kind)} {look.safe(row.name)}", look.paint.bold), _since(row, look)),
    ]
    lines += _fact(row.rule, row.reason, look, width, look.paint.warn if row.warning else None)
    if row.proposal is not None:
        made_us = row.proposal.made_us
        when = "" if made_us is None else f"; made in {figures.span(max(0, made_us - look.now_us))}"
        told = f"to {row.proposal.path}: {row.proposal.reason}; {row.proposal.expected}{when}"
        lines += _fact("proposal", told, look, width, look.paint.warn)
    lines += _fact("latency", _latency(row), look, width, look.paint.crit if budget_state(row) == "CRIT" else None)
    lines += _fact("needs", ", ".join(f"{n.need} {n.value}{_ORIGINS.get(n.origin, '')}" for n in row.needs), look, width)
    for cost in row.costs:
        lines += _fact("cost" if cost is row.costs[0] else " ", _cost(cost), look, width)
    for move in row.moves:
        told = f"{figures.moment(move.at_us, now_us=look.now_us)} from {move.moved_from} to {move.path} ({move.cause}): {move.reason}"
        lines += _fact("moved" if move is row.moves[0] else " ", told, look, width, look.paint.dim)
    return lines


_ORIGINS = {"config": " (config)", "measured": " (measured)"}


def _since(row: PathRow, look: Look) -> tuple[str, Style]:
    since = "" if row.since_us is None else f"  for {figures.span(max(0, look.now_us - row.since_us))}"
    return since + (f", before on {look.safe(row.moved_from)}" if row.moved_from else ""), look.paint.dim


def _latency(row: PathRow) -> str:
    budget = "" if row.budget_ms is None else f"budget {figures.span(round(row.budget_ms * 1_000))}"
    if row.p99_ms is None:
        return f"not measured in the last hour; {budget}"
    missed = ", missed" if budget_state(row) == "CRIT" else ""
    return f"p50 {figures.millis(row.p50_ms)}, p99 {figures.millis(row.p99_ms)} of {row.count:,} in the last hour; {budget}{missed}"


def _cost(cost: PathFigures) -> str:
    told = [
        "" if cost.cpu_s_day is None else f"{cost.cpu_s_day:,.0f} s of processor a day",
        "" if cost.read_day is None else f"{figures.size(round(cost.read_day))} read",
        "" if cost.written_day is None else f"{figures.size(round(cost.written_day))} written",
        "" if cost.p99_ms is None else f"p99 {figures.millis(cost.p99_ms)}",
        "by a trial run" if cost.is_trial else "",
    ]
    return f"on {cost.path}: " + ", ".join(part for part in told if part)
