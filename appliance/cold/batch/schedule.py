"""When work is due by itself: by a cron expression, at intervals, when a day of a stream is there. Pure.

What a run was due for is noted when it begins; all that has become due until then is served by that one run. So a box that was
switched off for a week catches up with one run, and a run that takes longer than its interval is followed by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Final

from appliance.clock import US_PER_DAY, US_PER_S, day_name
from appliance.cron import parse_cron

LATE_US: Final = 60 * US_PER_S
"""What begins to wait later than this after it was due has been missed, and says so."""
SET_BACK_US: Final = 3 * 3_600 * US_PER_S
"""A clock that goes back by less makes nothing run again (as Debian's cron has it); one that goes back by more was wrong before."""


@dataclass(frozen=True, slots=True)
class When:
    """When a piece of work is due by itself; at most one is set, none means on request only."""

    schedule: str | None = None
    """As cron writes it, in the node's time zone."""
    every_s: float | None = None
    after: str | None = None
    """The name of the work whose success makes it due."""
    on_day: str | None = None
    """The stream a day of which is over and in the lake."""

    @property
    def words(self) -> str:
        """In one line, for people."""
        if self.schedule is not None:
            return self.schedule
        if self.every_s is not None:
            return f"every {self.every_s:g} s"
        if self.after is not None:
            return f"after {self.after}"
        return f"each day of {self.on_day}" if self.on_day is not None else "on request"


@dataclass(frozen=True, slots=True)
class Last:
    """What is known of the times of a piece of work."""

    since_us: int
    """When it was first seen: nothing was due before."""
    due_us: int | None = None
    """Up to when everything that was due has been served."""
    day: int | None = None
    """Up to which day of its stream everything has been served."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run that is to be queued."""

    at_us: int
    reason: str
    """``schedule``, ``every``, ``missed`` or ``day YYYY-MM-DD``."""
    day: int | None = None


def due_now(when: When, last: Last, *, now_us: int, zone: tzinfo, days: Iterable[int] = ()) -> Due | None:
    """What has become due and was not served yet; None: nothing.

    ``days`` are the days of the stream of ``on_day`` that are over and in the lake. Each has a run of its own, in order; of those
    that were there when the work was first seen only the newest has one. ``last`` has been through ``set_back``.
    """
    if when.on_day is not None:
        return _day_due(last, days)
    at_us = next_due(when, last, zone=zone)
    if at_us is None or at_us > now_us:
        return None
    latest_us = _latest(when, at_us, now_us=now_us, zone=zone)
    is_late = latest_us != at_us or now_us - latest_us > LATE_US
    return Due(latest_us, "missed" if is_late and last.due_us is not None else "every" if when.every_s is not None else "schedule")


def set_back(when: When, last: Last, *, now_us: int) -> Last:
    """The same, where the clock has not gone back since; else as if everything until now had been served."""
    slack_us = SET_BACK_US if when.schedule is not None else 0
    ahead_us = max(last.since_us, last.since_us if last.due_us is None else last.due_us)
    if when.on_day is not None or ahead_us <= now_us + slack_us:
        return last
    return replace(last, since_us=min(last.since_us, now_us), due_us=None if last.due_us is None else now_us)


def next_due(when: When, last: Last, *, zone: tzinfo) -> int | None:
    """When it is due next, or was first and is not served; None: not by the clock. An interval begins at once."""
    base_us = last.since_us if last.due_us is None else last.due_us
    if when.schedule is not None:
        return parse_cron(when.schedule).next_after(base_us, zone)
    if when.every_s is not None:
        return base_us if last.due_us is None else base_us + _interval_us(when.every_s)
    return None


def days_there(*, segment_days: Iterable[int], hot_spans: Iterable[tuple[int, int]], now_us: int) -> list[int]:
    """The days that are over and wholly in the lake, rising.

    ``hot_spans`` are the earliest and latest event time (both included) of records that are not in the lake yet.
    """
    spans = list(hot_spans)

    def is_there(day: int) -> bool:
        low, high = day * US_PER_DAY, (day + 1) * US_PER_DAY
        return high <= now_us and not any(first < high and last >= low for first, last in spans)

    return [day for day in sorted(set(segment_days)) if is_there(day)]


def _day_due(last: Last, days: Iterable[int]) -> Due | None:
    found = sorted(days)
    if not found:
        return None
    if last.day is not None:
        found = [day for day in found if day > last.day]
        if not found:
            return None
    day = found[0] if last.day is not None else found[-1]
    return Due((day + 1) * US_PER_DAY, f"day {day_name(day)}", day)


def _latest(when: When, first_us: int, *, now_us: int, zone: tzinfo) -> int:
    """The last time until now that it was due at; ``first_us`` is the first."""
    if when.schedule is not None:
        return parse_cron(when.schedule).last_until(now_us, zone)
    assert when.every_s is not None
    every_us = _interval_us(when.every_s)
    return first_us + (now_us - first_us) // every_us * every_us


def _interval_us(every_s: float) -> int:
    return max(1, round(every_s * US_PER_S))
