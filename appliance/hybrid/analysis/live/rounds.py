"""What is scored at once, and what came of it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.hybrid.analysis.live.followed import Followed, Values
from appliance.hybrid.analysis.sighting import Sighting


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a round."""

    sightings: list[Sighting]
    """By event time."""
    seen: Mapping[str, int]
    """Stream -> the newest event time of its records."""
    rows: Mapping[str, int]
    """Folded name of each stream of which records were scored -> how many."""


@dataclass(slots=True)
class Batch:
    """What is scored at once."""

    parts: list[tuple[Followed, Values]] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    """Of texts, which are scored at once."""
    values: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)


def round_of(batch: Batch) -> Round:
    """What came of it."""
    return Round(sorted(batch.sightings, key=lambda s: s.ts_us), batch.seen, batch.rows)
