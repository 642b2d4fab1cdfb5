"""From buckets to cells: the pure half of the chart.

Time lies on an absolute grid of whole cells (a cell is ``cell_us`` wide and starts at a multiple of it), so that a picture drawn a
moment later differs from this one only in its newest cells, until the grid moves by one. Each column of dots keeps the smallest and
the largest value that fall into it; a column without data stays blank.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tui.figures import local
from tui.symbols import Symbols

S = 1_000_000
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
CELL_STEPS_US = (
    S, 2 * S, 5 * S, 10 * S, 20 * S, 30 * S, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 2 * DAY, 7 * DAY,
)  # fmt: skip
"""The widths of a cell that zooming chooses from."""
_LABEL_STEPS_US = (
    5 * S, 10 * S, 15 * S, 30 * S, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR,
    6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 364 * DAY, 1820 * DAY,
)  # fmt: skip


_NOTHING, _TINY = 1e-9, 1e-200
"""Differences below this part of the values, and values below this, are none: an axis can't resolve them."""
_DOTS_OF_BRAILLE = 4
_HELD_STEPS, _HELD_TIMES = 4, 8
_BUCKETS_MAX = 20_000


class Extent(NamedTuple):
    """The smallest and the largest value in a column of dots."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Buckets:
    """Values over time: bucket ``i`` is ``[start_us + i * step_us, start_us + (i + 1) * step_us)``; None is a gap."""

    start_us: int
    step_us: int
    low: Sequence[float | None]
    high: Sequence[float | None]

    @property
    def end_us(self) -> int:
        """Where the last bucket ends."""
        return self.start_us + len(self.high) * self.step_us


@dataclass(frozen=True, slots=True)
class Window:
    """The cells that a chart shows: ``cells`` of ``cell_us``, the first starting at ``from_us``, a multiple of ``cell_us``."""

    from_us: int
    cell_us: int
    cells: int

    @property
    def until_us(self) -> int:
        """Where the last cell ends."""
        return self.from_us + self.cells * self.cell_us


def window_up_to(end_us: int, *, cell_us: int, cells: int) -> Window:
    """The window whose last cell holds the instant just before ``end_us``."""
    last = -(-end_us // cell_us)
    return Window(from_us=(last - cells) * cell_us, cell_us=cell_us, cells=cells)


def columns(buckets: Buckets, window: Window, *, dots_x: int) -> list[Extent | None]:
    """The extent of each of ``window.cells * dots_x`` columns of dots; a bucket counts in each column that it touches."""
    dots = window.cells * dots_x
    out: list[Extent | None] = [None] * dots
    dot_us = window.cell_us / dots_x
    first = max(0, (window.from_us - buckets.start_us) // buckets.step_us)
    last = min(len(buckets.high), -(-(window.until_us - buckets.start_us) // buckets.step_us))
    for i in range(first, last):
        low, high = buckets.low[i], buckets.high[i]
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
            continue
        offset = buckets.start_us + i * buckets.step_us - window.from_us
        begin = max(0, int(offset // dot_us))
        end = min(dots, math.ceil((offset + buckets.step_us) / dot_us))
        for x in range(begin, end):
            had = out[x]
            out[x] = Extent(low, high) if had is None else Extent(min(had.low, low), max(had.high, high))
    return out


def area(extents: Sequence[Extent | None], *, rows: int, top: float, symbols: Symbols) -> list[str]:
    """A filled picture from zero up to the largest value of each column; rows from above. Anything above zero shows at least one dot."""
    dots = rows * symbols.dots_y
    scale = dots / top if top > 0 else 0.0
    masks = [0 if e is None or e.high <= 0 else (1 << max(1, min(dots, round(e.high * scale)))) - 1 for e in extents]
    return _cells(masks, rows=rows, symbols=symbols)


def line(extents: Sequence[Extent | None], *, rows: int, bottom: float, top: float, symbols: Symbols) -> list[str]:
    """A line from the smallest to the largest value of each column, joined with the column before where that has data."""
    dots = rows * symbols.dots_y
    scale = (dots - 1) / (top - bottom) if top > bottom else 0.0
    masks: list[int] = []
    before: tuple[int, int] | None = None
    for e in extents:
        if e is None:
            masks.append(0)
            before = None
            continue
        low = max(0, min(dots - 1, round((e.low - bottom) * scale)))
        high = max(0, min(dots - 1, round((e.high - bottom) * scale)))
        drawn_low, drawn_high = low, high
        if before is not None:
            drawn_low, drawn_high = min(low, before[1] + 1), max(high, before[0] - 1)
        masks.append(((1 << (drawn_high - drawn_low + 1)) - 1) << drawn_low)
        before = (low, high)
    return _cells(masks, rows=rows, symbols=symbols)


def _cells(masks: Sequence[int], *, rows: int, symbols: Symbols) -> list[str]:
    """Columns of dots (bit 0 at the bottom) to rows of characters, from above."""
    dots_x, dots_y, glyphs = symbols.dots_x, symbols.dots_y, symbols.glyphs
    cut = (1 << dots_y) - 1
    out = []
    for row in range(rows - 1, -1, -1):
        shift = row * dots_y
        if dots_x == 1:
            out.append("".join(glyphs[mask >> shift & cut] for mask in masks))
        else:
            pairs = zip(masks[::2], masks[1::2], strict=True)
            out.append("".join(glyphs[left >> shift & cut | (right >> shift & cut) << dots_y] for left, right in pairs))
    return out


def top_of(highest: float, *, before: float) -> float:
    """The end of an axis that starts at zero: a small multiple of a power of ten. Kept as ``before`` while a third is filled."""
    if highest <= _TINY:
        return before or 1.0
    if before and before / 3 <= highest <= before:
        return before
    power = 10.0 ** math.floor(math.log10(highest))
    return next(m * power for m in (1, 2, 3, 4, 5, 6, 8, 10) if highest <= m * power * (1 + 1e-12))


def range_of(low: float, high: float, *, before: tuple[float, float] | None) -> tuple[float, float]:
    """Ends of an axis around ``[low, high]`` on round numbers; kept as ``before`` while the data lie within and fill a third."""
    if before is not None and before[0] <= low and high <= before[1] and (high - low) * 3 >= before[1] - before[0]:
        return before
    extent = high - low
    if not math.isfinite(extent):
        return low, high
    if extent <= max(abs(low), abs(high)) * _NOTHING or extent < _TINY:
        extent = abs(high) / 10 if abs(high) > _TINY else 1.0
        low, high = low - extent / 2, high + extent / 2
    rough = extent / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if rough <= m * power * (1 + 1e-12))
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def threshold(value: float, *, rows: int, bottom: float, top: float, symbols: Symbols) -> tuple[int, str] | None:
    """The row from above and the character of a level line at ``value``; None where it is not on the picture."""
    if not (bottom <= value <= top) or top <= bottom:
        return None
    dots_y = symbols.dots_y
    dot = max(0, min(rows * dots_y - 1, round((value - bottom) * (rows * dots_y - 1) / (top - bottom))))
    row, place = divmod(dot, dots_y)
    glyph = symbols.rule if dots_y < _DOTS_OF_BRAILLE else symbols.glyphs[1 << place | 1 << place + dots_y]
    return rows - 1 - row, glyph


def held(points: Sequence[tuple[int, float | None]], *, step_us: int) -> Buckets:
    """Points, oldest first, as buckets of ``step_us``: a value holds until the next point, unless that is unusually far away.

    Unusual is more than eight times the usual distance, and more than a few buckets: the source was silent, which stays blank.
    """
    if not points:
        return Buckets(0, step_us, (), ())
    apart = sorted(b[0] - a[0] for a, b in itertools.pairwise(points))
    far_us = max(_HELD_STEPS * step_us, _HELD_TIMES * apart[len(apart) // 2]) if apart else 0
    start = points[0][0] // step_us
    count = min(_BUCKETS_MAX, points[-1][0] // step_us - start + 1)
    start = points[-1][0] // step_us - count + 1
    low: list[float | None] = [None] * count
    high: list[float | None] = [None] * count
    for place, (at_us, value) in enumerate(points):
        next_us = points[place + 1][0] if place + 1 < len(points) else at_us
        last = next_us // step_us if next_us - at_us <= far_us else at_us // step_us
        if value is None:
            continue
        for i in range(max(0, at_us // step_us - start), min(count, last - start + 1)):
            below, above = low[i], high[i]
            low[i] = value if below is None else min(below, value)
            high[i] = value if above is None else max(above, value)
    return Buckets(start * step_us, step_us, low, high)


@lru_cache(maxsize=512)
def sparkline(values: tuple[int, ...], cells: int, *, end_s: int, symbols: Symbols) -> str:
    """One line of ``cells``: the peak of every few seconds on the absolute grid, scaled to the highest. ``end_s``: where the last ends.

    Remembered, as values come once a second and are drawn several times.
    """
    finer = symbols.dots_x if symbols.dots_y > 2 else 1
    wanted = cells * finer
    step_s = max(1, -(-len(values) // max(1, wanted)))
    first = -end_s % step_s  # seconds of the newest group that are still to come
    newest = values[::-1]
    starts = range(-first, len(newest), step_s)
    peaks = [max(newest[max(0, start) : start + step_s]) for start in starts if start + step_s > 0][:wanted]
    peaks = [0] * (wanted - len(peaks)) + peaks[::-1]
    full = max(peaks, default=0) * 1.3 or 1.0
    if finer > 1:
        return area([Extent(0, p) for p in peaks], rows=1, top=full, symbols=symbols)[0]
    levels = symbols.levels
    return "".join(" " if p <= 0 else levels[int(p * len(levels) / full)] for p in peaks)


def time_axis(window: Window, *, mark: str = "╵") -> str:
    """Labels under the cells, each starting at the cell of its time: on round times, far enough apart to be read."""
    wide = 9 if window.cell_us * 12 < DAY else 8
    step = next((s for s in _LABEL_STEPS_US if s >= window.cell_us * (wide + 3)), _LABEL_STEPS_US[-1])
    out = [" "] * window.cells
    shift = _zone_shift_us(window.from_us)
    at = -(-(window.from_us + shift) // step) * step - shift
    while at < window.until_us:
        x = -(-(at - window.from_us) // window.cell_us)
        text = mark + _label(at, step)
        if x + len(text) <= window.cells:
            out[x : x + len(text)] = text
        at += step
    return "".join(out)


def _zone_shift_us(ts_us: int) -> int:
    offset = local(ts_us // S).utcoffset()
    return int(offset.total_seconds()) * S if offset is not None else 0


def _label(ts_us: int, step_us: int) -> str:
    when = local(ts_us // S)
    if step_us >= 364 * DAY:
        return when.strftime("%Y")
    if step_us >= DAY or (when.hour == 0 and when.minute == 0 and when.second == 0):
        return when.strftime("%d %b")
    return when.strftime("%H:%M" if step_us >= MINUTE else "%H:%M:%S")
