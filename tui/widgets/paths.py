"""The table of the paths screen: each workload, where it runs, how it keeps its budget, and what it costs."""

from __future__ import annotations

from appliance.observe.paths import PathRow
from tui import figures
from tui.look import Look, Span
from tui.widgets.plot import sparkline
from tui.widgets.table import TableColumn

_PATHS = ("hot", "hybrid", "cold")


def path_span(path: str, look: Look) -> Span:
    """The name of a path in its colour."""
    return look.safe(path), {"hot": look.paint.hot, "cold": look.paint.cold}.get(path, look.paint.accent)


def is_over(row: PathRow) -> bool:
    """Whether it misses its budget."""
    return row.p99_ms is not None and row.budget_ms is not None and row.p99_ms > row.budget_ms


def budget_state(row: PathRow) -> str:
    """``OK``, ``CRIT`` where the budget is missed, empty where nothing was measured."""
    return "" if row.p99_ms is None else "CRIT" if is_over(row) else "OK"


def _name(row: PathRow, _width: int, look: Look) -> Span:
    return look.safe(row.name), look.paint.text


def _rule(row: PathRow, _width: int, look: Look) -> Span:
    return look.safe(row.rule), look.paint.warn if row.warning else look.paint.dim


def _p99(row: PathRow, _width: int, look: Look) -> Span:
    state = budget_state(row)
    return f"{look.symbols.state(state)} {figures.millis(row.p99_ms)}", look.paint.state(state) if state else look.paint.faint


def _budget(row: PathRow, _width: int, look: Look) -> Span:
    return "" if row.budget_ms is None else figures.span(round(row.budget_ms * 1_000)), look.paint.dim


def _part(row: PathRow, width: int, look: Look) -> Span:
    """How much of its budget the p99 takes, as a bar that ends where the budget does."""
    if row.p99_ms is None or not row.budget_ms:
        return "", look.paint.faint
    (bar, _), (rest, _) = look.gauge(min(1.0, row.p99_ms / row.budget_ms), width, look.paint.ok)
    return bar + rest, look.paint.crit if is_over(row) else look.paint.ok


def _cpu(row: PathRow, _width: int, look: Look) -> Span:
    return ("" if row.cpu_s is None else f"{row.cpu_s:.1f} s" if row.cpu_s < 100 else f"{row.cpu_s:,.0f} s"), look.paint.text


def _trend(row: PathRow, width: int, look: Look) -> Span:
    return sparkline(tuple(round(s * 1_000) for s in row.trend), width, end_s=0, symbols=look.symbols), look.paint.ramp[4]


def _why(row: PathRow, _width: int, look: Look) -> Span:
    if row.proposal is not None:
        return look.safe(f"{look.symbols.rising} to {row.proposal.path}: {row.proposal.reason}"), look.paint.warn
    return look.safe(row.reason), look.paint.warn if row.warning else look.paint.dim


PATH_COLUMNS: tuple[TableColumn[PathRow], ...] = (
    TableColumn("path", "path", 6, lambda r, _w, look: path_span(r.path, look), lambda r: (_order(r.path), r.name), right=False),
    TableColumn("name", "workload", 14, _name, lambda r: r.name.casefold(), right=False, grow=8),
    TableColumn("kind", "kind", 7, lambda r, _w, look: (look.safe(r.kind), look.paint.dim), lambda r: r.kind, right=False, drop=4),
    TableColumn("rule", "rule", 8, _rule, lambda r: r.rule, right=False),
    TableColumn("p99", "p99", 9, _p99, lambda r: None if r.p99_ms is None else -r.p99_ms),
    TableColumn("budget", "budget", 6, _budget, lambda r: r.budget_ms),
    TableColumn("part", "of it", 8, _part, lambda r: -(r.p99_ms or 0) / (r.budget_ms or 1), right=False, drop=3),
    TableColumn("cpu", "cpu", 7, _cpu, lambda r: None if r.cpu_s is None else -r.cpu_s),
    TableColumn("trend", "1 h", 6, _trend, lambda r: -(r.trend[-1] if r.trend else 0), right=False, drop=2),
    TableColumn("why", "why", 12, _why, lambda r: r.proposal is None, right=False, grow=80, drop=1),
)


def _order(path: str) -> int:
    return _PATHS.index(path) if path in _PATHS else len(_PATHS)
