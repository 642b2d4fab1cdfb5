"""A sighting: one record that the first pass found unusual. What goes from the scores of each record into incidents. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SightingKind = Literal["value", "silence", "new template", "rate", "parameter"]
"""An unusual number; a series that has gone silent; a template never seen; one whose rate is unusual; a new value in a template."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One unusual record of one series (field by key) or template."""

    workload: str
    """The analysis that looked: a workload of kind ``analysis``, or ``watch``."""
    stream: str
    """As it is written, not folded; so is ``column``."""
    column: str
    key: tuple[tuple[str, str | None], ...]
    """Tags in the order of the schema, with their values; empty for templates."""
    template: str | None
    """For texts: the template with ``<*>`` for what varies. None: a number."""
    kind: SightingKind
    ts_us: int
    """Event time."""
    seq: int
    """Of the record."""
    score: float
    """0 to 1."""
    value: float | None
    """None for texts."""
    expected: float | None
    """What would have been usual; None: not known."""
    reason: str
    """For a person: "4.2 times the usual spread for Sunday 07:00"."""
    learned: float
    """How much of a week of the series had been seen by then, 0 to 1."""
    records: int = 1
    """How many unusual records of its series it stands for: itself, and those since the one before that were not told."""
    step_us: int | None = None
    """Event time that usually lies between two records of the series: what is measured seldom is worth more. None: not known."""

    spreads: float | None = None
    """How far the value is from what was expected, in the usual spread of the series; None: not known, or it has no spread."""

    @property
    def series(self) -> tuple[str, str, tuple[tuple[str, str | None], ...], str | None]:
        """What it is about, equal for all records of one series or template."""
        return self.stream, self.column, self.key, self.template
