"""From hourly means to what is usual: means, medians, profiles; and how far off that is on days not learned from. Pure, by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.cold.batch.training.asking import MAD_TO_SIGMA, SPREADS
from appliance.cold.batch.training.model import F64, HOURS, Key

I64 = npt.NDArray[np.int64]
_FIRST_MONDAY_H: Final = 96
"""1970-01-01 was a Thursday: hour 0 of a week is Monday, 00:00 to 01:00 in UTC."""
TRIM: Final = 0.1
"""Part of the values at each end that a robust mean leaves out."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Hourly means and extremes: one element for each key and hour with a record."""

    keys: tuple[Key, ...]
    key: I64
    """Index into ``keys``."""
    hour: I64
    """Hours since 1970 in UTC."""
    count: I64
    mean: F64
    low: F64
    high: F64

    def where(self, mask: npt.NDArray[np.bool_]) -> Cells:
        """Those that ``mask`` names, with the same keys."""
        return Cells(self.keys, self.key[mask], self.hour[mask], self.count[mask], self.mean[mask], self.low[mask], self.high[mask])

    @property
    def of_week(self) -> I64:
        """Hours of the week."""
        return (self.hour - _FIRST_MONDAY_H) % HOURS


def cells_of(table: pa.Table, keys: int) -> Cells:
    """The rows of ``hourly_sql`` of a key of so many columns."""
    codes, values = [], []
    for i in range(keys):
        column = table.column(f"k{i}").combine_chunks().dictionary_encode()
        codes.append(np.asarray(column.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64))
        values.append([*column.dictionary.to_pylist(), None])
    if keys and table.num_rows:
        rows, which = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
        known = tuple(tuple(values[i][int(code)] for i, code in enumerate(row)) for row in rows)
        key = which.reshape(-1).astype(np.int64)
    else:
        known, key = ((),) if table.num_rows else (), np.zeros(table.num_rows, np.int64)
    hour, count = (_column(table, name, np.int64) for name in ("h", "n"))
    mean, low, high = (_column(table, name, np.float64) for name in ("mean", "low", "high"))
    return Cells(known, key, hour, count, mean, low, high)


def hourly_means(cells: Cells) -> F64:
    """Keys by hours of the week: the mean of all records; NaN where there is none."""
    place = cells.key * HOURS + cells.of_week
    size = len(cells.keys) * HOURS
    weight = np.bincount(place, weights=cells.count, minlength=size)
    total = np.bincount(place, weights=cells.count * cells.mean, minlength=size)
    with np.errstate(invalid="ignore"):
        return np.asarray((total / weight).reshape(-1, HOURS), np.float64)


def seasonal(cells: Cells) -> tuple[F64, dict[str, Any]]:
    """Keys by hours of the week as level + profile of the day + profile of the week, each a robust mean of hourly means; and these parts.

    NaN for hours of the day, and days, of which history says nothing.
    """
    keys = len(cells.keys)
    level = trimmed(cells.mean, cells.key, keys)
    day_of_week, hour_of_day = cells.of_week // 24, cells.of_week % 24
    rest = cells.mean - level[cells.key]
    day = trimmed(rest, cells.key * 24 + hour_of_day, keys * 24).reshape(keys, 24)
    week = trimmed(rest - day[cells.key, hour_of_day], cells.key * 7 + day_of_week, keys * 7).reshape(keys, 7)
    hours = level[:, None, None] + week[:, :, None] + day[:, None, :]
    parts = {"level": listed(level), "day": [listed(d) for d in day], "week": [listed(w) for w in week]}
    return hours.reshape(keys, HOURS), parts


def robust(rows: Sequence[Mapping[str, Any]], keys: Sequence[Key]) -> tuple[F64, dict[str, Any]]:
    """The median at every hour, and median and spread of each key: the rows of ``robust_sql``."""
    found = {tuple(r[f"k{i}"] for i in range(len(keys[0]))): r for r in rows} if keys else {}
    median = np.array([found[k]["median"] if k in found else np.nan for k in keys], np.float64)
    spread = np.array([(found[k]["mad"] or 0.0) * MAD_TO_SIGMA if k in found else np.nan for k in keys], np.float64)
    bounds = {"low": [-SPREADS] * HOURS, "high": [SPREADS] * HOURS}
    return np.repeat(median[:, None], HOURS, axis=1), {"median": listed(median), "spread": listed(spread), **bounds}


def spreads(cells: Cells, hours: F64) -> F64:
    """Of each key: how far its hourly extremes lie from what ``hours`` says, as a standard deviation out of medians.

    NaN where nothing is known, or most of it does not scatter at all.
    """
    keys = len(cells.keys)
    said = hours[cells.key, cells.of_week]
    off = np.abs(np.concatenate([cells.low - said, cells.high - said]))
    key = np.concatenate([cells.key, cells.key])
    known = np.isfinite(off)
    off, key = off[known], key[known]
    order = np.lexsort((off, key))
    sizes = np.bincount(key, minlength=keys)
    middle = np.minimum(np.cumsum(sizes) - sizes + sizes // 2, max(0, len(off) - 1))
    medians = off[order][middle] if len(off) else np.full(keys, np.nan)
    return np.where((sizes > 0) & (medians > 0), medians * MAD_TO_SIGMA, np.nan)


def trimmed(values: F64, group: I64, groups: int) -> F64:
    """The mean of each group without the ``TRIM`` of its values at either end; NaN of an empty group."""
    order = np.lexsort((values, group))
    sizes = np.bincount(group, minlength=groups)
    starts = np.cumsum(sizes) - sizes
    sorted_group = group[order]
    rank = np.arange(len(values)) - starts[sorted_group]
    cut = (sizes * TRIM).astype(np.int64)[sorted_group]
    kept = (rank >= cut) & (rank < sizes[sorted_group] - cut)
    total = np.bincount(sorted_group[kept], weights=values[order][kept], minlength=groups)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.bincount(sorted_group[kept], minlength=groups), np.float64)


def said_of(hours: F64, keys: Sequence[Key], cells: Cells) -> F64:
    """What a model (``hours`` of ``keys``) says of each cell; NaN where nothing."""
    places = {key: i for i, key in enumerate(keys)}
    row = np.array([places.get(key, -1) for key in cells.keys], np.int64)[cells.key]
    if not len(keys):
        return np.full(len(row), np.nan)
    return np.where(row >= 0, hours[np.maximum(row, 0), cells.of_week], np.nan)


def last_week(cells: Cells, every: Cells) -> F64:
    """What was a week before each cell, out of ``every`` cell that there is (with the same keys)."""
    width = int(every.hour.max(initial=0)) + 1
    order = np.argsort(every.key * width + every.hour)
    known = (every.key * width + every.hour)[order]
    wanted = cells.key * width + cells.hour - HOURS
    place = np.minimum(np.searchsorted(known, wanted), max(0, len(known) - 1))
    hit = known[place] == wanted if len(known) else np.zeros(len(wanted), np.bool_)
    return np.where(hit, every.mean[order][place], np.nan) if len(known) else np.full(len(wanted), np.nan)


def error_of(said: F64, cells: Cells) -> float | None:
    """Mean absolute error of the hourly means, over the cells of which something was said; None: of none."""
    known = np.isfinite(said) & np.isfinite(cells.mean)
    return float(np.abs(said[known] - cells.mean[known]).mean()) if known.any() else None


def _column(table: pa.Table, name: str, kind: type) -> Any:
    return np.asarray(table.column(name).combine_chunks().to_numpy(zero_copy_only=False), kind)


def listed(values: F64) -> list[float | None]:
    """As JSON has them: None where there is nothing."""
    return [None if v != v else v for v in values.tolist()]


def listed_hours(hours: F64) -> list[list[float | None]]:
    """As a model's body has them."""
    return [listed(row) for row in hours]
