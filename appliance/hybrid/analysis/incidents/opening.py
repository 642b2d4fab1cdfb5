"""When what is unusual is worth an incident: a pure function of what was seen close together in event time. No crying wolf.

A score says how rarely a series goes so far; with thousands of records a minute something rare is always there. So single sightings
count for little: their *surprise* adds up over what comes together, over the records of one series (persistence) and over series, and has
to stand out from what usually adds up without anything coming of it. What is measured seldom is worth more: the same rarity among records
an hour apart is rarer in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.sighting import Sighting

SURPRISE_MAX: Final = 6.0
"""Of one record, whatever its score: no scale of scores means anything beyond one in a million."""
SELDOM_MAX: Final = 3.0
STEP_US: Final = US_PER_S
"""Between two records of a series, where it is not known."""
STEPS_TOGETHER: Final = 6
"""Records of a series that count together."""
TOGETHER_US_MIN: Final = 10 * US_PER_S
TOGETHER_US_MAX: Final = 6 * 3_600 * US_PER_S
AT_HALF: Final = 15.0
"""Surprise for an incident at a sensitivity of 0.5: eight records of one in a hundred, or three of one in a million, within seconds."""
PER_HALF: Final = 6.0
"""So many times as much at 0, as little at 1: there one record of one in a hundred is enough."""
NEW: Final = 1 / 1_000
"""Of a week, ten minutes: what was seen for less is not known well, nor is what usually comes together."""
NEW_TIMES: Final = 1.5
"""By what the needed surprise is multiplied then."""
OVER_USUAL: Final = 4.0
"""By what the usual surprise of such a time is multiplied before it is added to what is needed."""
USUAL_OVER_S: Final = 3_600.0
"""Over which time it is learned what is usual, by event time."""
USUAL_AFTER_S: Final = 60.0
"""As if nothing had been seen for so long before the first record."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for an incident around one sighting."""

    surprise: float
    """Of all that came together with it."""
    usual: float
    """What usually comes together within such a time."""
    learned: float = 1.0
    """The least of its series: how much of a week had been seen."""


def surprise(sighting: Sighting) -> float:
    """0 for a score of 0, 2 for one in a hundred; up to ``SELDOM_MAX`` more for a series that has a record seldom."""
    rare = SURPRISE_MAX if sighting.score >= 1 else min(SURPRISE_MAX, -math.log10(1 - max(0.0, sighting.score)))
    return rare + min(SELDOM_MAX, max(0.0, math.log10(step_of(sighting) / US_PER_S))) if rare > 0 else 0.0


def step_of(sighting: Sighting) -> int:
    """Event time between records of its series, µs."""
    return max(1, STEP_US if sighting.step_us is None else sighting.step_us)


def together_us(sighting: Sighting) -> int:
    """How far from it in event time another one may be to come together with it."""
    return min(TOGETHER_US_MAX, max(TOGETHER_US_MIN, STEPS_TOGETHER * step_of(sighting)))


def are_together(a: Sighting, b: Sighting) -> bool:
    """Whether two of them count together: close by the standards of both."""
    return abs(a.ts_us - b.ts_us) <= min(together_us(a), together_us(b))


def needed(sensitivity: float) -> float:
    """The surprise that opens an incident where nothing unusual ever comes."""
    return AT_HALF * float(PER_HALF ** (1 - 2 * sensitivity))


def opens(evidence: Evidence, *, sensitivity: float) -> bool:
    """Whether it is worth an incident. A single record is so only where ``sensitivity`` asks for little."""
    times = NEW_TIMES if evidence.learned < NEW else 1.0
    return evidence.surprise >= times * needed(sensitivity) + OVER_USUAL * evidence.usual


def enough(sensitivity: float) -> float:
    """The surprise of one series with which it joins an incident that is there, and of newest sightings with which one goes on."""
    return needed(sensitivity) / 3


@dataclass(frozen=True, slots=True)
class Usual:
    """The surprise of one stream that leads to nothing: an average that forgets, by event time."""

    sum: float = 0.0
    """Of surprises, each the less the longer ago."""
    at_us: int = 0
    """Event time of the newest."""
    since_us: int = 0
    """Of the first."""

    def with_one(self, amount: float, ts_us: int) -> Usual:
        """After another one."""
        if not self.at_us:
            return Usual(amount, ts_us, ts_us)
        at_us = max(self.at_us, ts_us)
        return Usual(self.sum * _kept(at_us - self.at_us) + amount * _kept(at_us - ts_us), at_us, min(self.since_us, ts_us))

    def within(self, span_us: int, *, ts_us: int) -> float:
        """What usually adds up in a time of this length."""
        if not self.at_us:
            return 0.0
        seen_s = max(0, ts_us - self.since_us) / US_PER_S + USUAL_AFTER_S
        over_s = USUAL_OVER_S * (1 - math.exp(-seen_s / USUAL_OVER_S))
        return self.sum * _kept(max(0, ts_us - self.at_us)) / over_s * span_us / US_PER_S


def _kept(us: int) -> float:
    return math.exp(-us / US_PER_S / USUAL_OVER_S)
