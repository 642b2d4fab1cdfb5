"""A chart as one SVG text: no script, no font, no file. Lines, areas and bars, a legend, axes in the node's time zone. Pure.

Colours stand as attributes, so that any viewer draws it, and have classes, so that the page's style can turn them for a dark screen.
Many points of one line are drawn as the lowest and highest of each pixel, so nothing that sticks out is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from html import escape
from itertools import pairwise
from typing import Final

from appliance.cold.batch.reports.scales import Mark, number_marks, number_word, time_marks
from appliance.cold.batch.reports.series import Drawn, Point, Series
from appliance.cold.batch.reports.words import safe

COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a17600", "#3a9bd6", "#7f3fbf", "#555555", "#b22222", "#2e8b57", "#8b5a2b", "#6a5acd",
)  # fmt: skip
"""The first ones after Okabe and Ito's palette, which those who see few colours can tell apart."""
INK, FAINT = "#444444", "#d8d8d8"
FONT: Final = 11
_CHAR: Final = 6.2
"""About the width of a character of ``FONT``."""
_NAME_CHARS_MAX: Final = 26
_ROW: Final = 16


@dataclass(frozen=True, slots=True)
class _Frame:
    """The area of the plot, and how values become places in it."""

    left: float
    top: float
    right: float
    bottom: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return self.left + (value - self.x_low) / (self.x_high - self.x_low or 1) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.y_low) / (self.y_high - self.y_low or 1) * (self.bottom - self.top)


def svg(
    chart: Drawn, *, width: int, height: int, zone: tzinfo, label: str, span_us: tuple[int, int] | None = None, classes: str = ""
) -> str:
    """The whole element. ``label`` says what it is to those who can't see it; ``span_us``: what a time axis covers at least, closed."""
    legend = _legend(chart, width)
    top = 8 + _ROW * (max((row for row, *_ in legend), default=-1) + 1) + (_ROW + 6 if chart.unit else 6)
    values = [y for s in chart.series for _, y in s.points if y is not None] or [0.0, 1.0]
    low, high = min(values), max(values)
    if chart.kind != "line" or 0 <= low < 0.6 * high:
        low, high = min(low, 0.0), max(high, 0.0)
    marks = number_marks(low, high, count=max(2, int((height - top) / 42)))
    step = marks[1] - marks[0]
    words = [number_word(m, step) for m in marks]
    left = 10 + max(len(w) for w in words) * _CHAR
    x_low, x_high = _reach(chart, span_us)
    frame = _Frame(left, top, width - 12, height - 26, x_low, x_high, marks[0], marks[-1])
    body = [
        *_grid(frame, marks, words),
        *_x_axis(chart, frame, zone),
        *(_bars(chart, frame) if chart.kind == "bar" else _lines(chart, frame)),
        *_legend_shapes(legend),
    ]
    if chart.unit:
        body.append(_text(6, top - 12, safe(chart.unit), anchor="start"))
    kinds = f"chart {classes}".strip()
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kinds}" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" aria-label="{escape(safe(label))}" font-family="system-ui, sans-serif" font-size="{FONT}">'
    )
    return f"{head}<title>{escape(safe(label))}</title>{''.join(body)}</svg>"


def _reach(chart: Drawn, span_us: tuple[int, int] | None) -> tuple[float, float]:
    if chart.axis == "category":
        return -0.5, max(0, len(chart.categories) - 1) + 0.5
    xs = [x for s in chart.series for x, _ in s.points]
    if chart.axis == "time" and span_us is not None:
        xs += span_us
    if not xs:
        return 0.0, 1.0
    low, high = min(xs), max(xs)
    if chart.kind == "bar":  # half a bar on both sides
        half = _step(chart) / 2
        low, high = low - half, high + half
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _grid(frame: _Frame, marks: Sequence[float], words: Sequence[str]) -> Iterator[str]:
    for mark, word in zip(marks, words, strict=True):
        y = frame.y(mark)
        yield f'<path class="grid" d="M{frame.left:.1f} {y:.1f}H{frame.right:.1f}" stroke="{FAINT}" fill="none"/>'
        yield _text(frame.left - 5, y + 4, word, anchor="end")


def _x_axis(chart: Drawn, frame: _Frame, zone: tzinfo) -> Iterator[str]:
    room = frame.right - frame.left
    if chart.axis == "time":
        marks = time_marks(int(frame.x_low), int(frame.x_high), zone, count=max(2, int(room / 72)))
    elif chart.axis == "number":
        found = [m for m in number_marks(frame.x_low, frame.x_high, count=max(2, int(room / 70))) if frame.x_low <= m <= frame.x_high]
        marks = [(m, number_word(m, found[1] - found[0] if len(found) > 1 else 1)) for m in found]
    else:
        marks = _category_marks(chart.categories, room)
    for at, word in marks:
        x = frame.x(at)
        yield f'<path class="grid" d="M{x:.1f} {frame.bottom:.1f}v4" stroke="{INK}" fill="none"/>'
        half = len(word) * _CHAR / 2
        yield _text(min(max(x, half), frame.right + 12 - half), frame.bottom + 17, word, anchor="middle")
    yield f'<path class="axis" d="M{frame.left:.1f} {frame.bottom:.1f}H{frame.right:.1f}" stroke="{INK}" fill="none"/>'


def _category_marks(names: Sequence[str], room: float) -> list[Mark]:
    """As many names as fit, cut to their room."""
    if not names:
        return []
    longest = min(max(map(len, names)), 14) + 1
    each = max(1, -(-int(len(names) * longest * _CHAR) // max(1, int(room))))
    chars = max(2, int(room / len(names) * each / _CHAR) - 1)
    return [(at, _short(name, chars)) for at, name in enumerate(names) if at % each == 0]


def _lines(chart: Drawn, frame: _Frame) -> Iterator[str]:
    zero = frame.y(min(max(0.0, frame.y_low), frame.y_high))
    for number, series in enumerate(chart.series):
        for run in _runs(series):
            places = _thinned([(frame.x(x), frame.y(y)) for x, y in run])
            path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            if len(places) == 1:
                yield f'<circle class="s{number} dot" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="2.5" fill="{_colour(number)}"/>'
                continue
            if chart.kind == "area":
                closed = f"{path}L{places[-1][0]:.1f} {zero:.1f}L{places[0][0]:.1f} {zero:.1f}Z"
                yield f'<path class="s{number} area" d="{closed}" fill="{_colour(number)}" fill-opacity="0.22" stroke="none"/>'
            yield (
                f'<path class="s{number} line" d="{path}" fill="none" stroke="{_colour(number)}" stroke-width="1.6"'
                ' stroke-linejoin="round" stroke-linecap="round"/>'
            )


def _runs(series: Series) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for x, y in (*series.points, (0.0, None)):
        if y is not None:
            run.append((x, y))
        elif run:
            yield run
            run = []


def _thinned(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of each pixel column the first, the lowest, the highest and the last point."""
    if len(places) <= 1_500:
        return places
    columns: dict[int, list[tuple[float, float]]] = {}
    for place in places:
        columns.setdefault(int(place[0]), []).append(place)
    out: list[tuple[float, float]] = []
    for column in columns.values():
        wanted = {
            0,
            len(column) - 1,
            min(range(len(column)), key=lambda i: column[i][1]),
            max(range(len(column)), key=lambda i: column[i][1]),
        }
        out += [column[i] for i in sorted(wanted)]
    return out


def _bars(chart: Drawn, frame: _Frame) -> Iterator[str]:
    """Beside each other, all from zero."""
    room = abs(frame.x(_step(chart)) - frame.x(0.0)) * 0.8
    each = max(0.5, room / max(1, len(chart.series)))
    zero = frame.y(min(max(0.0, frame.y_low), frame.y_high))
    for number, series in enumerate(chart.series):
        shapes = [_bar(frame, point, number * each - room / 2, each, zero) for point in series.points]
        path = "".join(s for s in shapes if s)
        if path:
            yield f'<path class="s{number} bar" d="{path}" fill="{_colour(number)}"/>'


def _bar(frame: _Frame, point: Point, shift: float, width: float, zero: float) -> str:
    x, value = point
    if value is None:
        return ""
    left, y = frame.x(x) + shift, frame.y(value)
    return f"M{left:.1f} {min(y, zero):.1f}h{max(0.4, width * 0.92):.1f}v{abs(zero - y):.1f}h{-max(0.4, width * 0.92):.1f}Z"


def _step(chart: Drawn) -> float:
    """The smallest distance of two places."""
    xs = sorted({x for s in chart.series for x, _ in s.points})
    return 1.0 if chart.axis == "category" else min((b - a for a, b in pairwise(xs)), default=1.0)


def _legend(chart: Drawn, width: int) -> list[tuple[int, float, int, str]]:
    """Row, place, number and name of each entry; none where there is one series without a name worth telling."""
    if len(chart.series) <= 1 and not chart.others:
        return []
    names = [_short(safe(s.name), _NAME_CHARS_MAX) for s in chart.series]
    entries = [*enumerate(names), *([(-1, f"and {chart.others} more")] if chart.others else [])]
    found: list[tuple[int, float, int, str]] = []
    row, x = 0, 8.0
    for number, name in entries:
        wide = 26 + len(name) * _CHAR
        if x > 8 and x + wide > width - 8:
            row, x = row + 1, 8.0
        found.append((row, x, number, name))
        x += wide
    return found


def _legend_shapes(legend: Sequence[tuple[int, float, int, str]]) -> Iterator[str]:
    for row, x, number, name in legend:
        y = 14 + row * _ROW
        if number >= 0:
            yield f'<path class="s{number} key" d="M{x:.1f} {y - 7}h12v6h-12Z" fill="{_colour(number)}"/>'
        yield _text(x + 16, y, name, anchor="start")


def _text(x: float, y: float, words: str, *, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{escape(words)}</text>'


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _short(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: max(1, chars - 1)] + "…"
