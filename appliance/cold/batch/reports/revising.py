"""Whether an issued report is to be made anew because its records have changed. Pure.

A report knows, for each stream, up to which sequence it holds everything, and how many records its period had. What has come since
into the period has a higher sequence; so spans of what is stored tell which reports may have changed, and a count tells which have.
What was deleted since is told by the deletions that it does not know yet. Of records that retention has removed nothing can be made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.manifest import Deletion
from appliance.records import fold

PAUSE_US: Final = 600 * US_PER_S
"""The second revision comes no sooner than this after the first, each later one twice as long after the one before it."""
PAUSE_US_MAX: Final = US_PER_DAY


@dataclass(frozen=True, slots=True)
class Stored:
    """Records that lie together: their highest sequence and their span of event time, closed."""

    last: int
    ts_min: int
    ts_max: int


@dataclass(frozen=True, slots=True)
class Issued:
    """As much of the newest revision of a report as decides."""

    since_us: int
    until_us: int
    revision: int
    issued_us: int
    up_to: Mapping[str, int]
    """Folded name of each stream -> everything up to this sequence is in it, or was looked at since and changed nothing."""
    deletion: int = 0
    """It knows every deletion up to this id."""


def is_time(issued: Issued, *, now_us: int) -> bool:
    """Whether a revision may be made at all by now: its period is over, and the one before it has stood for a while.

    While a backlog trickles in, revisions become rarer and rarer, so nobody is told every few minutes.
    """
    pause = min(PAUSE_US_MAX, PAUSE_US << min(issued.revision - 1, 20))
    return now_us >= issued.until_us and now_us - issued.issued_us >= pause


def maybe_changed(issued: Issued, stored: Mapping[str, Sequence[Stored]]) -> tuple[str, ...]:
    """The streams that may hold records of the period which the report has not seen; exact ones are told by counting."""
    return tuple(
        stream
        for stream, seq in issued.up_to.items()
        if any(s.last > seq and s.ts_max >= issued.since_us and s.ts_min < issued.until_us for s in stored.get(stream, ()))
    )


def cut_by(issued: Issued, deletions: Sequence[Deletion]) -> tuple[str, ...]:
    """The streams that the report has read and of which records of its period may have been deleted since."""
    concerned = {fold(d.stream) for d in deletions if d.id > issued.deletion and d.overlaps(issued.since_us, issued.until_us - 1)}
    return tuple(stream for stream in issued.up_to if stream in concerned)


def has_changed(new_records: Mapping[str, int]) -> bool:
    """Whether any stream has records of the period above what the report has seen."""
    return any(new_records.values())
