"""How long workloads take, by stage: over the last minute, hour and day, kept across restarts.

Anybody may note and look, from any thread: a lock is held for some microseconds. Memory is bounded by the number of keys
(``tiers.KEYS_MAX``) and of spans. Holds no clock; the wall clock is handed in, since what is kept must mean the same after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Final, Literal

import msgspec

from appliance.clock import US_PER_S
from appliance.observe.histogram import Histogram, bucket_of, united
from appliance.observe.tiers import Entry, Key, Level, Tiers

Window = Literal["minute", "hour", "day"]
WINDOWS: Final[Mapping[Window, int]] = {"minute": 60, "hour": 3600, "day": 86_400}
"""Window -> seconds."""
INGEST: Final = "_ingest"
"""Workload: what is taken in. Stages: ``acknowledged`` (received → durable)."""
ALERTS: Final = "_alerts"
"""Workload: all rules together. Stages, each from the acknowledgement: ``evaluated``, ``committed``, ``handed over``."""
QUERIES: Final = "_query"
"""Workload: queries that people wait for. Stages, each from the question: ``waited`` (for a process), ``first row``, ``done``."""
_LEVELS: Final = (Level(10, 7), Level(60, 61), Level(3600, 25))
_TEN_S, _MINUTE, _HOUR = range(3)
_OF_WINDOW: Final[Mapping[Window, int]] = {"minute": _TEN_S, "hour": _MINUTE, "day": _HOUR}


class Figures(msgspec.Struct, frozen=True):
    """How long something took, in milliseconds; percentiles are at most 3.7 % too high."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    count: int


class Latencies:
    """Histograms by (workload, stage)."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tiers: Tiers[Histogram] = Tiers(_LEVELS, united)
        self._open: dict[Key, tuple[dict[int, int], list[float]]] = {}
        """Of the ten seconds under way: counts by bucket, and the longest."""
        self._slot = 0
        self._unsaved: Tiers[Histogram] = Tiers(_LEVELS, united)
        """Minutes of which nothing, or not all, is stored."""
        self._hours_saved: set[int] = set()

    def note(self, workload: str, stage: str, ms: float, *, at_us: int, count: int = 1) -> None:
        """``count`` things took so long; ``at_us`` is the wall clock at their end."""
        self.note_all((workload,), stage, ms, at_us=at_us, count=count)

    def note_all(self, workloads: Iterable[str], stage: str, ms: float, *, at_us: int, count: int = 1) -> None:
        """``note`` for several workloads that took as long."""
        bucket = bucket_of(ms)
        with self._lock:
            self._turn(at_us)
            for workload in workloads:
                counts, longest = self._open.get((workload, stage)) or self._opened(workload, stage)
                counts[bucket] = counts.get(bucket, 0) + count
                longest[0] = max(longest[0], ms)

    def histograms(self, window: Window, *, now_us: int) -> dict[Key, Histogram]:
        """By workload and stage, of the last minute (50 to 60 s), hour or day (rounded alike); what nothing is known of is missing."""
        with self._lock:
            self._turn(now_us)
            level = _OF_WINDOW[window]
            since_us = now_us - (WINDOWS[window] - _LEVELS[level].span_s) * US_PER_S
            found = self._tiers.sums(level, since_us=since_us, until_us=now_us + 1)
            for key, (counts, longest) in self._open.items():
                new = Histogram.of(counts, longest[0])
                found[key] = united((found[key], new)) if key in found else new
            return found

    def figures(self, window: Window, *, now_us: int) -> dict[Key, Figures]:
        """As ``histograms``, as figures."""
        return {key: figures_of(h) for key, h in self.histograms(window, now_us=now_us).items()}

    def unsaved(self, now_us: int, *, is_last: bool = False) -> list[Entry[Histogram]]:
        """What is to be stored now, each given once: minutes (``is_last``: also the one under way) and hours that are over."""
        with self._lock:
            self._turn(now_us)
            if is_last:
                self._close()
            minute, hour = now_us // (60 * US_PER_S), now_us // (3600 * US_PER_S)
            found: list[Entry[Histogram]] = []
            later: Tiers[Histogram] = Tiers(_LEVELS, united)
            for number in self._unsaved.spans(_MINUTE):
                entries = list(self._unsaved.span(_MINUTE, number))
                if is_last or number < minute:
                    found += entries
                else:
                    for entry in entries:
                        later.add(entry.since_us, entry.key, entry.value, finest=_MINUTE, coarsest=_HOUR)
            self._unsaved = later
            for number in self._tiers.spans(_HOUR):
                if number < hour and number not in self._hours_saved:
                    self._hours_saved.add(number)
                    found += self._tiers.span(_HOUR, number)
            self._hours_saved = {n for n in self._hours_saved if n > hour - _LEVELS[_HOUR].kept}
            return found

    def load(self, entries: Sequence[Entry[Histogram]], *, now_us: int) -> None:
        """What was stored; minutes count in their hour where that is not stored as a whole."""
        with self._lock:
            hours = {e.since_us // (3600 * US_PER_S) for e in entries if e.span_s == 3600}
            for e in entries:
                if e.span_s == 3600:
                    self._tiers.add(e.since_us, e.key, e.value, finest=_HOUR)
                else:
                    is_within = e.since_us // (3600 * US_PER_S) in hours
                    self._tiers.add(e.since_us, e.key, e.value, finest=_MINUTE, coarsest=_HOUR if is_within else None)
            self._hours_saved |= hours
            self._tiers.forget(now_us)

    def _opened(self, workload: str, stage: str) -> tuple[dict[int, int], list[float]]:
        return self._open.setdefault(self._tiers.key(workload, stage), ({}, [0.0]))

    def _turn(self, now_us: int) -> None:
        """Closes the ten seconds under way when they are over. A clock that went back by less than a minute changes nothing."""
        slot = now_us // (_LEVELS[0].span_s * US_PER_S)
        if slot > self._slot or slot < self._slot - 6:
            self._close()
            self._slot = slot
            self._tiers.forget(now_us)
            self._unsaved.forget(now_us)

    def _close(self) -> None:
        at_us = self._slot * _LEVELS[0].span_s * US_PER_S
        for key, (counts, longest) in self._open.items():
            value = Histogram.of(counts, longest[0])
            self._tiers.add(at_us, key, value)
            self._unsaved.add(at_us, key, value, finest=_MINUTE, coarsest=_HOUR)
        self._open = {}


def figures_of(histogram: Histogram) -> Figures:
    """The figures of one histogram."""
    return Figures(histogram.percentile(0.5), histogram.percentile(0.99), histogram.max_ms, histogram.count)
