"""One incident while it goes on: what belongs to it, how grave it is, when it is over. Frozen values and pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.incidents.opening import step_of, surprise, surprise_of
from appliance.hybrid.analysis.sighting import Sighting
from appliance.observe.analysis import MemberRow

Series = tuple[str, str, tuple[tuple[str, str | None], ...], str | None]
"""Stream, field, tags, template: what a member is about."""
MEMBERS_MAX: Final = 200
"""Series of one incident that are told apart; of further ones their records are counted."""
QUIET_US: Final = 300 * US_PER_S
"""Without anything unusual for so long it is over; longer for what is measured seldom."""
QUIET_STEPS: Final = 12
SILENT_US: Final = 86_400 * US_PER_S
"""An incident whose streams have fallen silent is over when others have gone on for so long; not where it raises an alert."""
ONSET_US: Final = 60 * US_PER_S
"""What begins so close to its beginning belongs to it, whatever it is about."""
GRAVE: Final = 20.0
"""Surprise of all members together at which the severity is 1 - 1/e: ten series with one record in a hundred each."""
LASTING: Final = 16
GRAVEST_MEMBERS: Final = 10
GROWN_SEVERITY: Final = 0.2
GROWN_MEMBERS: Final = 3


@dataclass(frozen=True, slots=True)
class Size:
    """How large an incident was when it was last told of."""

    members: int = 0
    severity: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One incident that goes on. One that was dismissed stays for as long as what it is about does, so that it isn't opened again."""

    id: int
    workload: str
    since_us: int
    until_us: int
    """Event time of the newest sighting that kept it open."""
    members: dict[Series, MemberRow] = field(default_factory=dict)
    """Not changed but by the round that made it."""
    others: int = 0
    """Unusual records of series beyond ``MEMBERS_MAX``."""
    learned: float = 1.0
    """The least of its series: how much of a week had been seen."""
    step_us: int = US_PER_S
    """The longest event time between two records of one of its series."""
    is_dismissed: bool = False
    told: Size = Size()

    @property
    def streams(self) -> tuple[str, ...]:
        """Of its members, the gravest first."""
        return tuple(dict.fromkeys(row.stream for row in self.gravest()))

    def gravest(self) -> list[MemberRow]:
        """Its members: what is both rare and lasts first, then the one that began first."""
        return sorted(self.members.values(), key=lambda m: (-weight(m), m.since_us, m.stream, m.column))

    @property
    def severity(self) -> float:
        """0 to 1, by the surprise of its gravest members."""
        all_ = sorted((surprise_of(m.score) for m in self.members.values()), reverse=True)
        return round(1 - math.exp(-sum(all_[:GRAVEST_MEMBERS]) / GRAVE), 4)

    @property
    def size(self) -> Size:
        """As it is now."""
        return Size(len(self.members), self.severity)

    @property
    def has_grown(self) -> bool:
        """Whether it is much larger or graver than when it was last told of."""
        now, then = self.size, self.told
        many = now.members >= max(2 * then.members, then.members + GROWN_MEMBERS)
        return many or now.severity >= then.severity + GROWN_SEVERITY

    @property
    def quiet_us(self) -> int:
        """After so much event time without anything unusual it is over."""
        return max(QUIET_US, QUIET_STEPS * self.step_us)

    def holds(self, sighting: Sighting) -> bool:
        """Whether it is of one of its series, and of its time."""
        return sighting.series in self.members and self.covers(sighting.ts_us)

    def covers(self, ts_us: int) -> bool:
        """Whether that is a time at which it goes on or might."""
        return self.since_us - ONSET_US <= ts_us <= self.until_us + self.quiet_us

    def is_near(self, sighting: Sighting) -> bool:
        """Whether something that is not one of its series belongs to it: what begins when it began, or is of the same thing."""
        if not self.covers(sighting.ts_us):
            return False
        return abs(sighting.ts_us - self.since_us) <= ONSET_US or self.is_related(sighting)

    def is_related(self, sighting: Sighting) -> bool:
        """Whether it is about something that it is about already."""
        tags = {(name, value) for name, value in sighting.key if value is not None}
        return any(sighting.stream == m.stream or _are_of_one(tags, m.key) for m in self.members.values())

    def distance(self, sighting: Sighting) -> tuple[bool, int]:
        """The least is the nearest: what is about the same, then what is close in event time, µs."""
        away_us = max(0, self.since_us - sighting.ts_us, sighting.ts_us - self.until_us)
        return not self.is_related(sighting), away_us

    def with_sightings(self, found: Iterable[Sighting], *, goes_on: bool) -> Case:
        """After these as well, with the same ``members``, which are changed. ``goes_on``: whether they keep it open; one that is unusual by
        chance from time to time doesn't."""
        members, others, since, until = self.members, self.others, self.since_us, self.until_us
        learned, step = self.learned, self.step_us
        for s in found:
            if s.series in members or len(members) < MEMBERS_MAX:
                members[s.series] = _joined(members.get(s.series), s)
                since, learned, step = min(since, s.ts_us), min(learned, s.learned), max(step, step_of(s))
            else:
                others += s.records
            until = max(until, s.ts_us) if goes_on else until
        return replace(self, others=others, since_us=since, until_us=until, learned=learned, step_us=step)

    def is_over(self, seen: Mapping[str, int], *, raises_alert: bool) -> bool:
        """Whether its gravest stream has gone on for long enough without anything unusual; ``seen`` is event time by stream."""
        end_us = self.until_us + self.quiet_us
        gravest = max(self.members.values(), key=weight)
        if seen.get(gravest.stream, 0) >= end_us:
            return True
        return not raises_alert and max(seen.values(), default=0) >= end_us + SILENT_US


def weight(member: MemberRow) -> float:
    """How grave a member is: the surprise at its peak, the more the longer it lasts, up to ``LASTING`` records."""
    return surprise_of(member.score) * math.sqrt(min(member.records, LASTING))


def _joined(row: MemberRow | None, s: Sighting) -> MemberRow:
    if row is None:
        return MemberRow(
            stream=s.stream,
            column=s.column,
            key=dict(s.key),
            template=s.template,
            kind=s.kind,
            since_us=s.ts_us,
            until_us=s.ts_us,
            peak_us=s.ts_us,
            score=s.score,
            value=s.value,
            expected=s.expected,
            records=s.records,
            reason=s.reason,
            seq=s.seq,
        )
    change: dict[str, object] = {
        "since_us": min(row.since_us, s.ts_us),
        "until_us": max(row.until_us, s.ts_us),
        "records": row.records + s.records,
    }
    if surprise(s) > 0 and (s.score > row.score or (s.kind == row.kind == "silence" and s.score == row.score)):
        change |= {"peak_us": s.ts_us, "score": s.score, "value": s.value, "expected": s.expected, "reason": s.reason, "seq": s.seq}
        change |= {"kind": s.kind}
    return msgspec.structs.replace(row, **change)


def _are_of_one(tags: Set[tuple[str, str]], key: Mapping[str, str | None]) -> bool:
    """Of the same thing: a tag that both have with the same value, or no tag at all in both."""
    return bool(tags & key.items()) if tags else not key
