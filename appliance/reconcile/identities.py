"""Which records of the lake are the same one, and when each series was last, as a by-product of reading every row.

A full pass hashes each value anyway: the sum over the columns of an identity tells a record apart from all others (but once in
2**64), that over the tags a series. So what else would be asked of DuckDB over the whole lake is asked only where this says that
there is something: ``twins`` of days on which an identity came twice, ``latest`` of days on which a series was last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.clock import US_PER_DAY
from appliance.hot.state import StreamState
from appliance.manifest import Segment
from appliance.text_hashes import U64

I64 = npt.NDArray[np.int64]
HELD_MAX: Final = 4_000_000
"""Identities of days that several files share, held until all of these were read: 32 MB. Above, the days that wait are asked about."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be found out of one file."""

    identity: tuple[str, ...] | None
    """Columns of the identity with ``ts``; None: no two records of this stream are the same one."""
    tags: tuple[str, ...]
    shared: frozenset[int]
    """UTC days of which other files have records as well."""

    @property
    def groups(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """For ``tally.group_hashes``."""
        return self.identity or ("ts",), self.tags


@dataclass(frozen=True, slots=True)
class FileIdentities:
    """What one file gave."""

    twice: frozenset[int]
    """UTC days on which an identity is there more than once in this file alone."""
    shared: Mapping[int, U64]
    """Of the days that were wanted as shared: each record's identity, sorted."""
    series: U64
    """Each series once, sorted."""
    last_us: I64
    """The event time at which it was last."""


class Gathered:
    """What comes together while a file is read, batch by batch."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._ids: dict[int, list[U64]] = {}
        self._series: list[U64] = []
        self._last: list[I64] = []

    def take(self, times: I64, identities: U64, series: U64) -> None:
        """The next records, at least one."""
        starts = np.flatnonzero(np.append(True, series[1:] != series[:-1]))  # files are sorted by tags, so runs are long
        self._series.append(series[starts])
        self._last.append(np.maximum.reduceat(times, starts))
        if self._wanted.identity is None:
            return
        days = times // US_PER_DAY
        if days[0] == days[-1] and int(days.min()) == int(days.max()):
            self._ids.setdefault(int(days[0]), []).append(identities)
            return
        for day in np.unique(days).tolist():
            self._ids.setdefault(day, []).append(identities[days == day])

    def done(self) -> FileIdentities:
        """All of the file."""
        twice, shared = set(), {}
        for day, parts in self._ids.items():
            found = np.sort(np.concatenate(parts))
            if _has_twins(found):
                twice.add(day)
            if day in self._wanted.shared:
                shared[day] = found
        return FileIdentities(frozenset(twice), shared, *newest(self._series, self._last))


@dataclass(slots=True)
class Identities:
    """What all files of one stream give together, as they are read. Of one thread."""

    stream: StreamState
    _waiting: dict[int, list[U64]] = field(default_factory=dict)
    """UTC day -> what files that have been read have of it; others still have to come."""
    _files: dict[int, int] = field(default_factory=dict)
    """UTC day -> how many files have records of it."""
    _left: dict[int, int] = field(default_factory=dict)
    """The same, of those that have not been read."""
    _suspect: set[int] = field(default_factory=set)
    _read: set[int] = field(default_factory=set)
    _series: list[U64] = field(default_factory=list)
    _last: list[I64] = field(default_factory=list)

    def __post_init__(self) -> None:
        for segment in self.stream.segments:
            for day in _days(segment):
                self._files[day] = self._files.get(day, 0) + 1
        self._left = dict(self._files)

    def wanted(self, segment: Segment) -> Wanted:
        """What is to be found out of a file of the stream."""
        shared = frozenset(day for day in _days(segment) if self._files[day] > 1)
        return Wanted(self.stream.identity_columns(), self.stream.schema.tags, shared)

    def take(self, segment: Segment, found: FileIdentities) -> None:
        """One file that was read whole and is what the manifest says."""
        self._read.add(segment.id)
        self._suspect |= found.twice
        self._series.append(found.series)
        self._last.append(found.last_us)
        for day in _days(segment):
            self._left[day] -= 1
            if day in found.shared:
                self._waiting.setdefault(day, []).append(found.shared[day])
            if not self._left[day] and _has_twins(np.sort(np.concatenate(self._waiting.pop(day, [np.zeros(0, np.uint64)])))):
                self._suspect.add(day)
        if sum(len(part) for parts in self._waiting.values() for part in parts) > HELD_MAX:
            self._suspect |= set(self._waiting)
            self._waiting.clear()

    def is_clear(self, day: int) -> bool:
        """Whether all files with records of that UTC day were read, and no identity came twice."""
        return self._left.get(day) == 0 and day not in self._suspect

    def last_days(self, low_us: int, high_us: int) -> frozenset[int] | None:
        """UTC days on which series were last among the records of the lake within a half-open span.

        None: not known, since a file with records of the span was not read, or goes beyond it.
        """
        inside = [s for s in self.stream.segments if s.ts_min < high_us and s.ts_max >= low_us]
        if any(s.id not in self._read or s.ts_min < low_us or s.ts_max >= high_us for s in inside):
            return None
        if self._read != {s.id for s in inside}:
            return None
        _, last = newest(self._series, self._last)
        return frozenset(np.unique(last // US_PER_DAY).tolist())


def newest(series: Sequence[U64], last_us: Sequence[I64]) -> tuple[U64, I64]:
    """Each series once, sorted, with the latest of its times."""
    if not series:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    every, times = np.concatenate(series), np.concatenate(last_us)
    order = np.argsort(every, kind="stable")
    ordered = every[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.zeros(0, np.intp)
    return ordered[starts], np.maximum.reduceat(times[order], starts) if len(ordered) else times


def _has_twins(ordered: U64) -> bool:
    return bool((ordered[1:] == ordered[:-1]).any())


def _days(segment: Segment) -> Iterator[int]:
    yield from range(segment.day, segment.day_last + 1)
