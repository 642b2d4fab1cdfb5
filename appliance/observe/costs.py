"""What workloads cost, by path: summed up over minutes, hours and days, kept across restarts.

Anybody may note and look, from any thread: a lock is held for some microseconds. Memory is bounded by the number of keys
(``tiers.KEYS_MAX``) and of spans. Holds no clock; the wall clock is handed in, since what is kept must mean the same after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from appliance.clock import US_PER_S
from appliance.observe.tiers import KEYS_MAX, Entry, Key, Level, Tiers
from appliance.paths.needs import Path
from appliance.paths.rules import PathCost

INGEST: Final = "_ingest"
"""Workload: sources, door, commit and what the service does besides."""
QUERIES: Final = "_query"
"""Workload: queries that people wait for."""
_LEVELS: Final = (Level(60, 61), Level(3600, 24 * 8), Level(86_400, 400))
_MINUTE, _HOUR, _DAY = range(3)


@dataclass(frozen=True, slots=True)
class Spent:
    """What something has used."""

    cpu_s: float = 0.0
    """Processor time of all its threads and processes, seconds."""
    read: int = 0
    """Bytes read from the disk."""
    written: int = 0
    """Bytes written to the disk."""
    rows: int = 0
    """Records that it has looked at."""
    memory: int = 0
    """Bytes of memory that it has held at most at once; added up it is the largest."""
    notifications: int = 0
    """Messages handed over to a channel."""
    runs: int = 0
    """How often it ran: answers, runs of a job, refreshes. 0 for what runs all the time."""
    watched_s: float = 0.0
    """Of what runs all the time: how long it was watched. That of ``INGEST`` is how long anything was measured."""

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.cpu_s + other.cpu_s,
            self.read + other.read,
            self.written + other.written,
            self.rows + other.rows,
            max(self.memory, other.memory),
            self.notifications + other.notifications,
            self.runs + other.runs,
            self.watched_s + other.watched_s,
        )


def total(spent: Iterable[Spent]) -> Spent:
    """All of it as one."""
    return sum(spent, Spent())


class Costs:
    """Sums by (workload, path)."""

    def __init__(self) -> None:
        self.inside: list[Callable[[], Mapping[str, Spent]]] = []
        """Who works within the process on the hybrid path and says itself what it has used since it was asked last, by workload. Only
        the meters' loop asks."""
        self._lock = Lock()
        self._tiers: Tiers[Spent] = Tiers(_LEVELS, total)
        self._open: dict[Key, Spent] = {}
        """Of the minute under way."""
        self._totals: dict[Key, Spent] = {}
        self._trials: dict[tuple[str, Path], PathCost] = {}
        self._slot = 0
        self._unsaved: Tiers[Spent] = Tiers(_LEVELS, total)
        self._saved: tuple[set[int], set[int]] = (set(), set())
        """Hours and days that are stored as a whole."""

    def note(self, workload: str, path: Path, spent: Spent, *, at_us: int) -> None:
        """A workload has used so much on a path; ``at_us`` is the wall clock at its end."""
        with self._lock:
            self._turn(at_us)
            key = self._tiers.key(workload, path)
            for sums in (self._open, self._totals):
                known = sums.get(key)
                sums[key] = spent if known is None else known + spent

    def spent(self, *, since_us: int, now_us: int) -> dict[Key, Spent]:
        """By workload and path, since ``since_us``: from minutes over the last hour, from hours over the last eight days, else from days.

        The span in which ``since_us`` lies counts whole.
        """
        with self._lock:
            self._turn(now_us)
            age_s = (now_us - since_us) / US_PER_S
            level = next((n for n, at in enumerate(_LEVELS) if age_s <= at.span_s * (at.kept - 1)), _DAY)
            found = self._tiers.sums(level, since_us=since_us, until_us=now_us + 1)
            for key, spent in self._open.items():
                found[key] = found[key] + spent if key in found else spent
            return found

    def note_trial(self, workload: str, path: Path, cost: PathCost) -> None:
        """A workload was tried on a path; the newest trial counts."""
        with self._lock:
            if (workload, path) in self._trials or len(self._trials) < KEYS_MAX:
                self._trials[(workload, path)] = cost

    def trials(self) -> dict[tuple[str, Path], PathCost]:
        """By workload and path, what trials since the start have said."""
        with self._lock:
            return dict(self._trials)

    def since_start(self) -> dict[Key, Spent]:
        """By workload and path, all that was noted since this was made."""
        with self._lock:
            return dict(self._totals)

    def unsaved(self, now_us: int, *, is_last: bool = False) -> list[Entry[Spent]]:
        """What is to be stored now, each given once: minutes, hours and days that are over (``is_last``: also the minute under way)."""
        with self._lock:
            self._turn(now_us)
            if is_last:
                self._close()
            found = [e for number in self._unsaved.spans(_MINUTE) for e in self._unsaved.span(_MINUTE, number)]
            self._unsaved = Tiers(_LEVELS, total)
            for level, saved in zip((_HOUR, _DAY), self._saved, strict=True):
                now = now_us // (_LEVELS[level].span_s * US_PER_S)
                for number in self._tiers.spans(level):
                    if number < now and number not in saved:
                        saved.add(number)
                        found += self._tiers.span(level, number)
                saved.intersection_update(self._tiers.spans(level))
            return found

    def load(self, entries: Sequence[Entry[Spent]], *, now_us: int) -> None:
        """What was stored; a span counts in the coarser one that it lies in where that is not stored as a whole."""
        with self._lock:
            whole = [{e.since_us // (level.span_s * US_PER_S) for e in entries if e.span_s == level.span_s} for level in _LEVELS]
            for e in entries:
                finest = next(n for n, level in enumerate(_LEVELS) if level.span_s == e.span_s)
                coarsest = finest + 1
                while coarsest < len(_LEVELS) and e.since_us // (_LEVELS[coarsest].span_s * US_PER_S) not in whole[coarsest]:
                    coarsest += 1
                self._tiers.add(e.since_us, e.key, e.value, finest=finest, coarsest=coarsest)
            self._saved[0].update(whole[_HOUR])
            self._saved[1].update(whole[_DAY])
            self._tiers.forget(now_us)

    def _turn(self, now_us: int) -> None:
        """Closes the minute under way when it is over. A clock that went back by less than a minute changes nothing."""
        slot = now_us // (_LEVELS[0].span_s * US_PER_S)
        if slot > self._slot or slot < self._slot - 1:
            self._close()
            self._slot = slot
            self._tiers.forget(now_us)
            self._unsaved.forget(now_us)

    def _close(self) -> None:
        at_us = self._slot * _LEVELS[0].span_s * US_PER_S
        for key, spent in self._open.items():
            self._tiers.add(at_us, key, spent)
            self._unsaved.add(at_us, key, spent, coarsest=1)
        self._open = {}
