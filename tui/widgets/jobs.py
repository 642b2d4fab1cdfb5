"""The tables of the jobs screen: the queue, the jobs, the history and the views."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from appliance.observe.jobs import JobRow, RunRow
from appliance.observe.views import ViewRow
from tui import figures
from tui.look import Look, Span
from tui.widgets.table import TableColumn

T = TypeVar("T")
US_PER_S = 1_000_000
_STATES = {"failed": "CRIT", "running": "OK", "waiting": "", "cancelled": "WARN", "done": "OK"}
"""State -> its glyph, the weightiest first."""


def run_name(row: RunRow) -> str:
    """What a run is called: a query in the background has no name of its own."""
    return row.name.lstrip("_")


def state_span(state: str, look: Look) -> Span:
    """Glyph and word."""
    grave = _STATES.get(state, "")
    style = {"running": look.paint.accent, "waiting": look.paint.text, "done": look.paint.ok}.get(state)
    return f"{look.symbols.state(grave)} {look.safe(state) or 'never ran'}", style or (look.paint.state(grave) if grave else look.paint.dim)


def took_us(row: RunRow, now_us: int) -> int | None:
    """How long the last attempt took, or takes so far; None before it."""
    if row.started_us is None or (row.ended_us is None and row.state != "running"):
        return None
    return max(0, (now_us if row.ended_us is None else row.ended_us) - row.started_us)


def words_of(row: RunRow, look: Look) -> str:
    """What it is at, what came of it, or why it failed."""
    if row.state == "waiting" and row.not_before_us > look.now_us:
        return look.safe(f"again in {figures.span(row.not_before_us - look.now_us)}: {row.error or 'interrupted'}")
    return look.safe(row.doing if row.state == "running" else row.error or row.words)


def _weight(state: str) -> int:
    return list(_STATES).index(state) if state in _STATES else len(_STATES)


def _words(
    name: str, title: str, width: int, get: Callable[[T], str], *, grow: int = 0, drop: int = 0, dim: bool = False
) -> TableColumn[T]:
    def cell(row: T, _width: int, look: Look) -> Span:
        return look.safe(get(row)), look.paint.dim if dim else look.paint.text

    return TableColumn(name, title, width, cell, lambda row: get(row).casefold(), right=False, grow=grow, drop=drop)


def _took(row: RunRow, _width: int, look: Look) -> Span:
    found = took_us(row, look.now_us)
    return ("" if found is None else figures.span(found)), look.paint.text


def _share(row: RunRow, width: int, look: Look) -> Span:
    if row.state != "running":
        return "", look.paint.dim
    if row.share is None:
        return look.symbols.ellipsis, look.paint.accent
    bar = look.gauge(row.share, max(1, width - 6), look.paint.accent)
    return f"{bar[0][0]}{bar[1][0]} {figures.share(row.share)}", look.paint.accent


def _size(get: Callable[[RunRow], int]) -> Callable[[RunRow, int, Look], Span]:
    return lambda row, _width, look: (figures.size(get(row)) if get(row) else "", look.paint.dim)


def _said(row: RunRow, _width: int, look: Look) -> Span:
    return words_of(row, look), look.paint.warn if row.error else look.paint.dim


def _cpu(row: RunRow, _width: int, look: Look) -> Span:
    return (f"{row.cpu_s:.1f} s" if row.cpu_s else ""), look.paint.dim


def _tries(row: RunRow, _width: int, look: Look) -> Span:
    return (str(row.attempt), look.paint.warn) if row.attempt > 1 else ("", look.paint.dim)


def _started(row: RunRow, _width: int, look: Look) -> Span:
    return figures.age(look.now_us - (row.started_us or row.queued_us)) if row.queued_us else "", look.paint.dim


QUEUE_COLUMNS: tuple[TableColumn[RunRow], ...] = (
    TableColumn(
        "state", "state", 9, lambda r, _w, look: state_span(r.state, look), lambda r: (r.state != "running", r.due_us, r.id), right=False
    ),
    _words("name", "name", 14, run_name, grow=10),
    TableColumn("share", "done", 12, _share, lambda r: -(r.share or 0), right=False),
    TableColumn("took", "for", 7, _took, lambda r: r.started_us or 0),
    _words("reason", "why", 10, lambda r: r.reason, drop=2, dim=True),
    _words("priority", "priority", 8, lambda r: r.priority, drop=4, dim=True),
    TableColumn("tries", "try", 3, _tries, lambda r: -r.attempt, drop=3),
    TableColumn("said", "at", 12, _said, lambda r: r.doing, right=False, grow=60, drop=1),
)
HISTORY_COLUMNS: tuple[TableColumn[RunRow], ...] = (
    TableColumn("age", "age", 7, _started, lambda r: -r.id),
    TableColumn("state", "state", 11, lambda r, _w, look: state_span(r.state, look), lambda r: _weight(r.state), right=False),
    _words("name", "name", 14, run_name, grow=8),
    TableColumn("took", "took", 7, _took, lambda r: -(took_us(r, 0) or 0)),
    TableColumn("cpu", "processor", 9, _cpu, lambda r: -r.cpu_s, drop=3),
    TableColumn("read", "read", 9, _size(lambda r: r.read_bytes), lambda r: -r.read_bytes, drop=4),
    TableColumn("written", "written", 9, _size(lambda r: r.written_bytes), lambda r: -r.written_bytes, drop=5),
    TableColumn(
        "rows", "rows", 6, lambda r, _w, look: (figures.count(r.rows) if r.rows else "", look.paint.text), lambda r: -r.rows, drop=2
    ),
    TableColumn("said", "what came of it", 14, _said, lambda r: r.words, right=False, grow=60, drop=1),
)


def _next(row: JobRow, _width: int, look: Look) -> Span:
    if row.rests_until_us is not None and row.rests_until_us > look.now_us:
        return f"rests {figures.span(row.rests_until_us - look.now_us)}", look.paint.warn
    if row.next_us is None:
        return "", look.paint.dim
    return (f"in {figures.span(row.next_us - look.now_us)}" if row.next_us > look.now_us else "now"), look.paint.text


def _last(row: JobRow, _width: int, look: Look) -> Span:
    return ("" if row.last_us is None else figures.age(look.now_us - row.last_us)), look.paint.dim


def _last_words(row: JobRow, _width: int, look: Look) -> Span:
    return look.safe(row.last_words), look.paint.warn if row.failures else look.paint.dim


JOB_COLUMNS: tuple[TableColumn[JobRow], ...] = (
    TableColumn("state", "state", 11, lambda r, _w, look: state_span(r.state, look), lambda r: _weight(r.state), right=False),
    _words("name", "name", 14, lambda r: r.name, grow=10),
    _words("kind", "kind", 8, lambda r: r.kind, drop=3, dim=True),
    TableColumn("next", "next", 11, _next, lambda r: r.next_us or 2**62),
    TableColumn("last", "last", 7, _last, lambda r: -(r.last_us or 0)),
    _words("when", "when", 12, lambda r: r.when, grow=8, drop=2, dim=True),
    TableColumn("words", "what came of it", 14, _last_words, lambda r: r.last_words, right=False, grow=60, drop=1),
)


def view_name(view: ViewRow) -> str:
    """Its name."""
    return view.name


def view_state(view: ViewRow, look: Look) -> Span:
    """Glyph and word, with the reason where there is one."""
    grave = {"ok": "OK", "unusable": "CRIT"}.get(view.state, "WARN" if view.reason else "")
    told = f"{view.state}: {view.reason}" if view.reason else view.state
    return f"{look.symbols.state(grave)} {look.safe(told)}", look.paint.state(grave) if grave else look.paint.text


def _fresh(view: ViewRow, _width: int, look: Look) -> Span:
    return ("" if view.fresh_until_us is None else figures.moment(view.fresh_until_us, now_us=look.now_us)), look.paint.text


def _refreshed(view: ViewRow, _width: int, look: Look) -> Span:
    return ("" if view.refreshed_us is None else figures.age(look.now_us - view.refreshed_us)), look.paint.dim


def _dirty(view: ViewRow, _width: int, look: Look) -> Span:
    return (figures.count(view.dirty_buckets), look.paint.warn) if view.dirty_buckets else ("0", look.paint.faint)


def _cost(view: ViewRow, _width: int, look: Look) -> Span:
    return ("" if view.cost_s is None else f"{view.cost_s:.2f} s"), look.paint.dim


VIEW_COLUMNS: tuple[TableColumn[ViewRow], ...] = (
    _words("name", "name", 14, view_name, grow=10),
    TableColumn("fresh", "fresh until", 11, _fresh, lambda v: -(v.fresh_until_us or 0)),
    TableColumn("dirty", "dirty", 6, _dirty, lambda v: -v.dirty_buckets),
    TableColumn("refresh", "refreshed", 9, _refreshed, lambda v: -(v.refreshed_us or 0)),
    TableColumn("cost", "cost", 8, _cost, lambda v: -(v.cost_s or 0), drop=3),
    TableColumn("size", "size", 9, lambda v, _w, look: (figures.size(v.bytes), look.paint.dim), lambda v: -v.bytes, drop=2),
    TableColumn("state", "state", 14, lambda v, _w, look: view_state(v, look), lambda v: v.state, right=False, grow=40),
)
