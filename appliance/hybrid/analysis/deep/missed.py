"""What the first pass has missed, as a process of its own: ``Sought`` as JSON on stdin, ``Found`` as JSON on stdout.

All series of the last day are held against their own days before: what is further from what was to be expected than on any of them, and by
far more than days differ, is a candidate; the furthest are judged as incidents are, with what came before and after. Series of which an
incident told at that time are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from appliance.hybrid.analysis.deep.grid import Grid, from_cells
from appliance.hybrid.analysis.deep.judging import Judged, extent, furthest, judged
from appliance.hybrid.analysis.deep.learning import key_of, name_of
from appliance.hybrid.analysis.deep.season import decomposed
from appliance.hybrid.analysis.deep.tables import Series, series_of
from appliance.hybrid.analysis.deep.totals import as_rates, is_total
from appliance.hybrid.analysis.deep.values import DAY_US, F64, MAD_TO_SIGMA, Mask, Source

DAYS_MIN: Final = 4
"""Days of history besides the one that is looked at."""
FILLED_MIN: Final = 0.25
"""The part of a day's cells that must be known for the day to count."""
SPREADS_MIN: Final = 8.0
TIMES_MIN: Final = 1.5
"""So many times as far as on any other day."""
AWAY: Final = 4.0
"""So many spreads of the days' furthest, by their logarithm, at a sensitivity of 0.5; half of it less or more at 1 and 0."""
LEAST_SPREAD: Final = 0.15
UNUSUAL_MIN: Final = 0.6
"""What the deep pass must make of it."""
JUDGED_MAX: Final = 24
"""Candidates that are judged, the furthest first: each takes up to a second."""
MARGIN_US: Final = 300_000_000
"""So close to an incident it is of that one."""


class Told(msgspec.Struct, frozen=True):
    """An incident that there is: nothing of its streams at its time was missed."""

    streams: tuple[str, ...]
    since_us: int
    until_us: int


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """What the program is given."""

    sources: tuple[Source, ...]
    since_us: int
    until_us: int
    """What lies in between is looked at; what goes on at its end is left to the next time."""
    sensitivity: float
    series_max: int
    found_max: int
    told: tuple[Told, ...] = ()
    factors: Mapping[str, float] = {}
    """Name of a series (``learning.name_of``) -> factor, from what people said."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One series in which something was missed."""

    stream: str
    column: str
    key: Mapping[str, str | None]
    since_us: int
    until_us: int
    peak_us: int
    value: float
    expected: float
    spreads: float
    unusual: float
    is_rate: bool
    history_us: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What it gives."""

    together: tuple[tuple[Stretch, ...], ...]
    """What came at the same time, the gravest of it first; the gravest of all first."""
    left: int
    """How many more there were."""
    series: int
    """That were looked at."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    series: Series
    step_us: int
    is_rate: bool
    begin: int
    end: int
    """Cells."""
    times: float
    """How many times as far as on any other day."""


def main() -> None:
    """See the module."""
    sought = msgspec.json.decode(sys.stdin.buffer.read(), type=Sought)
    sys.stdout.buffer.write(msgspec.json.encode(find(sought)))


def find(sought: Sought) -> Found:
    """Reads the sources one after the other: memory follows the largest."""
    candidates: list[_Candidate] = []
    count = 0
    for source in sought.sources:
        for series in series_of(source):
            if count == sought.series_max:
                break
            count += 1
            found = _candidate(series, source.step_us, sought)
            if found is not None and not _is_told(found, sought.told):
                candidates.append(found)
    candidates.sort(key=lambda c: -c.times)
    stretches = [s for c in candidates[:JUDGED_MAX] if (s := _stretch(c, sought)) is not None]
    together = _together(stretches)
    return Found(together=tuple(together[: sought.found_max]), left=len(together[sought.found_max :]), series=count)


def _candidate(series: Series, step_us: int, sought: Sought) -> _Candidate | None:
    """The furthest stretch of the last day, where it is one that no other day has."""
    is_rate = is_total(series)
    if is_rate:
        series = as_rates(series, step_us=step_us)
    since, until = sought.since_us // step_us, sought.until_us // step_us
    if not len(series.cells) or series.cells[-1] < since or series.cells[0] >= since:
        return None
    grid, low, high = _gridded(series, step_us)
    first = int(series.cells[0])
    inside = np.zeros(len(grid), np.bool_)
    inside[max(0, since - first) : max(0, until - first)] = True
    if not (inside & grid.known).any():
        return None
    off = np.abs(furthest(grid, decomposed(grid), low, high, inside)[0]) * grid.known
    highest, others = float(off[inside].max()), _days(off, grid.known, max(0, since - first), round(DAY_US / step_us))
    if len(others) < DAYS_MIN or highest < SPREADS_MIN or highest < TIMES_MIN * others.max():
        return None
    logs = np.log(others + 1.0)
    spread = max(MAD_TO_SIGMA * float(np.median(np.abs(logs - np.median(logs)))), LEAST_SPREAD)
    if (np.log(highest + 1.0) - float(np.median(logs))) / spread < AWAY * (1.5 - sought.sensitivity):
        return None
    at = int(np.argmax(np.where(inside, off, -1.0)))
    cells = np.flatnonzero(extent(off, at, at + 1, most=round(DAY_US / step_us)))
    begin, end = int(cells[0]), int(cells[-1]) + 1
    if first + end >= until:
        return None
    return _Candidate(series, step_us, is_rate, first + begin, first + end, highest / max(float(others.max()), 1e-9))


def _gridded(series: Series, step_us: int) -> tuple[Grid, F64, F64]:
    first, last = int(series.cells[0]), int(series.cells[-1]) + 1
    grid = from_cells(series.cells, series.mean, step_us=step_us, since=first, until=last)
    low, high = np.full(last - first, np.nan), np.full(last - first, np.nan)
    low[series.cells - first], high[series.cells - first] = series.low, series.high
    return grid, low, high


def _days(off: F64, known: Mask, end: int, day: int) -> F64:
    """The furthest of each whole day before a cell, of those of which enough is known."""
    count = end // day
    rows, there = off[end - count * day : end].reshape(count, day), known[end - count * day : end].reshape(count, day)
    return np.asarray(rows.max(axis=1, initial=0.0)[there.mean(axis=1) >= FILLED_MIN], np.float64)


def _is_told(c: _Candidate, told: Sequence[Told]) -> bool:
    begin_us, end_us = c.begin * c.step_us - MARGIN_US, c.end * c.step_us + MARGIN_US
    mine = c.series.stream.lower()
    return any(t.since_us < end_us and t.until_us >= begin_us and mine in {s.lower() for s in t.streams} for t in told)


def _stretch(c: _Candidate, sought: Sought) -> Stretch | None:
    grid, low, high = _gridded(c.series, c.step_us)
    since_us, until_us = c.begin * c.step_us, c.end * c.step_us - 1
    j: Judged = judged(grid, low, high, since_us=since_us, until_us=until_us)
    unusual = j.unusual / sought.factors.get(name_of(key_of(c.series.stream, c.series.column, c.series.key)), 1.0)
    if not j.is_known or unusual < UNUSUAL_MIN:
        return None
    return Stretch(
        stream=c.series.stream,
        column=c.series.column,
        key=c.series.key,
        since_us=since_us,
        until_us=until_us,
        peak_us=j.at_us,
        value=j.value,
        expected=j.expected,
        spreads=j.spreads,
        unusual=min(1.0, unusual),
        is_rate=c.is_rate,
        history_us=j.history_us,
    )


def _together(stretches: Sequence[Stretch]) -> list[tuple[Stretch, ...]]:
    """Those whose times touch."""
    found: list[list[Stretch]] = []
    until_us = 0
    for s in sorted(stretches, key=lambda s: s.since_us):
        if found and s.since_us <= until_us + MARGIN_US:
            found[-1].append(s)
        else:
            found.append([s])
        until_us = max(until_us, s.until_us)
    groups = [tuple(sorted(group, key=lambda s: (-s.unusual, -abs(s.spreads)))) for group in found]
    return sorted(groups, key=lambda g: (-g[0].unusual, -abs(g[0].spreads)))
