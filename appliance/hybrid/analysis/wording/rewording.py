"""Words the summaries of incidents anew, one after the other, in a thread of its own: nobody who finds or refines an incident waits.

What waits is bounded: an incident waits once, however many answers it has got meanwhile, and above ``WAITING_MAX`` the one that has waited
longest keeps its built-in summary. The thread is begun with the first incident that a language model is to word, so never without one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Final, Protocol

from appliance.batching.work import Work
from appliance.config import Config
from appliance.errors import ApplianceError
from appliance.hybrid.analysis.incidents.values import BUILT_IN
from appliance.hybrid.analysis.wording.words import Words
from appliance.observe.analysis import AnswerRow, IncidentPicture
from appliance.observe.ladder import Ladder, Step
from appliance.observe.status import Problem

log = logging.getLogger(__name__)
WAITING_MAX: Final = 32
FAILURES_TOLD: Final = 3
"""So many questions in a row without an answer are a problem of the box; a single one is not."""
END_S: Final = 2.0
"""How long the end waits for a question that was interrupted."""


class Reworded(Protocol):
    """The incidents, as far as their wording goes."""

    def show(self, incident_id: int) -> IncidentPicture | None:
        """One incident, whole; None where there is none."""

    def reword(self, incident_id: int, number: int, summary: str, written_by: str) -> bool:
        """Another wording of one answer's summary; whether it was taken (the answer still counts)."""


class Rewording:
    """See the module. A ``Part`` of hybrid work."""

    def __init__(self, words: Words, incidents: Reworded, *, ladder: Ladder) -> None:
        self._words, self._incidents, self._ladder = words, incidents, ladder
        self._changed = threading.Condition()
        self._waiting: dict[int, None] = {}
        self._is_stopping = False
        self._thread: threading.Thread | None = None  # noqa: TID251 - its owner
        self.passed_over = 0
        """Incidents that were not worded because too many waited, or because the box was degraded."""

    def put(self, incident_id: int) -> None:
        """The incident is new or has a new answer: its summary may be worded. From any thread, returns at once."""
        if not self._words.is_on:
            return
        with self._changed:
            if self._is_stopping or incident_id in self._waiting:
                return
            self._waiting[incident_id] = None
            if len(self._waiting) > WAITING_MAX:
                del self._waiting[next(iter(self._waiting))]
                self.passed_over += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="analysis-words", daemon=True)  # noqa: TID251 - its owner
                self._thread.start()
            self._changed.notify_all()

    async def start(self) -> None:
        """Nothing waits from before: what was opened before the start keeps the summary it has."""

    async def stop(self) -> None:
        """Ends what is under way; what waits keeps its built-in summary."""
        with self._changed:
            self._is_stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        self._words.interrupt()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, END_S)

    def reload(self, config: Config) -> None:
        self._words.reload(config.language_model)

    def problems(self) -> Sequence[Problem]:
        """That the language model has stopped answering."""
        failures = self._words.failures
        if failures.in_a_row < FAILURES_TOLD:
            return ()
        what = f"the language model {self._words.name} has given no answer {failures.in_a_row} times: {failures.newest}"
        return (Problem("WARN", what, failures.since_us, "summaries are the built-in ones; see [language_model]"),)

    def works(self, _config: Config) -> Sequence[Work]:
        return ()

    # --- in its thread

    def _run(self) -> None:
        while (incident_id := self._next()) is not None:
            try:
                self._word(incident_id)
            except ApplianceError as error:
                log.info("incident %d keeps its built-in summary: %s", incident_id, error)
            except Exception:  # a defect must not end the wording of other incidents; it is in the log with its traceback
                log.exception("a defect in wording incident %d; it keeps its built-in summary", incident_id)

    def _next(self) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or self._waiting)
            if self._is_stopping:
                return None
            incident_id = next(iter(self._waiting))
            del self._waiting[incident_id]
            return incident_id

    def _word(self, incident_id: int) -> None:
        if self._ladder.step >= Step.ANALYSIS_SHED:
            self.passed_over += 1
            return
        picture = self._incidents.show(incident_id)
        answer = None if picture is None else counting(picture)
        if picture is None or answer is None or answer.written_by != BUILT_IN:
            return
        worded = self._words.worded_summary(picture)
        if worded.text is not None and not self._is_stopping:
            self._incidents.reword(incident_id, answer.number, worded.text, worded.by)


def counting(picture: IncidentPicture) -> AnswerRow | None:
    """The answer that counts; None where none does."""
    return next((answer for answer in reversed(picture.answers) if answer.superseded_us is None), None)
