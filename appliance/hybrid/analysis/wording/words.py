"""What a language model says of an incident, or None: the one thing that others ask. From any thread; one question at a time goes out.

Who asks while another question is under way waits for it, no longer than its own time; both together take at most the time-out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from appliance.clock import Clock
from appliance.hybrid.analysis.wording.checks import Unfit, checked, checked_summary
from appliance.hybrid.analysis.wording.endpoint import Endpoint, Message, Unanswered
from appliance.hybrid.analysis.wording.material import material
from appliance.hybrid.analysis.wording.prompts import summary_messages, why_messages
from appliance.hybrid_options import LanguageModelOptions
from appliance.notify.deadline import Deadline
from appliance.observe.analysis import IncidentPicture

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worded:
    """One answer."""

    text: str | None
    """On one line; None: there is none, and the built-in text stands."""
    by: str
    """The model's name; "" where none was asked."""
    refusal: str
    """Why there is none, in one line; "" where there is one, or none was asked."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Questions without an answer that could be taken, since the last one that had one."""

    in_a_row: int = 0
    newest: str = ""
    """Why the newest had none."""
    since_us: int = 0
    """Of the first, by the wall clock."""


_NOT_ASKED = Worded(None, "", "")
WAITING_MAX: Final = 2
"""Questions that wait for one that is under way; who comes then is refused at once, since each holds a thread."""
_Asked = Callable[[str, int], Sequence[Message]]
"""(material, words_max)."""


class _Checked(Protocol):
    def __call__(self, answer: str, material: str, picture: IncidentPicture, /, *, words_max: int) -> str: ...


class Words:
    """The language model of the config, if there is one."""

    def __init__(self, options: LanguageModelOptions, *, clock: Clock) -> None:
        """Opens nothing."""
        self._clock = clock
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(1 + WAITING_MAX)
        self._options = options
        self._endpoint = _endpoint(options, clock)
        self._failures = Failures()

    @property
    def is_on(self) -> bool:
        """Whether the config names an endpoint; without one nothing is ever sent."""
        return self._endpoint is not None

    @property
    def name(self) -> str:
        """The model's; "" while off."""
        endpoint = self._endpoint
        return "" if endpoint is None else endpoint.model

    @property
    def failures(self) -> Failures:
        """How it does; a reload with other options begins anew."""
        return self._failures

    def reload(self, options: LanguageModelOptions) -> None:
        """From the next question on; one under way goes to its end, or is ended where there is no endpoint any more."""
        if options == self._options:
            return
        before = self._endpoint
        self._options, self._endpoint = options, _endpoint(options, self._clock)
        self._failures = Failures()
        if before is not None and self._endpoint is None:
            before.interrupt()

    def interrupt(self) -> None:
        """End what is under way."""
        endpoint = self._endpoint
        if endpoint is not None:
            endpoint.interrupt()

    def summary(self, picture: IncidentPicture) -> str | None:
        """The incident in one to three sentences; None: off, or no answer that could be taken, and the built-in summary stands."""
        return self.worded_summary(picture).text

    def why(self, picture: IncidentPicture, question: str) -> str | None:
        """An answer to a person's question out of the incident's own figures ("": why it was unusual); None as with ``summary``."""
        return self.worded_why(picture, question).text

    def answered(self, picture: IncidentPicture, question: str) -> tuple[str | None, str]:
        """As ``why``, with a line about it: who wrote it, or why the built-in text stands."""
        worded = self.worded_why(picture, question)
        if worded.text is not None:
            return worded.text, f"(written by {worded.by}, a language model; its figures and names were checked, nothing else)"
        if worded.by:
            return None, f"(not an answer to the question: {worded.by}, the language model, gave none: {worded.refusal})"
        return None, "(not an answer to the question: no language model is configured, see [language_model])"

    def worded_summary(self, picture: IncidentPicture) -> Worded:
        """As ``summary``, with who wrote it or why nobody did."""
        return self._worded(picture, lambda document, most: summary_messages(document, words_max=most), checked_summary)

    def worded_why(self, picture: IncidentPicture, question: str) -> Worded:
        """As ``why``, with who wrote it or why nobody did."""
        return self._worded(picture, lambda document, most: why_messages(document, question, words_max=most), checked)

    def _worded(self, picture: IncidentPicture, messages: _Asked, check: _Checked) -> Worded:
        endpoint, options = self._endpoint, self._options
        if endpoint is None:
            return _NOT_ASKED
        if not self._places.acquire(blocking=False):
            return Worded(None, endpoint.model, f"{WAITING_MAX} questions wait already")
        try:
            return self._in_turn(endpoint, options, picture, messages, check)
        finally:
            self._places.release()

    def _in_turn(
        self, endpoint: Endpoint, options: LanguageModelOptions, picture: IncidentPicture, messages: _Asked, check: _Checked
    ) -> Worded:
        deadline = Deadline(self._clock, options.timeout_s)
        if not self._lock.acquire(timeout=deadline.left_s()):
            return Worded(None, endpoint.model, f"another question took all of the {options.timeout_s:g} s")
        try:
            document = material(picture)
            said = endpoint.ask(messages(document, options.words_max), deadline=deadline)
            text = check(said, document, picture, words_max=options.words_max)
        except Unanswered as error:
            return self._refused(endpoint, str(error))
        except Unfit as error:
            return self._refused(endpoint, f"its answer was not taken: {error}")
        finally:
            self._lock.release()
        self._failures = Failures()
        return Worded(text, endpoint.model, "")

    def _refused(self, endpoint: Endpoint, why: str) -> Worded:
        before = self._failures
        self._failures = Failures(before.in_a_row + 1, why, before.since_us or self._clock.now_us())
        log.info("the language model %s gave no answer: %s", endpoint.model, why)
        return Worded(None, endpoint.model, why)


def _endpoint(options: LanguageModelOptions, clock: Clock) -> Endpoint | None:
    return Endpoint(options, clock=clock) if options.url else None
