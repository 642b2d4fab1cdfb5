"""The live chart: buckets in, an axis and braille out, on the line API. What is drawn where is decided in ``plot.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from rich.style import Style
from textual.binding import BindingType
from textual.message import Message

from tui import figures
from tui.actions import PAN, Group, bindings
from tui.look import Line, Look
from tui.safe import cells
from tui.widgets import plot
from tui.widgets.lines import LinesWidget
from tui.widgets.plot import Buckets, Extent, Window

_AXIS_CELLS = 7
_ROWS_MIN = 2
_USUAL_SPAN_US = 120_000_000


@dataclass(frozen=True, slots=True)
class View:
    """Which time a chart shows: ``cell_us`` a cell (None: the usual span), up to the newest data or up to ``end_us`` when that is set."""

    cell_us: int | None = None
    end_us: int | None = None


class Chart(LinesWidget, can_focus=True):
    """One series. ``filled`` draws the area from zero (rates), else a line within the range of the values.

    It posts ``ViewChanged`` when it was zoomed or moved, for what it shows may have to be asked for.
    """

    ACTIONS: ClassVar[Group] = PAN
    BINDINGS: ClassVar[list[BindingType]] = bindings(PAN)

    class ViewChanged(Message):
        """The chart wants to show another time."""

        def __init__(self, view: View) -> None:
            super().__init__()
            self.view = view

    def __init__(self, *, filled: bool, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.filled = filled
        self.view = View()
        self.usual_span_us = _USUAL_SPAN_US
        """What it shows as long as nobody zooms."""
        self._buckets: Buckets | None = None
        self._end_us = 0
        self._look: Look | None = None
        self._threshold: float | None = None
        self._why_empty = "waiting for the first data"
        self._top = 0.0
        self._range: tuple[float, float] | None = None
        self._drawn: object = None
        self._drawn_from: Buckets | None = None

    @property
    def cells(self) -> int:
        """How many cells of time there is room for."""
        return max(1, self.size.width - _AXIS_CELLS)

    @property
    def cell_us(self) -> int:
        """The time of one cell."""
        if self.view.cell_us is not None:
            return self.view.cell_us
        return next((s for s in plot.CELL_STEPS_US if s * self.cells >= self.usual_span_us), plot.CELL_STEPS_US[-1])

    @property
    def span_us(self) -> int:
        """The time from the left to the right edge."""
        return self.cells * self.cell_us

    @property
    def window(self) -> Window:
        """The time shown, on whole cells."""
        return plot.window_up_to(self.view.end_us or self._end_us, cell_us=self.cell_us, cells=self.cells)

    def show_series(
        self,
        buckets: Buckets | None,
        look: Look,
        *,
        end_us: int,
        why_empty: str = "no data in this time",
        threshold: float | None = None,
    ) -> None:
        """Draws ``buckets`` up to ``end_us`` (the newest time there is). None draws ``why_empty``, which may be foreign text.

        ``threshold`` is drawn as a level line, and the axis reaches it.
        """
        self._buckets, self._look, self._end_us, self._why_empty = buckets, look, end_us, why_empty
        self._threshold = threshold if threshold is not None and math.isfinite(threshold) else None
        self._draw()

    def forget_scale(self) -> None:
        """The next series is another one: its axis starts afresh."""
        self._top, self._range, self._drawn = 0.0, None, None

    def set_view(self, view: View) -> None:
        """Shows another time and says so."""
        self.view = view
        self._draw()
        self.post_message(self.ViewChanged(view))

    def zoom(self, step: int) -> None:
        """More (positive) or less time a cell."""
        steps = plot.CELL_STEPS_US
        at = max(0, min(len(steps) - 1, steps.index(self.cell_us) + step))
        self.set_view(View(steps[at], self.view.end_us))

    def pan(self, cells: int) -> None:
        """Moves by cells; moving to the newest data follows it again."""
        end = (self.view.end_us or self._end_us) + cells * self.cell_us
        self.set_view(View(self.view.cell_us, None if end >= self._end_us else end))

    def on_resize(self) -> None:
        """Draws for the new size."""
        self._drawn = None
        self._draw()
        self.post_message(self.ViewChanged(self.view))

    def _draw(self) -> None:
        look, rows = self._look, self.size.height - 1
        if look is None or rows < 1 or self.size.width <= _AXIS_CELLS + 1:
            return
        picture = (self.window, self.size, look.paint, look.symbols.name, self._why_empty, self._threshold)
        if picture == self._drawn and self._buckets is self._drawn_from:
            return
        self._drawn, self._drawn_from = picture, self._buckets
        extents: list[Extent | None] = []
        if self._buckets is not None:
            extents = plot.columns(self._buckets, self.window, dots_x=look.symbols.dots_x)
        found = [e for e in extents if e is not None]
        self.show_lines(self._graph(extents, found, look, rows) if found else self._empty(look, rows))

    def _graph(self, extents: list[Extent | None], found: list[Extent], look: Look, rows: int) -> list[Line]:
        symbols, line_at = look.symbols, self._threshold
        reached = [] if line_at is None else [line_at]
        highest = max([e.high for e in found] + reached)
        if self.filled:
            self._top = plot.top_of(highest, before=self._top)
            low, high = 0.0, self._top
            body = plot.area(extents, rows=rows, top=high, symbols=symbols)
        else:
            self._range = low, high = plot.range_of(min([e.low for e in found] + reached), highest, before=self._range)
            body = plot.line(extents, rows=rows, bottom=low, top=high, symbols=symbols)
        ramp = look.paint.ramp
        level = None if line_at is None else plot.threshold(line_at, rows=rows, bottom=low, top=high, symbols=symbols)
        marked = {y: (value, look.paint.dim) for y, value in _ticks(low, high, rows=rows, filled=self.filled).items()}
        if level is not None and line_at is not None:
            marked = {y: mark for y, mark in marked.items() if abs(y - level[0]) > 1} | {level[0]: (line_at, look.paint.warn)}
        out: list[Line] = []
        for y, text in enumerate(body):
            value, ink = marked.get(y, (None, look.paint.dim))
            label = " " * (_AXIS_CELLS - 1) if value is None else look.fit(figures.axis(value), _AXIS_CELLS - 2, right=True) + " "
            edge = symbols.axis if value is None else symbols.tick
            style = ramp[round((rows - 1 - y) * (len(ramp) - 1) / max(1, rows - 1))] if self.filled else look.paint.accent
            drawn = ((text, style),) if level is None or level[0] != y else _over(text, style, level[1], look)
            out.append(((label, ink), (edge, look.paint.faint), *drawn))
        return [*out, self._time_line(look)]

    def _empty(self, look: Look, rows: int) -> list[Line]:
        blank: Line = ((" " * (_AXIS_CELLS - 1), look.paint.dim), (look.symbols.axis, look.paint.faint))
        out = [blank] * rows
        why = look.safe(self._why_empty)
        text = look.fit(why, min(cells(why), self.cells))
        out[rows // 2] = (*blank, (" " * max(1, (self.cells - cells(text)) // 2), look.paint.dim), (text, look.paint.dim))
        return [*out, self._time_line(look)]

    def _time_line(self, look: Look) -> Line:
        labels = plot.time_axis(self.window, mark=look.symbols.mark)
        return ((" " * _AXIS_CELLS, look.paint.dim), (labels, look.paint.dim))

    def action_pan_left(self) -> None:
        self.pan(-max(1, self.cells // 8))

    def action_pan_right(self) -> None:
        self.pan(max(1, self.cells // 8))

    def action_oldest(self) -> None:
        if self._buckets is not None and self._buckets.start_us + self.span_us < self._end_us:
            self.set_view(View(self.view.cell_us, self._buckets.start_us + self.span_us))

    def action_newest(self) -> None:
        self.set_view(View(self.view.cell_us))


def _ticks(low: float, high: float, *, rows: int, filled: bool) -> dict[int, float]:
    """Row -> value of the labels beside the axis: both ends, and in between as many halves as there is room for."""
    parts = 4 if rows >= 13 else 2 if rows >= 5 else 1
    out = {}
    for part in range(parts + 1):
        at = rows * part / parts - 0.5 if filled else (rows - 1) * part / parts
        out[max(0, min(rows - 1, round(at)))] = high - (high - low) * part / parts
    return out


def _over(text: str, style: Style, glyph: str, look: Look) -> Line:
    """A row of the graph with the level line wherever the graph has nothing."""
    return tuple(
        (glyph * len(run), look.paint.warn) if is_blank else (run, style)
        for is_blank, run in ((is_blank, "".join(chars)) for is_blank, chars in groupby(text, key=lambda c: c == " "))
    )
