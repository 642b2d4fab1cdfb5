"""Which streams are rolled now, up to which sequence, and why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from appliance.options import RollOptions

NS_PER_S = 1_000_000_000


class Reason(StrEnum):
    """Why a stream is rolled; the first that holds."""

    ASKED = "asked"
    CLOSING = "closing"
    ROWS = "rows_max reached"
    EVERY = "every elapsed"


@dataclass(frozen=True, slots=True)
class HotStream:
    """What the plan needs to know of one stream."""

    stream: str
    mark: int
    """Highest sequence that is in the lake."""
    last_seq: int
    """Highest sequence that is committed; those above ``mark`` are the hot rows."""
    oldest_ns: int
    """Monotonic time of the commit of the oldest hot row (of the start, when it was committed before); unused without hot rows."""

    @property
    def rows(self) -> int:
        return self.last_seq - self.mark


@dataclass(frozen=True, slots=True)
class RollStep:
    """One stream's part of a roll: the records above ``mark``, up to ``until`` at most."""

    stream: str
    mark: int
    until: int
    """Highest sequence to take, included; fewer may be taken when the rows are wide, then a next plan has the rest."""
    reason: Reason

    @property
    def rows_max(self) -> int:
        return self.until - self.mark

    def __str__(self) -> str:
        return f"{self.stream}: {self.rows_max} records ({self.mark + 1} to {self.until}), {self.reason}"


@dataclass(frozen=True, slots=True)
class RollPlan:
    """What to roll now, in this order; falsy when there is nothing to do."""

    steps: tuple[RollStep, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)


def plan_roll(
    streams: Iterable[HotStream], *, options: RollOptions, now_ns: int, asked: Collection[str] = (), closing: bool = False
) -> RollPlan:
    """At most one step a stream and at most ``rows_max`` records a step, so that memory stays bounded: plan again for more.

    ``asked`` names streams that are rolled whatever they hold; ``closing`` rolls all. Fullest first, so that the store
    shrinks where it grows. Streams without hot records are never in the plan.
    """
    steps = []
    for hot in streams:
        assert hot.mark <= hot.last_seq, hot
        if hot.rows and (reason := _reason(hot, options, now_ns=now_ns, asked=asked, closing=closing)):
            steps.append(RollStep(hot.stream, hot.mark, min(hot.last_seq, hot.mark + options.rows_max), reason))
    return RollPlan(tuple(sorted(steps, key=lambda s: (-s.rows_max, s.stream))))


def next_roll_ns(streams: Iterable[HotStream], *, options: RollOptions) -> int | None:
    """The monotonic time at which a plan will have something to do if nothing more comes; None: never."""
    due = (hot.oldest_ns + round(options.every_s * NS_PER_S) for hot in streams if hot.rows)
    return min(due, default=None)


def _reason(hot: HotStream, options: RollOptions, *, now_ns: int, asked: Collection[str], closing: bool) -> Reason | None:
    if hot.stream in asked:
        return Reason.ASKED
    if closing:
        return Reason.CLOSING
    if hot.rows >= options.rows_max:
        return Reason.ROWS
    if now_ns - hot.oldest_ns >= options.every_s * NS_PER_S:
        return Reason.EVERY
    return None
