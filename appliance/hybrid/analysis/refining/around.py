"""What looks of the deep pass are made with: the incidents, the box, what training has made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from appliance.clock import Clock
from appliance.hot.state import State
from appliance.hybrid.analysis.incidents.values import Answer
from appliance.observe.analysis import AnalysisPicture, IncidentPicture, IncidentRow
from appliance.observe.latencies import Latencies


@dataclass(frozen=True, slots=True)
class Trained:
    """What training has made of an analysis, as a look goes by it."""

    models: Mapping[str, str] = field(default_factory=dict)
    """Model -> version."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """Series (``learning.name_of``) -> how many times more unusual than others it must be, by what people said; others: once."""


class Knows(Protocol):
    """What is needed of ``Incidents``."""

    def show(self, incident_id: int) -> IncidentPicture | None:
        """One, whole; blocks."""

    def picture(self, *, limit: int = 100, state: str | None = None) -> AnalysisPicture:
        """The open ones first, then the newest; blocks."""

    def answer(self, incident_id: int, answer: Answer) -> IncidentRow | None:
        """Stored and told when it returns; blocks."""

    def found_late(self, workload: str, answer: Answer, *, since_us: int, until_us: int) -> IncidentRow:
        """An incident that the first pass had not told of; stored and told when it returns; blocks."""

    def set_deep(self, incident_id: int, state: str) -> None:
        """How the deep pass stands."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What looks are made with."""

    incidents: Knows
    state: Callable[[], State]
    clock: Clock
    zone: str
    latencies: Latencies
    trained: Callable[[str], Trained]
    """Workload -> what training has made of it by now."""
    step: Callable[[str], None]
    """Told each named step, for tests that stop there: ``deep.gathered``, ``deep.computed``, ``deep.answered``."""
