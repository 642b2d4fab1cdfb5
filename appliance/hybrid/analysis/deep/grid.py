"""Records and cells on a regular grid of time: what everything else here works on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.values import F64, I64, Mask

LARGEST: Final = 1e100


@dataclass(frozen=True, slots=True)
class Grid:
    """One series as means of equal cells of event time."""

    start_us: int
    step_us: int
    values: F64
    """Finite everywhere; where ``known`` is False put in between the neighbours."""
    known: Mask

    def __len__(self) -> int:
        return len(self.values)

    def cell(self, ts_us: int) -> int:
        """The cell of a time, within bounds."""
        return int(np.clip((ts_us - self.start_us) // self.step_us, 0, max(0, len(self.values) - 1)))

    def at_us(self, cell: int) -> int:
        """The beginning of a cell."""
        return self.start_us + cell * self.step_us


def gridded(ts_us: I64, values: F64, *, cells_max: int) -> tuple[Grid, I64]:
    """Records on a grid of at most ``cells_max`` cells, no finer than they usually come; and the cell of each record.

    NaN and infinite values are not known. Without any known value the grid is flat.
    """
    if not len(ts_us):
        return Grid(0, 1, np.zeros(0), np.zeros(0, np.bool_)), np.zeros(0, np.int64)
    start = int(ts_us.min())
    gaps = np.diff(np.unique(ts_us))
    usual = int(np.median(gaps)) if len(gaps) else 1
    step = max(1, usual, -(-(int(ts_us.max()) - start + 1) // cells_max))
    cell = (ts_us - start) // step
    ok = np.isfinite(values)
    size = int(cell.max()) + 1
    count = np.bincount(cell[ok], minlength=size)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.bincount(cell[ok], weights=values[ok], minlength=size) / count
    return Grid(start, step, *filled(mean)), cell


def from_cells(cells: I64, values: F64, *, step_us: int, since: int, until: int) -> Grid:
    """Cells that a query gave, as the grid of the cells ``since`` to ``until``; cells outside are left out."""
    inside = (cells >= since) & (cells < until)
    mean = np.full(max(0, until - since), np.nan)
    mean[cells[inside] - since] = values[inside]
    return Grid(since * step_us, step_us, *filled(mean))


def filled(values: F64) -> tuple[F64, Mask]:
    """Without gaps: what is not finite is put in between the neighbours; and what was known. Zero where nothing was. What is larger than
    ``LARGEST`` is that large, so that squares stay finite."""
    known = np.isfinite(values)
    values = np.clip(values, -LARGEST, LARGEST)
    if known.all():
        return values, known
    if not known.any():
        return np.zeros(len(values)), known
    places = np.arange(len(values))
    return np.interp(places, places[known], values[known]), known
