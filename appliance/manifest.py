"""What the manifest says: plain values shared by both paths, which do not know each other. No I/O.

A record is in the lake exactly when its sequence is at or below its stream's mark; ``Segment`` names the files that hold
those records, ``Dirty`` the spans of event time in which a record may lie twice, on whichever side.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.clock import day_name


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable Parquet file of the lake."""

    id: int
    """Row id in the manifest; 0 before it has been registered."""
    stream: str
    day: int
    """UTC day of all its records, days since 1970-01-01."""
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
    """0 as rolled, 1 merged, 2 final."""

    def describe(self) -> str:
        """File, sequence range and day in one line, for messages."""
        return f"{self.path} (sequences {self.first} to {self.last}, {self.rows} records of {day_name(self.day)})"


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
