"""From a table to what a chart draws: series of points, split by columns of text. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Literal

from appliance.clock import US_PER_S
from appliance.cold.batch.reports.document import Chart, ChartKind
from appliance.cold.batch.reports.values import Cell, Table
from appliance.errors import UsageRefused

SERIES_MAX: Final = 12
"""More can't be told apart; the rest is counted."""
_GAP: Final = 3.0
"""A line is broken where the next point is further away than so many times the usual step."""
Axis = Literal["time", "number", "category"]
Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one colour."""

    name: str
    points: tuple[Point, ...]
    """By rising x; ``None`` breaks the line."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Everything that a picture needs."""

    kind: ChartKind
    axis: Axis
    series: tuple[Series, ...]
    categories: tuple[str, ...] = ()
    """Of a category axis: x is a place in them."""
    unit: str = ""
    others: int = 0
    """Series that are not drawn."""

    @property
    def is_empty(self) -> bool:
        return not any(y is not None for s in self.series for _, y in s.points)


def drawn(table: Table, chart: Chart) -> Drawn:
    """What ``chart`` shows of a table. Raises ``UsageRefused`` where a column is missing or none holds numbers."""
    places = {c.name.lower(): at for at, c in enumerate(table.columns)}

    def place(name: str) -> int:
        if name.lower() not in places:
            raise UsageRefused(f"the chart names the column {name!r}; there are {', '.join(c.name for c in table.columns)}")
        return places[name.lower()]

    if not table.columns:
        raise UsageRefused("the chart has no column")
    x = place(chart.x) if chart.x else 0
    y = [place(n) for n in chart.y] or [at for at, c in enumerate(table.columns) if c.kind == "number" and at != x]
    by = [place(n) for n in chart.by] or [
        at for at, c in enumerate(table.columns) if c.kind in ("text", "bool") and at != x and at not in y
    ]
    wrong = [table.columns[at].name for at in y if table.columns[at].kind != "number"]
    if wrong or not y:
        raise UsageRefused(f"the chart needs a column of numbers{f': {wrong[0]!r} holds none' if wrong else ''}")
    kind = table.columns[x].kind
    axis: Axis = (
        "category" if kind in ("text", "bool") or (chart.kind == "bar" and kind != "time") else "number" if kind == "number" else "time"
    )
    found = _split(table, x, y, by)
    categories: tuple[str, ...] = ()
    if axis == "category":
        categories = tuple(dict.fromkeys(_word(row[x]) for row in table.rows))
        at = {word: float(place) for place, word in enumerate(categories)}
        lines = {name: [(at[_word(v)], n) for v, n in points] for name, points in found.items()}
    else:
        lines = {name: [(_place(v), n) for v, n in points if v is not None] for name, points in found.items()}
    series = [Series(name, _ordered(points, breaks=axis != "category" and chart.kind != "bar")) for name, points in lines.items()]
    return Drawn(chart.kind, axis, tuple(series[:SERIES_MAX]), categories, chart.unit, max(0, len(series) - SERIES_MAX))


def _split(table: Table, x: int, y: list[int], by: list[int]) -> dict[str, list[tuple[Cell, float | None]]]:
    found: dict[str, list[tuple[Cell, float | None]]] = {}
    for row in table.rows:
        group = ", ".join(_word(row[at]) for at in by)
        for at in y:
            column = table.columns[at].name
            name = column if not by else group if len(y) == 1 else f"{group} {column}"
            value = row[at]
            number = float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
            found.setdefault(name, []).append((row[x], number))
    return found


def _ordered(points: list[tuple[float, float | None]], *, breaks: bool) -> tuple[Point, ...]:
    points = sorted(points, key=lambda p: p[0])
    steps = sorted(b[0] - a[0] for a, b in pairwise(points) if b[0] > a[0])
    if not breaks or len(steps) < 2:
        return tuple(points)
    usual = steps[len(steps) // 2]
    out: list[Point] = []
    for at, point in enumerate(points):
        if at and point[0] - points[at - 1][0] > _GAP * usual:
            out.append(((point[0] + points[at - 1][0]) / 2, None))
        out.append(point)
    return tuple(out)


def _place(value: Cell) -> float:
    if isinstance(value, str):  # a date: its midnight in UTC, as it has no zone
        return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp() * US_PER_S
    return float(value or 0)


def _word(value: Cell) -> str:
    return "–" if value is None else str(value)
