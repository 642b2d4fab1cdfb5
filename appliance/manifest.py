"""What the manifest says: plain values shared by both paths, which do not know each other. No I/O.

A record is in the lake exactly when its sequence is at or below its stream's mark; ``Segment`` names the files that hold
those records, ``Dirty`` the spans of event time in which a record may lie twice, on whichever side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.clock import US_PER_DAY, day_name
from appliance.tally import Tallies


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable Parquet file of the lake."""

    id: int
    """Row id in the manifest; 0 before it has been registered."""
    stream: str
    day: int
    """UTC day of its earliest record, days since 1970-01-01; of all of them unless ``days`` is more than 1."""
    path: str
    """Relative to the data folder, with ``/``."""
    first: int
    """Lowest sequence in the file; the range may have holes (records of other days, replaced repeats)."""
    last: int
    rows: int
    ts_min: int
    """Event time of the earliest record, microseconds."""
    ts_max: int
    """Event time of the latest record, microseconds, included."""
    bytes: int
    sha256: str
    """Of the whole file, hex."""
    schema_version: int
    level: int
    """0 as rolled, 1 merged, 2 final (of a day or of several)."""
    days: int = 1
    """UTC days that it spans, from ``day`` on; all within one month."""
    purged: int = 0
    """Highest id of a ``Deletion`` whose records are certainly not in it; all lower ones are done with too."""
    tallies: Tallies | None = field(default=None, hash=False)
    """Of its records as they were written, by day; None: not known, it was written before there were tallies."""

    @property
    def day_last(self) -> int:
        """UTC day of its latest record."""
        return self.day + self.days - 1

    def describe(self) -> str:
        """File, sequence range and day in one line, for messages."""
        days = day_name(self.day) if self.days == 1 else f"{day_name(self.day)} to {day_name(self.day_last)}"
        return f"{self.path} (sequences {self.first} to {self.last}, {self.rows} records of {days})"


@dataclass(frozen=True, slots=True)
class Dirty:
    """A span of one day in which records may have twins."""

    day: int
    ts_min: int
    """Earliest event time that may be there twice, microseconds."""
    ts_max: int
    """Latest such event time, included."""
    seq: int
    """Highest sequence that may be a twin: once a compaction of the whole day has covered it, the day is clean."""

    def merge(self, other: Dirty) -> Dirty:
        """The span that covers both; same day."""
        assert self.day == other.day
        return Dirty(self.day, min(self.ts_min, other.ts_min), max(self.ts_max, other.ts_max), max(self.seq, other.seq))


@dataclass(frozen=True, slots=True)
class Deletion:
    """Records that a person wants gone: hidden in every answer at once, and in no file any more once compaction has been there."""

    id: int
    """Rises over all streams; 0 before it is stored."""
    stream: str
    since_us: int | None
    """Event time, half-open; None is unbounded."""
    until_us: int | None
    matching: Mapping[str, str | None] = field(default_factory=dict)
    """Tag -> value (None: records without it); a record must have all of them. Empty: every record of the time."""
    up_to_seq: int = 0
    """The newest sequence that it concerns: what comes later stays, also when it is the same record again."""
    at_us: int = 0
    author: str = ""
    reason: str = ""

    def overlaps(self, ts_min: int, ts_max: int) -> bool:
        """Whether a closed span of event times can hold a record of it."""
        return (self.since_us is None or ts_max >= self.since_us) and (self.until_us is None or ts_min < self.until_us)

    def concerns(self, segment: Segment) -> bool:
        """Whether a file may still hold a record of it, by what the manifest says."""
        return segment.purged < self.id and segment.first <= self.up_to_seq and self.overlaps(segment.ts_min, segment.ts_max)


def days_of(ts_min: int, ts_max: int) -> tuple[int, int]:
    """The first UTC day of a closed span of event times, and how many it touches."""
    first = ts_min // US_PER_DAY
    return first, ts_max // US_PER_DAY - first + 1
