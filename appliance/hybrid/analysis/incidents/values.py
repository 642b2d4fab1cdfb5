"""What goes into incidents besides sightings: answers, with what they stand on. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from appliance.observe.analysis import EvidenceRow, MemberRow

By = Literal["first", "deep", "feedback"]
Verdict = Literal["unusual", "confirmed", "corrected", "extended", "dismissed"]
OVERTURNING: Final = frozenset({"corrected", "dismissed"})
"""Verdicts that say that the answer before was wrong."""
BUILT_IN: Final = "built in"
"""Who worded a summary, where no language model did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer about an incident, as whoever has looked gives it. It takes the place of the one that counted before."""

    verdict: Verdict
    confidence: float
    """0 to 1."""
    summary: str
    """What, where, since when, how unusual, what else moved; one to three sentences."""
    basis: str
    """What it stands on: "4,112 late records and 30 days of history"."""
    by: By = "deep"
    severity: float | None = None
    """0 to 1; None: as in the answer before."""
    difference: str = ""
    """What differs from the answer before; "": it is said from verdict, severity and members."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Model -> version."""
    evidence: tuple[EvidenceRow, ...] = ()
    members: tuple[MemberRow, ...] = ()
    """Series and templates that belong to it besides those that are known; one that is known is replaced."""
    lines: tuple[Mapping[str, str], ...] = ()
    """Log lines of its time, as ``IncidentPicture.lines``; (): those that are known stay."""
    since_us: int | None = None
    """Event time at which it began, where that is known better now."""
