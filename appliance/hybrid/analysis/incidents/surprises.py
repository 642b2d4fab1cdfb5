"""How much surprise there is by now, of each thing, of each stream, of everything, and how high its usual peaks are. One owner: a round."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from appliance.hybrid.analysis.incidents import opening
from appliance.hybrid.analysis.incidents.opening import Heat, Peaks, enough, followed_us, needed, together_us
from appliance.hybrid.analysis.sighting import Sighting

THINGS_MAX: Final = 2_000
"""Things of which the surprise is kept; those that were unusual longest ago go first."""
ALL: Final = ""
_MARK: Final = "\x1f"


@dataclass(slots=True)
class Surprises:
    """By scope: everything (``ALL``), a stream, a thing of a stream. ``free`` is what belongs to no incident."""

    all: dict[str, Heat] = field(default_factory=dict)
    free: dict[str, Heat] = field(default_factory=dict)
    peaks: dict[str, Peaks] = field(default_factory=dict)
    """Of everything, of each stream, and of the thing of each stream that was most surprising."""

    def copy(self) -> Surprises:
        """For a round."""
        return Surprises(dict(self.all), dict(self.free), dict(self.peaks))

    def take(self, s: Sighting, *, is_free: bool, is_usual: bool) -> None:
        """One more. ``is_usual``: whether peaks are learned from it."""
        for heats in (self.all, self.free) if is_free else (self.all,):
            thing = heats.pop(thing_of(s), Heat())
            amount = thing.share(s)
            heats[thing_of(s)] = thing.plus(amount, s)
            for scope in (stream_of(s), ALL):
                heats[scope] = heats.get(scope, Heat()).plus(amount, s)
            if len(heats) > THINGS_MAX:
                del heats[next(iter(heats))]
        if is_usual:
            for scope, name in _scopes(s):
                self.peaks[name] = self.peaks.get(name, Peaks()).plus(self.all[scope].value, s)

    def opens(self, s: Sighting, *, sensitivity: float) -> bool:
        """Whether what belongs to no incident is worth one, at the time of a sighting that was just taken."""
        for scope, name in _scopes(s):
            found = self.free[scope].at(s.ts_us, together_us(s)) if scope in self.free else 0.0
            if found < needed(sensitivity):
                continue
            peaks, known_us = self.peaks.get(name, Peaks()), followed_us(s)
            if opening.opens(found, peaks.usual(s.ts_us, known_us), sensitivity=sensitivity, spans=peaks.spans_of(known_us)):
                return True
        return False

    def goes_on(self, s: Sighting, *, sensitivity: float) -> bool:
        """Whether what is unusual by now keeps an incident open."""
        for scope, name in _scopes(s):
            found = self.all[scope].at(s.ts_us, together_us(s))
            if found < enough(sensitivity):
                continue
            if opening.goes_on(found, self.peaks.get(name, Peaks()).usual(s.ts_us, followed_us(s)), sensitivity=sensitivity):
                return True
        return False

    def join(self, found: Iterable[Sighting]) -> None:
        """These belong to an incident now."""
        for s in found:
            for scope, _ in _scopes(s):
                self.free.pop(scope, None)


def thing_of(s: Sighting) -> str:
    """What has a record: a stream with its tags, or a template."""
    return _MARK.join(["thing", s.stream, s.template or "", *(f"{name}={value}" for name, value in s.key)])


def stream_of(s: Sighting) -> str:
    """Its stream as a scope."""
    return f"stream{_MARK}{s.stream}"


def _scopes(s: Sighting) -> tuple[tuple[str, str], ...]:
    """Each scope with the name of its peaks."""
    return (thing_of(s), f"things{_MARK}{s.stream}"), (stream_of(s), stream_of(s)), (ALL, ALL)
