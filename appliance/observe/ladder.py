"""The ladder on which the box degrades, step by step, and comes up again by itself: a pure state machine over pressures.

Each step takes away what matters least of what is left; records are taken and alerts are told on all of them. Down it goes one step at
a time while more is asked for, so that each measure has time to help; up one step at a time once the pressure has been away for a
while, and a longer while each time that going up has brought it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import msgspec

from appliance.errors import RetryLater

NS_PER_S: Final = 1_000_000_000
RELAPSES_MAX: Final = 6
"""More of them make the wait no longer."""
AGAIN_S: Final = 30
"""What is refused may be asked for again after this time."""


class Step(IntEnum):
    """How far down; each includes those above it."""

    NORMAL = 0
    BATCH_PAUSED = 1
    """No batch work is begun, what is under way stands still; nothing is compacted."""
    ANALYSIS_SHED = 2
    """Nothing is analysed: hybrid panels, charts of alerts, background queries; query processes that wait for questions are let go."""
    VIEWS_LIVE = 3
    """No view is refreshed or stands in for records: what a view has not ready it answers from the records."""
    RECORDS_AND_ALERTS = 4
    """Queries and panels are refused."""

    @property
    def words(self) -> str:
        """For people."""
        return WORDS[self]


WORDS: Final = ("normal", "batch paused", "analysis shed", "views answered live only", "raw records and alerts only")


@dataclass(frozen=True, slots=True)
class Pressure:
    """What one resource asks for."""

    kind: str
    """``memory``, ``disk`` or ``cpu``."""
    wanted: Step
    """At least so far down."""
    kept: Step
    """No further up than this: ``wanted`` by thresholds with a margin, so never less."""
    why: str
    """In words, with figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast it goes down and up; seconds."""

    down_s: float = 2.0
    """More has been asked for during this time before the next step down."""
    calm_s: float = 10.0
    """Less has been asked for during this time before the next step up."""
    relapse_s: float = 300.0
    """A step down within this time of one up makes the next wait twice as long."""
    calm_s_max: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the box stands."""

    step: Step = Step.NORMAL
    since_us: int = 0
    """Wall clock at which it came to this step; 0: it has never been on another."""
    kind: str = ""
    """Of the pressure that brought it here; empty on the normal step."""
    why: str = ""
    worse_ns: int | None = None
    """Since when more is asked for; monotonic, as the two that follow."""
    better_ns: int | None = None
    """Since when less would do."""
    raised_ns: int | None = None
    """When it last went up."""
    relapses: int = 0
    """How often lately a step up was followed by one down."""


class LadderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where the box stands, as surfaces show it."""

    step: int = 0
    name: str = WORDS[0]
    since_us: int | None = None
    """None on the normal step."""
    kind: str = ""
    why: str = ""


def next_standing(now: Standing, pressures: Sequence[Pressure], *, now_ns: int, now_us: int, pace: Pace = Pace()) -> Standing:
    """Where it stands after a look at what is asked for; at most one step away."""
    worst = max(pressures, key=lambda p: (p.wanted, p.kept))
    holding = max(pressures, key=lambda p: (p.kept, p.wanted))
    if worst.wanted > now.step:
        since_ns = now_ns if now.worse_ns is None else now.worse_ns
        if now_ns - since_ns < pace.down_s * NS_PER_S:
            return replace(now, worse_ns=since_ns, better_ns=None)
        is_relapse = now.raised_ns is not None and now_ns - now.raised_ns < pace.relapse_s * NS_PER_S
        relapses = min(now.relapses + 1, RELAPSES_MAX) if is_relapse else now.relapses if now.step else 0
        return Standing(step=Step(now.step + 1), since_us=now_us, kind=worst.kind, why=worst.why, worse_ns=now_ns, relapses=relapses)
    if holding.kept >= now.step:
        return replace(now, worse_ns=None, better_ns=None)
    since_ns = now_ns if now.better_ns is None else now.better_ns
    if now_ns - since_ns < calm_s(now, pace) * NS_PER_S:
        return replace(now, worse_ns=None, better_ns=since_ns)
    step = Step(now.step - 1)
    kind, why = (holding.kind, holding.why) if holding.kept and step else (now.kind, now.why) if step else ("", "")
    return Standing(step=step, since_us=now_us, kind=kind, why=why, better_ns=now_ns, raised_ns=now_ns, relapses=now.relapses)


def calm_s(now: Standing, pace: Pace) -> float:
    """How long less must have been asked for before the next step up."""
    return float(min(pace.calm_s * 2**now.relapses, pace.calm_s_max))


class Ladder:
    """Where the box stands, for everybody who has to keep to it. One owner sets it (the steward); reading it is safe from any thread."""

    def __init__(self) -> None:
        self.standing = Standing()

    @property
    def step(self) -> Step:
        """Now."""
        return self.standing.step

    @property
    def status(self) -> LadderStatus:
        """For surfaces."""
        now = self.standing
        return LadderStatus(
            step=int(now.step), name=now.step.words, since_us=now.since_us if now.step else None, kind=now.kind, why=now.why
        )

    def check(self, step: Step, what: str) -> None:
        """Raises ``RetryLater`` where the box stands at ``step`` or below; ``what`` can't be had there."""
        now = self.standing
        if now.step >= step:
            raise RetryLater(
                f"{what} now: the box is degraded to {now.step.words!r} because {now.why}; it goes up by itself", after_s=AGAIN_S
            )
