"""What goes first, what is tried again and when, and what is no longer tried. Pure: the queue that runs asks here.

A run is one row of the history from the moment it is queued: waiting, running, then done, failed or cancelled. A run that fails
waits and is tried again as long as it may; when it has failed for good, its work rests, longer each time, so that one that can't
succeed costs the box next to nothing for as long as it goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from appliance.batch_options import PRIORITIES, Priority
from appliance.clock import US_PER_S

AGE_US: Final = 1_800 * US_PER_S
"""What has waited for so long goes as if its priority were one higher, so that everything has its turn."""
BACKOFF_S: Final = 15.0
BACKOFF_FACTOR: Final = 4.0
BACKOFF_S_MAX: Final = 3_600.0
JITTER: Final = 0.25
"""Part of a wait that is by chance, so that what failed together isn't tried together."""
URGENT_KIND: Final = "analysis"
REST_S: Final = 60.0
REST_S_MAX: Final = 3_600.0


class RunState(StrEnum):
    """Where a run is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """For good: it is not tried again."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Queued:
    """A run that is not over."""

    id: int
    name: str
    kind: str
    due_us: int
    reason: str
    priority: Priority
    queued_us: int
    not_before_us: int = 0
    """It waits until then at least: it has failed before."""
    attempt: int = 1
    interrupted: int = 0
    """How often the appliance ended while it ran."""
    is_running: bool = False
    day: int | None = None
    """Of its stream, where it is about one."""
    error: str = ""
    """Of the attempt before."""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Again:
    """What becomes of a run that has failed: tried again not before this time."""

    not_before_us: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a piece of work does, over its runs."""

    failures: int = 0
    """Runs in a row that have failed for good."""
    failed_us: int | None = None
    """When the last one did."""


def choose(queued: Iterable[Queued], *, jobs_max: int, now_us: int) -> list[Queued]:
    """What begins now, in order: never two runs of one piece of work at once, never more than ``jobs_max`` in all, and besides those one
    that is urgent."""
    runs = list(queued)
    busy = {r.name for r in runs if r.is_running}
    free = jobs_max - sum(r.is_running and not is_urgent(r) for r in runs)
    urgent = [r for r in runs if not r.is_running and r.not_before_us <= now_us and is_urgent(r) and r.name not in busy]
    has_room = not any(r.is_running and is_urgent(r) for r in runs)
    chosen: list[Queued] = [min(urgent, key=lambda r: _rank(r, now_us))] if urgent and has_room else []
    free += len(chosen)
    busy |= {r.name for r in chosen}
    runs = [r for r in runs if not is_urgent(r)]
    for run in sorted((r for r in runs if not r.is_running and r.not_before_us <= now_us), key=lambda r: _rank(r, now_us)):
        if free <= len(chosen):
            break
        if run.name not in busy:
            busy.add(run.name)
            chosen.append(run)
    return chosen


def is_urgent(run: Queued) -> bool:
    """Whether an answer that people have is wrong or unproven until it is done: the deep pass of an incident."""
    return run.kind == URGENT_KIND and run.priority == PRIORITIES[-1]


def after_failure(
    run: Queued, *, retries: int, standing: Standing, may_retry: bool, now_us: int, jitter: float, after_s: float = 0
) -> Again | None:
    """Whether and when a run that has failed is tried again; None: it has failed for good.

    ``jitter`` is a number from 0 to 1 by chance; ``after_s`` is what the failure itself asked for. Work whose last run has failed
    for good gets one attempt a run until it is well again.
    """
    if not may_retry or run.attempt > retries or standing.failures > 0:
        return None
    wait_s = min(BACKOFF_S * BACKOFF_FACTOR ** (run.attempt - 1), BACKOFF_S_MAX)
    return Again(now_us + round(max(wait_s * (1 + JITTER * jitter), after_s) * US_PER_S))


def after_interruption(run: Queued, *, now_us: int) -> int:
    """When a run during which the appliance ended is begun again: at once the first time, later each time after."""
    if run.interrupted == 0:
        return now_us
    return now_us + round(min(BACKOFF_S * BACKOFF_FACTOR ** (run.interrupted - 1), BACKOFF_S_MAX) * US_PER_S)


def rests_until(standing: Standing, *, now_us: int) -> int | None:
    """Until when nothing of a piece of work is queued by itself, since it has failed for good; None: it doesn't rest (any more)."""
    if standing.failed_us is None or not standing.failures:
        return None
    rest_s = min(REST_S * 2.0 ** min(standing.failures - 1, 30), REST_S_MAX)
    until_us = standing.failed_us + round(rest_s * US_PER_S)
    is_possible = until_us <= now_us + round(REST_S_MAX * US_PER_S)  # else the clock has been set back since
    return until_us if now_us < until_us and is_possible else None


def next_look(queued: Sequence[Queued], dues_us: Iterable[int | None], *, now_us: int, at_most_us: int) -> int:
    """When the queue is to be looked at again, in microseconds from now: at most ``at_most_us``."""
    times = [r.not_before_us for r in queued if not r.is_running and r.not_before_us > now_us]
    times += [due for due in dues_us if due is not None]
    return max(0, min([at_most_us, *(t - now_us for t in times)]))


def _rank(run: Queued, now_us: int) -> tuple[int, int, int]:
    waited = max(0, now_us - max(run.queued_us, run.not_before_us))
    return -min(PRIORITIES.index(run.priority) + waited // AGE_US, len(PRIORITIES)), run.due_us, run.id
