"""A training of the analysis, as a process of its own: ``Lesson`` as JSON on stdin, ``Learned`` as JSON on stdout."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from appliance.hybrid.analysis.deep.tables import series_of
from appliance.hybrid.analysis.deep.totals import is_total
from appliance.hybrid.analysis.deep.usual import NO_PROFILE, profile_of
from appliance.hybrid.analysis.deep.values import F64, Source

CELLS_MIN: Final = 24
"""A series with fewer cells is not learned."""
_FIGURES: Final = 5
"""Figures that a profile keeps: its file and memory stay small."""
Numbers = list[float | None]


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """What the program is given."""

    sources: tuple[Source, ...]
    series_max: int
    factors: Mapping[str, float] = {}
    """Name of a series (``name_of``) -> factor, from what people said."""


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What it gives: an element for each series that has a profile or a factor."""

    keys: list[tuple[str, str, str]]
    """Stream, field, tags as JSON."""
    seasons: list[str]
    hours: list[Numbers]
    spreads: list[Numbers]
    factors: list[float]
    series: int
    """That were looked at."""
    cells: int
    records: int
    error: float | None
    """Mean over series of the error on held-out days, in spreads; None: nothing could be held out."""
    naive_error: float | None


def main() -> None:
    """See the module."""
    lesson = msgspec.json.decode(sys.stdin.buffer.read(), type=Lesson)
    sys.stdout.buffer.write(msgspec.json.encode(learn(lesson)))


def learn(lesson: Lesson) -> Learned:
    """Reads the sources one after the other: memory follows the largest."""
    found = Learned(keys=[], seasons=[], hours=[], spreads=[], factors=[], series=0, cells=0, records=0, error=None, naive_error=None)
    errors: list[float] = []
    naive: list[float] = []
    series_count = cells = records = 0
    for source in lesson.sources:
        for series in series_of(source):
            if len(series.cells) < CELLS_MIN or series_count == lesson.series_max:
                continue
            if is_total(series):  # what the first pass scores of it is its rate, of which it learns the season itself
                profile = NO_PROFILE
            else:
                profile = profile_of(series.cells, series.mean, series.low, series.high, series.count, step_us=source.step_us)
            series_count, cells, records = series_count + 1, cells + len(series.cells), records + int(series.count.sum())
            if np.isfinite(profile.error):
                errors.append(profile.error)
                naive.append(profile.naive_error)
            key = key_of(series.stream, series.column, series.key)
            factor = lesson.factors.get(name_of(key), 1.0)
            if profile.season != "none" or factor != 1.0:
                found.keys.append(key)
                found.seasons.append(profile.season)
                found.hours.append(_listed(profile.median))
                found.spreads.append(_listed(profile.spread))
                found.factors.append(factor)
    mean = (float(np.mean(errors)), float(np.mean(naive))) if errors else (None, None)
    return msgspec.structs.replace(found, series=series_count, cells=cells, records=records, error=mean[0], naive_error=mean[1])


def key_of(stream: str, column: str, key: Mapping[str, str | None]) -> tuple[str, str, str]:
    """As a model has it: tags that are null are left out."""
    return stream, column, msgspec.json.encode({k: v for k, v in key.items() if v is not None}, order="sorted").decode()


def name_of(key: tuple[str, str, str]) -> str:
    """One text, equal for names that differ in case alone."""
    return msgspec.json.encode((key[0].lower(), key[1].lower(), key[2])).decode()


def _listed(values: F64) -> Numbers:
    return [None if v != v else float(f"{v:.{_FIGURES}g}") for v in values.tolist()]
