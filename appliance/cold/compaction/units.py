"""Which segments belong together: those whose days overlap; and which neighbours of a month are small enough for one file. Pure.

A month's file costs a narrow query: the rows of a few days lie among those of all its days. So days are put together only up to a
size that is read in some tens of milliseconds; larger ones stay alone, since for them it is not the number of files that counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from appliance.cold.segments import month_folder
from appliance.manifest import Segment

SPAN_ROWS_MAX = 4_000_000
"""Records of several days that lie in one file: a month of a stream with 1.5 records a second."""
SPAN_BYTES_MAX = 64 << 20
"""... and its bytes, which a late record may cause to be written again."""
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Unit:
    """Neighbouring days whose segments overlap: mostly one day, or the days of one file with what came late."""

    day: int
    last: int
    segments: tuple[Segment, ...]

    @property
    def rows(self) -> int:
        return sum(s.rows for s in self.segments)

    @property
    def bytes(self) -> int:
        return sum(s.bytes for s in self.segments)


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the calendar in UTC days, half-open."""

    name: str
    """``YYYY-MM``."""
    end: int


@lru_cache(maxsize=4096)
def month_of(day: int) -> Month | None:
    """The month that holds a day; None outside the calendar, where days stay alone."""
    name = month_folder(day)
    if name is None:
        return None
    year, month = (int(part) for part in name.split("-"))
    if (year, month) >= (9999, 12):
        return None
    return Month(name, date(year + month // 12, month % 12 + 1, 1).toordinal() - _EPOCH)


def units_of(segments: Iterable[Segment]) -> list[Unit]:
    """Every segment in one unit, units in the order of their days and apart."""
    found: list[Unit] = []
    run: list[Segment] = []
    last = 0
    for segment in sorted(segments, key=lambda s: (s.day, s.first)):
        if run and segment.day > last:
            found.append(Unit(run[0].day, last, tuple(run)))
            run = []
        last = max(last, segment.day_last) if run else segment.day_last
        run.append(segment)
    if run:
        found.append(Unit(run[0].day, last, tuple(run)))
    return found


def packs(units: Sequence[Unit], *, settled: Collection[int], inputs_max: int) -> list[tuple[str, tuple[Unit, ...]]]:
    """Runs of two units and more that one file can hold, each with its month; as full as can be, from the first day on.

    ``settled`` are the first days of the units that need nothing else; another one parts its neighbours. Packing what a pack
    became again gives nothing new, so a month comes to rest.
    """
    found: list[tuple[str, tuple[Unit, ...]]] = []
    run: list[Unit] = []
    at: Month | None = None
    for unit in units:
        month = month_of(unit.day) if unit.day in settled else None
        if run and (month != at or not _fits((*run, unit), inputs_max)):
            _close(found, at, run)
            run = []
        at = month
        if month is not None:
            run.append(unit)
    _close(found, at, run)
    return found


def _close(found: list[tuple[str, tuple[Unit, ...]]], month: Month | None, run: list[Unit]) -> None:
    if month is not None and len(run) > 1:
        found.append((month.name, tuple(run)))


def _fits(units: Sequence[Unit], inputs_max: int) -> bool:
    return (
        sum(u.rows for u in units) <= SPAN_ROWS_MAX
        and sum(u.bytes for u in units) <= SPAN_BYTES_MAX
        and sum(len(u.segments) for u in units) <= inputs_max
    )
