"""When what is unusual is worth an incident: a pure function of what came close together in event time, and of what usually does.

A score says how rarely a series goes so far; with thousands of records a minute something rare is always there, and machines have bursts
of their own each minute. So a single sighting counts for little. *Surprise* adds up over what comes together: over the records of a series
(persistence) and over series, of which those of one record count little besides the first, since they move together. It has to stand out
from the usual peaks of the last hour: of the thing itself, of its stream, and of everything. No crying wolf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from appliance.clock import US_PER_S
from appliance.hybrid.analysis.sighting import Sighting

SURPRISE_MAX: Final = 6.0
"""Of one record, whatever its score: no scale of scores means anything beyond one in a million."""
NEAR: Final = 1.0
PER_SPREAD: Final = 0.5
"""Of one record at most ``NEAR`` and so much for each usual spread that it is away: among many series some are always at the end of what
they have shown so far, for some records on end, without being far from anything."""
FAR_FROM: Final = 10.0
FAR: Final = 5.0
"""So much more at ten times as many spreads and beyond, where no chance goes: the third record of such a series on end is an incident."""
SELDOM: Final = 2.0
"""More for each power of ten seconds between records: the same rarity among records an hour apart is rarer in time."""
SELDOM_MAX: Final = 8.0
STEP_US: Final = US_PER_S
"""Between two records of a series, where it is not known."""
STEPS_TOGETHER: Final = 6
"""Records of a series that count together."""
TOGETHER_SHARE: Final = 0.2
"""Of the surprise of further fields of the same record."""
TOGETHER_US_MIN: Final = 10 * US_PER_S
TOGETHER_US_MAX: Final = 6 * 3_600 * US_PER_S
AT_HALF: Final = 25.0
"""Surprise for an incident at a sensitivity of 0.5: six seconds of one series that is as rare as can be, two seconds of four."""
PER_HALF: Final = 6.0
"""So many times as much at 0, as little at 1: there one record of one in ten thousand is nearly enough."""
OVER_USUAL: Final = 2.0
"""So many times as much as the usual peaks it must be besides."""
NEW_TIMES: Final = 4.0
"""So many times as much where nothing has been followed yet, less and less until ``NEW_SPANS`` are known."""
NEW_SPANS: Final = 10
UNKNOWN_SPANS: Final = 2
"""Before these, nobody knows what is usual, and nothing is opened: two minutes of what comes each second."""
PEAK_US_MIN: Final = 60 * US_PER_S
PEAKS: Final = 60
"""Spans of which the peaks are kept."""
USUAL_SHARE: Final = 0.1
"""Of all spans that have peaks above what is called usual."""
WEEK_US: Final = 7 * 86_400 * US_PER_S


def surprise(sighting: Sighting) -> float:
    """0 for a score of 0, 2 for one in a hundred; up to ``SELDOM_MAX`` more for a series that has a record seldom."""
    rare = surprise_of(sighting.score)
    if sighting.spreads is not None:
        far = FAR * min(1.0, math.log10(max(sighting.spreads, FAR_FROM) / FAR_FROM)) if rare >= SURPRISE_MAX / 2 else 0.0
        rare = min(rare, NEAR + PER_SPREAD * sighting.spreads) + far
    return rare + min(SELDOM_MAX, max(0.0, SELDOM * math.log10(step_of(sighting) / US_PER_S))) if rare > 0 else 0.0


def surprise_of(score: float) -> float:
    """Of a score alone."""
    return SURPRISE_MAX if score >= 1 else min(SURPRISE_MAX, -math.log10(1 - max(0.0, score)))


def step_of(sighting: Sighting) -> int:
    """Event time between records of its series, µs."""
    return max(1, STEP_US if sighting.step_us is None else sighting.step_us)


def together_us(sighting: Sighting) -> int:
    """How far from it in event time another one may be to come together with it."""
    return min(TOGETHER_US_MAX, max(TOGETHER_US_MIN, STEPS_TOGETHER * step_of(sighting)))


def are_together(a: Sighting, b: Sighting) -> bool:
    """Whether two of them come together: close by the standards of both."""
    return abs(a.ts_us - b.ts_us) <= min(together_us(a), together_us(b))


def needed(sensitivity: float) -> float:
    """The surprise that opens an incident where nothing unusual ever comes."""
    return AT_HALF * float(PER_HALF ** (1 - 2 * sensitivity))


def enough(sensitivity: float) -> float:
    """The surprise with which a series joins an incident that is there, and with which one goes on."""
    return needed(sensitivity) / 3


def opens(found: float, usual: float, *, sensitivity: float, spans: int) -> bool:
    """Whether so much surprise is worth an incident where ``usual`` is that of usual peaks, out of so many ``spans`` that were followed."""
    if spans < UNKNOWN_SPANS:
        return False
    times = 1 + (NEW_TIMES - 1) * max(0.0, 1 - spans / NEW_SPANS)
    return found >= max(times * needed(sensitivity), OVER_USUAL * usual)


def goes_on(found: float, usual: float, *, sensitivity: float) -> bool:
    """Whether so much surprise keeps an incident open."""
    return found >= enough(sensitivity) + usual


@dataclass(frozen=True, slots=True)
class Heat:
    """The surprise that has come together by now: each sighting's the less the longer ago."""

    value: float = 0.0
    at_us: int = 0
    """Event time of the newest."""
    top: float = 0.0
    """The most surprising field of the newest record."""

    def share(self, sighting: Sighting) -> float:
        """What a sighting adds, where this is the heat of the thing that it is about: further fields of its newest record add little."""
        amount = surprise(sighting)
        if self.at_us != sighting.ts_us or not self.top:
            return amount
        return TOGETHER_SHARE * min(amount, self.top) + max(0.0, amount - self.top)

    def plus(self, amount: float, sighting: Sighting) -> Heat:
        """After so much more at the time of the sighting."""
        is_same = self.at_us == sighting.ts_us
        value = self.at(sighting.ts_us, together_us(sighting)) + amount
        top = max(surprise(sighting), self.top) if is_same else surprise(sighting)
        return Heat(value, max(self.at_us, sighting.ts_us), top)

    def at(self, ts_us: int, span_us: int) -> float:
        """What is left of it then; of what is measured at other intervals by those."""
        return self.value * math.exp(-abs(ts_us - self.at_us) / span_us) if self.value else 0.0


@dataclass(frozen=True, slots=True)
class Peaks:
    """The highest surprise of each of the newest spans of event time."""

    span_us: int = PEAK_US_MIN
    spans: tuple[tuple[int, float], ...] = ()
    """Number of the span -> its peak, the newest last; spans that are missing had none."""

    def plus(self, value: float, sighting: Sighting) -> Peaks:
        """After another value; late ones that no span is kept of are left out."""
        span_us = max(self.span_us, PEAK_US_MIN, together_us(sighting))
        if self.spans and self.spans[-1][0] == sighting.ts_us // span_us and self.spans[-1][1] >= value and span_us == self.span_us:
            return self
        old = dict(self.spans) if span_us == self.span_us else {}
        at = sighting.ts_us // span_us
        found = sorted({**old, at: max(value, old.get(at, 0.0))}.items())
        return Peaks(span_us, tuple((n, v) for n, v in found if n > found[-1][0] - PEAKS))

    def usual(self, ts_us: int, followed_us: int) -> float:
        """A peak as ``USUAL_SHARE`` of all spans before have it or a higher one; ``followed_us`` says how many there were."""
        now = ts_us // self.span_us
        known = min(PEAKS, max(len(self.spans), self.spans_of(followed_us)))
        before = sorted((value for number, value in self.spans if now - PEAKS < number < now), reverse=True)
        place = int(USUAL_SHARE * known)
        return before[place] if place < len(before) else 0.0

    def spans_of(self, followed_us: int) -> int:
        """How many there were in that time."""
        return followed_us // self.span_us


def followed_us(sighting: Sighting) -> int:
    """For how long its series has been followed, at most a week."""
    return int(sighting.learned * WEEK_US)
