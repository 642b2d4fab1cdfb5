"""The incidents of a running service: sightings and answers in, stored and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.alerting.alerting import Alerting
from appliance.box import Box, no_step
from appliance.config import Config
from appliance.hybrid.analysis.incidents.values import Answer
from appliance.hybrid.analysis.sighting import Sighting
from appliance.observe.analysis import AnalysisPicture, FeedbackRow, IncidentPicture, IncidentRow, LearningRow
from appliance.observe.status import Problem

Words = Callable[[IncidentPicture, str], str | None]
"""(incident, question) -> an answer by whoever words better, or None: the built-in one stands."""


class Incidents:
    """See the module. Every method but those that say otherwise may be called from any thread but the event loop's, and blocks."""

    def __init__(
        self,
        box: Box,
        config: Config,
        *,
        alerting: Alerting,
        publish: Callable[[str, Mapping[str, Any]], None],
        step: Callable[[str], None] = no_step,
    ) -> None:
        """Blocks for what was stored: open incidents are open again. ``publish`` takes an event (``incident``, ``answer``) and its data."""
        self._box, self._config, self._alerting, self._publish, self._step = box, config, alerting, publish, step
        self.on_open: list[Callable[[int], None]] = []
        """Told the id of each incident that was opened, once that is durable, in the thread that opened it; must return at once."""
        self.on_grow: list[Callable[[int], None]] = []
        """Likewise of one that has become much larger or graver than when it was last told of."""
        self.learning: Callable[[], Sequence[LearningRow]] = tuple
        """What is followed, and how far it has been learned; whoever follows sets it. From any thread."""
        self.memory: Callable[[], int] = lambda: 0
        """Bytes of all state of the analysis; likewise."""
        self.models: Callable[[str], Mapping[str, str]] = lambda _workload: {}
        """Workload -> model -> version in use; likewise."""
        self.words: Words = lambda _incident, _question: None
        """Who answers "why" better than what is built in; may take its time."""

    def take(self, sightings: Sequence[Sighting], now_us: int, *, seen: Mapping[str, int] | None = None) -> None:
        """One round of the first pass, in the order of sequences of each stream; also without sightings, since time alone closes.

        ``seen``: stream -> event time up to which its records have been scored; of streams that are missing the newest sighting counts.
        What opens or closes an incident is durable when it returns, with its alert; further members at the latest with ``save``.
        Sightings that were taken before (a start that goes on from an earlier place gives them again) change nothing. Never raises
        because the disk is full: then it is stored as soon as it can be.
        """
        raise NotImplementedError

    def save(self, now_us: int) -> None:
        """Everything that was taken is durable when it returns: to be called before a place behind those sightings is stored. Raises
        ``RetryLater`` where the disk is full."""
        raise NotImplementedError

    def open(self) -> Sequence[IncidentRow]:
        """Incidents that are open, the gravest first. From any thread; blocks for nothing but a lock."""
        raise NotImplementedError

    def answer(self, incident_id: int, answer: Answer) -> IncidentRow | None:
        """Another answer: with what it supersedes and what follows for alert and messages in one transaction, durable when it returns.

        A person's word goes before: where there is one, the answer is kept and does not count. None where there is no such incident any
        more. Raises ``RetryLater``.
        """
        raise NotImplementedError

    def set_deep(self, incident_id: int, state: str) -> None:
        """The deep pass: ``none``, ``queued``, ``running``, ``done``, ``failed``; stored with the next ``save``."""
        raise NotImplementedError

    def reword(self, incident_id: int, number: int, summary: str, written_by: str) -> bool:
        """Another wording of one answer's summary, nothing else; whether it was taken (the answer still counts). Told as ``answer``."""
        raise NotImplementedError

    def say(self, incident_id: int, verdict: str, *, author: str, comment: str = "") -> IncidentRow:
        """A person's word, ``confirm`` or ``dismiss``: kept for the next training, and it counts from now on. Durable when it returns.

        Raises ``UsageRefused`` where there is no such incident.
        """
        raise NotImplementedError

    def show(self, incident_id: int) -> IncidentPicture | None:
        """One incident, whole; None where there is none."""
        raise NotImplementedError

    def picture(self, *, limit: int = 100, state: str | None = None) -> AnalysisPicture:
        """Everything, with at most ``limit`` incidents (of one ``state``: open, closed, dismissed)."""
        raise NotImplementedError

    def explain(self, incident_id: int, question: str = "") -> str:
        """Why, in plain words, out of the incident's own figures. Raises ``UsageRefused`` where there is no such incident."""
        raise NotImplementedError

    def feedback(self, workload: str, *, since_us: int = 0) -> Sequence[tuple[IncidentPicture, FeedbackRow]]:
        """What people said of incidents, the oldest first, for training."""
        raise NotImplementedError

    def reload(self, config: Config) -> None:
        """From now on with this config."""
        raise NotImplementedError

    def problems(self) -> Sequence[Problem]:
        """What can't be stored."""
        raise NotImplementedError
