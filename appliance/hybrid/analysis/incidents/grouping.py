"""Sightings close in time become one incident: one workload's, step by step. Pure.

A sighting goes to the incident that has its series; else it waits with others of its time, until together they join an incident that is
near or are worth one of their own. What waits too long has led to nothing, and is what is usual.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.incidents.cases import Case
from appliance.hybrid.analysis.incidents.opening import are_together, enough, surprise, together_us
from appliance.hybrid.analysis.incidents.surprises import Surprises
from appliance.hybrid.analysis.sighting import Sighting

WAITING_MAX: Final = 512
"""Sightings that wait for others; the oldest go first."""
LEARNS_AFTER_US: Final = 1_800 * US_PER_S
"""What an incident has is learned as usual only when it has gone on for so long; longer for what is measured seldom."""
LEARNS_STEPS: Final = 36


@dataclass(frozen=True, slots=True)
class Rules:
    """How one workload's sightings are grouped."""

    sensitivity: float = 0.5
    open_max: int = 50
    """Incidents open at once; what is unusual besides joins the nearest one."""
    raises_alert: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """All that is known of one workload's incidents that go on."""

    cases: Mapping[int, Case] = field(default_factory=dict)
    waiting: tuple[Sighting, ...] = ()
    surprises: Surprises = field(default_factory=Surprises)
    places: Mapping[str, int] = field(default_factory=dict)
    """Stream -> the highest sequence of a sighting that was taken: what comes up to there was taken before."""
    seen: Mapping[str, int] = field(default_factory=dict)
    """Stream -> how far event time has come."""

    @property
    def open(self) -> list[Case]:
        """Without those that were dismissed."""
        return [case for case in self.cases.values() if not case.is_dismissed]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round has made of a group."""

    group: Group
    opened: tuple[int, ...] = ()
    grown: tuple[int, ...] = ()
    """Much larger or graver than when they were last told of; without those just opened."""
    closed: tuple[Case, ...] = ()
    """Over, as they were; dismissed ones among them, which were told as over before."""
    changed: frozenset[int] = frozenset()
    """All that are another thing than before."""


def step(
    group: Group, sightings: Sequence[Sighting], seen: Mapping[str, int], *, workload: str, rules: Rules, new_id: Callable[[], int]
) -> Outcome:
    """One round: ``sightings`` by event time, ``seen`` as of ``Group.seen``; ``new_id`` gives the number of the next incident."""
    fresh = [s for s in sightings if place_of(s)[1] > group.places.get(place_of(s)[0], 0)]
    if not fresh and not _moves(group, seen):
        return Outcome(group)
    grouper = _Grouper(group, workload, rules, new_id)
    for sighting in fresh:
        grouper.take(sighting)
    return grouper.finish(seen)


def place_of(s: Sighting) -> tuple[str, int]:
    """By what it is known that a sighting was taken: its stream and its sequence; its time where it is about what did not come."""
    return (f"{s.stream} silence", s.ts_us) if s.kind == "silence" else (s.stream, s.seq)


def _moves(group: Group, seen: Mapping[str, int]) -> bool:
    """Whether time can change anything."""
    return bool(group.cases or group.waiting) and any(us > group.seen.get(stream, 0) for stream, us in seen.items())


class _Grouper:
    """One round under way."""

    def __init__(self, group: Group, workload: str, rules: Rules, new_id: Callable[[], int]) -> None:
        self._workload, self._rules, self._new_id = workload, rules, new_id
        self._cases = dict(group.cases)
        self._waiting = list(group.waiting)
        self._surprises = group.surprises.copy()
        self._places = dict(group.places)
        self._seen = dict(group.seen)
        self._opened: list[int] = []
        self._changed: set[int] = set()

    def take(self, s: Sighting) -> None:
        """One sighting."""
        name, place = place_of(s)
        self._places[name] = max(self._places.get(name, 0), place)
        self._seen[s.stream] = max(self._seen.get(s.stream, 0), s.ts_us)
        self._let_go_old((s.stream,))
        mine = next((c for c in self._cases.values() if c.holds(s)), None)
        open_ = (c for c in self._cases.values() if not c.is_dismissed and c.covers(s.ts_us))
        young = (c for c in open_ if s.ts_us - c.since_us < max(LEARNS_AFTER_US, LEARNS_STEPS * c.step_us))
        self._surprises.take(s, is_free=mine is None, is_usual=s.kind != "silence" and next(young, None) is None)
        if mine is not None:
            self._move(mine, [s], goes_on=s.kind == "silence" or self._surprises.goes_on(s, sensitivity=self._rules.sensitivity))
            return
        self._waiting = [*self._waiting, s][-WAITING_MAX:]
        own = [w for w in self._waiting if w.series == s.series and are_together(w, s)]
        near = min((c for c in self._cases.values() if not c.is_dismissed and c.is_near(s)), key=lambda c: c.distance(s), default=None)
        is_enough = self._surprises.opens(s, sensitivity=self._rules.sensitivity)
        if near is not None and (is_enough or sum(map(surprise, own)) >= enough(self._rules.sensitivity)):
            self._move(near, self._around(s) if is_enough else own, goes_on=True)
        elif is_enough:
            self._open(self._around(s))

    def finish(self, seen: Mapping[str, int]) -> Outcome:
        """With what time alone does."""
        for stream, us in seen.items():
            self._seen[stream] = max(self._seen.get(stream, 0), us)
        self._let_go_old(seen)
        closed = [c for c in self._cases.values() if c.is_over(self._seen, raises_alert=self._rules.raises_alert)]
        for case in closed:
            del self._cases[case.id]
        grown = [i for i in sorted(self._changed) if i in self._cases and i not in self._opened and self._has_grown(i)]
        for i in {*grown, *self._opened} & set(self._cases):
            self._cases[i] = replace(self._cases[i], told=self._cases[i].size)
        group = Group(self._cases, tuple(self._waiting), self._surprises, self._places, self._seen)
        return Outcome(group, tuple(self._opened), tuple(grown), tuple(closed), frozenset(self._changed))

    def _has_grown(self, case_id: int) -> bool:
        return self._cases[case_id].has_grown and not self._cases[case_id].is_dismissed

    def _around(self, s: Sighting) -> list[Sighting]:
        """What waits and comes together with it."""
        return [w for w in self._waiting if are_together(w, s)]

    def _move(self, case: Case, found: Sequence[Sighting], *, goes_on: bool) -> None:
        """Into an incident, out of those that wait if they do."""
        self._surprises.join(found)
        gone = set(map(id, found))
        self._waiting = [w for w in self._waiting if id(w) not in gone]
        if case.id not in self._changed:  # a round has members of its own, which later sightings of it may change
            case = replace(case, members=dict(case.members))
        self._cases[case.id] = case.with_sightings(found, goes_on=goes_on)
        self._changed.add(case.id)

    def _open(self, found: Sequence[Sighting]) -> None:
        open_ = [c for c in self._cases.values() if not c.is_dismissed]
        if len(open_) >= self._rules.open_max:
            self._move(min(open_, key=lambda c: c.distance(found[-1])), found, goes_on=True)
            return
        case = Case(id=self._new_id(), workload=self._workload, since_us=found[0].ts_us, until_us=found[0].ts_us)
        self._opened.append(case.id)
        self._move(case, found, goes_on=True)

    def _let_go_old(self, streams: Collection[str]) -> None:
        """What has waited for too long has led to nothing."""
        if any(w.ts_us + together_us(w) < self._seen[w.stream] for w in self._waiting if w.stream in streams):
            self._waiting = [w for w in self._waiting if w.stream not in streams or w.ts_us + together_us(w) >= self._seen[w.stream]]
