"""From Arrow to plain cells, and from cells to what people and programs read. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from typing import Any, Final

import pyarrow as pa

from appliance.clock import US_PER_S, iso
from appliance.cold.batch.reports.values import Cell, CellKind, Column, Table

CELL_CHARS_MAX: Final = 2_000
"""Of one cell; what is longer is cut with "…"."""


def table_of(found: pa.Table, *, rows_max: int, rows: int) -> Table:
    """The first ``rows_max`` rows of a result of ``rows``; what has no plain form (lists, structs, intervals) becomes text."""
    shown = found.slice(0, rows_max)
    columns: list[Column] = []
    cells: list[list[Cell]] = []
    for name, column in zip(found.column_names, shown.columns, strict=True):
        kind, values = _cells(column)
        columns.append(Column(name, kind))
        cells.append(values)
    return Table(tuple(columns), tuple(zip(*cells, strict=True)) if cells else (), rows - shown.num_rows)


def plain_table(names: Sequence[tuple[str, CellKind]], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table made by hand."""
    return Table(tuple(Column(name, kind) for name, kind in names), tuple(tuple(row) for row in rows))


def shown_cell(value: Cell, kind: CellKind, zone: tzinfo) -> str:
    """A cell for people: times in their zone to the second, numbers to six digits, nothing as "–"."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if kind == "time" and isinstance(value, int):
        return local_time(value, zone)
    if isinstance(value, float):
        return shown_number(value)
    return f"{value:,}".replace(",", " ") if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def shown_number(value: float) -> str:
    """Six digits; large ones whole, in groups of three."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 10_000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.6g}" if value == 0 or abs(value) >= 1e-4 else f"{value:.3g}"


def local_time(at_us: int, zone: tzinfo) -> str:
    """``2026-11-21 14:03:05`` in a zone; with ``+01:00`` behind it only in JSON and CSV, which have UTC."""
    return datetime.fromtimestamp(at_us // US_PER_S, zone).strftime("%Y-%m-%d %H:%M:%S")


def plain_cell(value: Cell, kind: CellKind) -> Cell:
    """A cell for programs: times as ISO 8601 in UTC with ``Z``; what JSON has no number for is null."""
    if kind == "time" and isinstance(value, int):
        return iso(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cells(column: pa.ChunkedArray) -> tuple[CellKind, list[Cell]]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _cells(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        return "time", column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).to_pylist()
    if pa.types.is_boolean(kind):
        return "bool", column.to_pylist()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number", column.to_pylist()
    if pa.types.is_decimal(kind):
        return "number", [None if v is None else int(v) if v == v.to_integral_value() else float(v) for v in column.to_pylist()]
    if pa.types.is_date(kind):
        return "date", [None if v is None else v.isoformat() for v in column.to_pylist()]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text", [None if v is None else _cut(v) for v in column.to_pylist()]
    return "text", [None if v is None else _cut(_words(v)) for v in column.to_pylist()]


def _words(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(value, ensure_ascii=False, default=_words)
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 1] + "…"
