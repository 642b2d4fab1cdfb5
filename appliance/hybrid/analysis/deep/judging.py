"""One series of an incident, looked at again with its whole history and with what came after. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.changes import CELLS_MIN, SPREADS_MIN, Change, change_points
from appliance.hybrid.analysis.deep.grid import Grid
from appliance.hybrid.analysis.deep.scoring import OFTEN, widths
from appliance.hybrid.analysis.deep.season import Parts, decomposed, spread_of
from appliance.hybrid.analysis.deep.shapes import nearest
from appliance.hybrid.analysis.deep.values import DAY_US, F64, HOUR_US, I64

HALF: Final = 5.0
"""Spreads from what was to be expected that are worth one half."""
OFTEN_A_WEEK: Final = 3.0
"""Stretches as unusual elsewhere, a week of history, that halve what it is worth."""
SAMPLE: Final = 256
"""Stretches elsewhere that are looked at to tell what is usual."""
ENOUGH_US: Final = 3 * DAY_US
CELLS_ENOUGH: Final = 48
STAYS: Final = 0.98
"""A level has changed for good where this part of what came after is nearer to the new one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of one series now."""

    unusual: float
    """0 (as ever) to 1."""
    spreads: float
    """The furthest from what was to be expected there, with its sign."""
    at_us: int
    """Where that was."""
    since_us: int | None
    """When it began by its history, where that was more than a cell before it was said to; None: it wasn't."""
    value: float
    expected: float
    episodes: int
    """Stretches elsewhere in the history that were at least as far off."""
    history_us: int
    """How much history there is besides the incident."""
    period_us: int
    """Of its season; 0: none."""
    change: Change | None
    """A change of level that falls into the incident and has lasted since."""
    changed_us: int
    like_us: int | None
    """When a stretch most like this one was; None: nothing to compare with."""
    unlike: float
    """How unlike that one it is, as a multiple of what is usual."""

    @property
    def is_known(self) -> bool:
        """Whether there is enough history to say anything."""
        return self.history_us > 0


def judged(mean: Grid, low: F64, high: F64, *, since_us: int, until_us: int) -> Judged:
    """``low`` and ``high`` are the extremes of the cells of ``mean`` (NaN: none). The incident is from ``since_us`` to ``until_us``."""
    a, b = mean.cell(since_us), mean.cell(max(until_us, since_us)) + 1
    inside = np.zeros(len(mean), np.bool_)
    inside[a:b] = True
    history_us = int((mean.known & ~inside).sum()) * mean.step_us
    if int((mean.known & ~inside).sum()) < CELLS_ENOUGH or not (mean.known & inside).any():
        at = a if not (mean.known & inside).any() else int(np.flatnonzero(mean.known & inside)[0])
        return Judged(0.5, 0.0, mean.at_us(at), None, float(mean.values[at]), float("nan"), 0, 0, 0, None, 0, None, float("nan"))
    parts = _without(mean, inside)
    off, values = furthest(mean, parts, low, high, inside)
    whole = extent(np.abs(off) * mean.known, a, b, most=max(10 * (b - a), HOUR_US // mean.step_us))
    if whole.sum() > inside.sum() and int((mean.known & ~whole).sum()) >= CELLS_ENOUGH:
        inside = whole
        parts = _without(mean, inside)
        off, values = furthest(mean, parts, low, high, inside)
    at = a + int(np.argmax(np.where(mean.known[a:b], np.abs(off[a:b]), -1.0)))
    size = abs(float(off[at]))
    episodes = _runs((np.abs(off) >= size) & ~inside & mean.known, max(1, round(HOUR_US / mean.step_us)))
    weeks = max(history_us / (7 * DAY_US), 1 / 7)
    strength = size**2 / (size**2 + HALF**2)
    rarity = 1.0 / (1.0 + episodes / weeks / OFTEN_A_WEEK)
    unlike, like = _unlike(mean, a, b)
    shape = 0.5 if np.isnan(unlike) else unlike / (1.0 + unlike)
    change = _lasting(mean, parts, a, b)
    return Judged(
        unusual=float(np.clip((0.7 * strength + 0.3 * shape) * rarity, 0.0, 1.0)),
        spreads=float(off[at]),
        at_us=mean.at_us(at),
        since_us=mean.at_us(first) if (first := int(inside.argmax())) < a - 1 else None,
        value=float(values[at]),
        expected=float(parts.level[at] + parts.season[at]),
        episodes=episodes,
        history_us=history_us,
        period_us=parts.period_us,
        change=change,
        changed_us=0 if change is None else mean.at_us(change.cell),
        like_us=None if like < 0 else mean.at_us(int(like)),
        unlike=unlike,
    )


def _without(mean: Grid, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Parts:
    """Level and season as if the incident had not been: its cells are put in between, so it doesn't explain itself."""
    known = mean.known & ~inside
    places = np.arange(len(mean))
    values = np.interp(places, places[known], mean.values[known])
    parts = decomposed(Grid(mean.start_us, mean.step_us, values, known))
    rest = mean.values - parts.level - parts.season
    return Parts(parts.level, parts.season, rest, parts.period_us, spread_of(parts.rest[known], values[known]))


def furthest(mean: Grid, parts: Parts, low: F64, high: F64, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[F64, F64]:
    """For each cell how far its mean, its least or its greatest value is from what each of them usually is, in spreads of each: the
    furthest of the three, and that value."""
    base = parts.level + parts.season
    offs, values = [parts.rest / parts.spread], [mean.values]
    for extreme in (low, high):
        ok = np.isfinite(extreme) & mean.known
        if (ok & ~inside).sum() >= CELLS_ENOUGH:
            rest = np.where(ok, extreme - base, 0.0)
            usual = float(np.median(rest[ok & ~inside]))
            offs.append(np.where(ok, (rest - usual) / spread_of(rest[ok & ~inside], mean.values), 0.0))
            values.append(np.where(ok, extreme, mean.values))
    table = np.stack(offs)
    which, places = np.abs(table).argmax(axis=0), np.arange(len(mean))
    return table[which, places], np.stack(values)[which, places]


def extent(off: F64, a: int, b: int, *, most: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The cells of the incident with those around it, at most so many on either side, in which the same goes on: that are a third as far
    off at least, with no longer breaks than two cells. The first pass gets used to what goes on and may say too early that it is over."""
    high = off >= max(HALF / 2, float(off[a:b].max(initial=0.0)) / 3)
    found = np.zeros(len(off), np.bool_)
    found[a:b] = True
    found[b : b + _lasts(high[b : b + most])] = True
    found[a - _lasts(high[max(0, a - most) : a][::-1]) : a] = True
    return found


def _lasts(high: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    """How many cells it goes on before three in a row say that it doesn't."""
    breaks = np.convolve(~high, np.ones(3), "valid") == 3 if len(high) >= 3 else np.zeros(0, np.bool_)
    return int(breaks.argmax()) if breaks.any() else len(high)


def _runs(mask: np.ndarray[tuple[int], np.dtype[np.bool_]], apart: int) -> int:
    """Stretches of True that are more than ``apart`` cells from each other."""
    places = np.flatnonzero(mask)
    return 0 if not len(places) else 1 + int((np.diff(places) > apart).sum())


def _unlike(mean: Grid, a: int, b: int) -> tuple[float, int]:
    """How unlike all others the stretches over the incident are, as a multiple of what is usual; and where the most alike one begins."""
    width, _ = widths(mean)
    count = len(mean) - width + 1
    if count < 4 * width:
        return float("nan"), -1
    first, last = max(0, min(a - width // 2, count - 1)), max(0, min(b - width // 2, count - 1))
    own: I64 = np.unique(np.linspace(first, last, min(SAMPLE, last - first + 1)).astype(np.int64))
    other = np.unique(np.linspace(0, count - 1, SAMPLE).astype(np.int64))
    other = other[(other + width <= a) | (other >= b)]
    found, at = nearest(mean.values, mean.known, width, np.concatenate([own, other]))
    mine, usual = found[: len(own)], found[len(own) :]
    if not np.isfinite(mine).any() or not np.isfinite(usual).any():
        return float("nan"), -1
    scale = max(float(np.nanquantile(usual, OFTEN)), 1e-3 * float(np.nanmax(found)), 1e-12)
    worst = int(np.nanargmax(mine))
    return float(mine[worst]) / scale, int(at[worst])


def _lasting(mean: Grid, parts: Parts, a: int, b: int) -> Change | None:
    """The largest change of level in or next to the incident, where what came after has never gone back, well beyond the incident."""
    beyond = mean.known[b:]
    if beyond.sum() < max(2 * CELLS_MIN, 2 * (b - a), HOUR_US // mean.step_us):
        return None
    values = mean.values - parts.season
    before = values[max(0, a - len(beyond)) : a][mean.known[max(0, a - len(beyond)) : a]]
    if len(before) < 2 * CELLS_MIN:
        return None
    old, new = float(np.median(before)), float(np.median(values[b:][beyond]))
    stays = np.abs(values[b:][beyond] - new) < np.abs(values[b:][beyond] - old)
    slack = max(CELLS_MIN, (b - a) // 2)
    near = [c for c in change_points(values, parts.spread) if a - slack <= c.cell <= b + slack]
    if not near or stays.mean() < STAYS or abs(new - old) < SPREADS_MIN * parts.spread:
        return None
    largest = max(near, key=lambda c: c.spreads)
    return Change(largest.cell, old, new, abs(new - old) / parts.spread, len(mean) - largest.cell)
