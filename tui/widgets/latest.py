"""The rows and columns of the table of last values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tui import figures
from tui.client import ColumnInfo
from tui.look import Look, Span
from tui.safe import cells
from tui.widgets.table import TableColumn

US_PER_S = 1_000_000
_CELLS_MIN, _CELLS_MAX = {True: 4, False: 11}, {True: 24, False: 20}
"""Of a tag (True) and of a field; in between a column is as wide as its widest value so far."""
_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class LatestRow:
    """The last value of one series; ``name`` is made of its tags."""

    name: str
    ts_us: int | None
    values: Mapping[str, Any]


def latest_rows(objects: Sequence[Mapping[str, Any]], columns: Sequence[ColumnInfo]) -> list[LatestRow]:
    """One row an object of the service's answer."""
    tags = [c.name for c in columns if c.kind == "tag"]
    return [LatestRow(" ".join(str(o.get(t)) for t in tags), _instant(o.get("ts")), o) for o in objects]


def latest_columns(columns: Sequence[ColumnInfo], chosen: str | None, widths: Mapping[str, int]) -> list[TableColumn[LatestRow]]:
    """Age, tags, the chosen column, the other fields; the last ones go first where there is no room."""
    tags = [c for c in columns if c.kind == "tag"]
    fields = sorted((c for c in columns if c.kind != "tag"), key=lambda c: c.name != chosen)
    out: list[TableColumn[LatestRow]] = [TableColumn("age", "age", 7, _age, lambda r: None if r.ts_us is None else -r.ts_us)]
    return out + [_column(c, widths.get(c.name, 0), chosen=c.name == chosen, drop=place) for place, c in enumerate(tags + fields)]


def widen(widths: dict[str, int], rows: Sequence[LatestRow], columns: Sequence[ColumnInfo], look: Look) -> None:
    """Makes ``widths`` large enough for the values; they never shrink, or the table would jump about."""
    for column in columns:
        tag = column.kind == "tag"
        widest = max((cells(value_text(r.values.get(column.name), look)) for r in rows), default=0)
        fitting = max(_CELLS_MIN[tag], min(_CELLS_MAX[tag], max(widest, len(column.name) + 1)))
        widths[column.name] = max(widths.get(column.name, 0), fitting)


def value_text(value: Any, look: Look) -> str:
    """A value as text that is safe: floats to six digits, at most some hundred characters."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return look.safe(str(value)[:_CHARS_MAX])


def _age(row: LatestRow, _width: int, look: Look) -> Span:
    return figures.age(None if row.ts_us is None else look.now_us - row.ts_us), look.paint.dim


def _column(column: ColumnInfo, width: int, *, chosen: bool, drop: int) -> TableColumn[LatestRow]:
    name, tag = column.name, column.kind == "tag"

    def cell(row: LatestRow, _width: int, look: Look) -> Span:
        paint = look.paint
        return value_text(row.values.get(name), look), paint.text if tag else paint.bold if chosen else paint.dim

    def order(row: LatestRow) -> Any:
        value = row.values.get(name)
        return str(value) if value is not None and column.kind in ("text", "tag") else value

    left = column.kind in ("text", "tag")
    return TableColumn(f"{'tag' if tag else 'field'} {name}", name, max(width, 4), cell, order, right=not left, drop=drop)


def _instant(value: Any) -> int | None:
    """Microseconds of an ISO time or of a number that is already; None when it is neither."""
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * US_PER_S)
