"""The columns of the table of streams."""

from __future__ import annotations

from appliance.observe.status import StreamStatus
from tui import figures
from tui.look import Look, Span
from tui.widgets.plot import sparkline
from tui.widgets.table import TableColumn

US_PER_S = 1_000_000


def _name(s: StreamStatus, _width: int, look: Look) -> Span:
    return look.safe(s.name), look.paint.text


def _rate(s: StreamStatus, _width: int, look: Look) -> Span:
    return figures.rate(s.rate), look.paint.bold if s.rate > 0 else look.paint.faint


def _history(s: StreamStatus, width: int, look: Look) -> Span:
    return sparkline(s.history, width, end_s=look.as_of_us // US_PER_S, symbols=look.symbols), look.paint.ramp[4]


def _last(s: StreamStatus, _width: int, look: Look) -> Span:
    return figures.moment(s.last_ts_us, now_us=look.now_us), look.paint.dim


def _age(s: StreamStatus, _width: int, look: Look) -> Span:
    span = None if s.last_ts_us is None else look.now_us - s.last_ts_us
    return figures.age(span), look.paint.text if s.rate > 0 else look.paint.dim


def _hot(s: StreamStatus, _width: int, look: Look) -> Span:
    return figures.count(s.hot_rows), look.paint.hot if s.hot_rows else look.paint.faint


def _cold(s: StreamStatus, _width: int, look: Look) -> Span:
    return figures.count(s.cold_rows), look.paint.cold if s.cold_rows else look.paint.faint


def _series(s: StreamStatus, _width: int, look: Look) -> Span:
    return figures.count(s.series), look.paint.dim


def _dirty(s: StreamStatus, _width: int, look: Look) -> Span:
    return (figures.count(s.dirty_days), look.paint.warn) if s.dirty_days else ("0", look.paint.faint)


STREAM_COLUMNS: tuple[TableColumn[StreamStatus], ...] = (
    TableColumn("name", "stream", 14, _name, lambda s: s.name.casefold(), right=False, grow=14),
    TableColumn("rate", "rec/s", 5, _rate, lambda s: s.rate),
    TableColumn("history", "history", 8, _history, lambda s: s.history[-1] if s.history else 0, right=False, grow=32, drop=1),
    TableColumn("last", "last", 8, _last, lambda s: s.last_ts_us, drop=4),
    TableColumn("age", "age", 6, _age, lambda s: None if s.last_ts_us is None else -s.last_ts_us),
    TableColumn("hot", "hot", 5, _hot, lambda s: s.hot_rows),
    TableColumn("cold", "cold", 5, _cold, lambda s: s.cold_rows),
    TableColumn("series", "series", 6, _series, lambda s: s.series, drop=3),
    TableColumn("dirty", "dirty", 5, _dirty, lambda s: s.dirty_days, drop=2),
)
"""Dirty days are those whose records may have twins that the next compaction removes."""
