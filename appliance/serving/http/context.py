"""What the HTTP interface is handed by the wiring: values, and what it may call. It holds nothing else of the service.

``status``, ``series``, ``latest``, ``columns``, ``replay``, ``delete``, ``reload``, ``activate_model``, ``alert_events_after`` and
what ``alerts`` and ``meters`` offer (but for ``trial``) are called in a thread and may take their time, ``status`` by one thread at a
time; the others are called on the event loop and must not block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from appliance.config import Config
from appliance.errors import UsageRefused
from appliance.hot.state import State
from appliance.manifest import Deletion
from appliance.observe.alerts import AlertDesk, TransitionRow
from appliance.observe.analysis import AnalysisPicture, IncidentPicture, IncidentRow
from appliance.observe.cache import CachePicture
from appliance.observe.consistency import ConsistencyPicture, ReconcileAnswer
from appliance.observe.jobs import JobDesk
from appliance.observe.ladder import Ladder
from appliance.observe.meters import MeterDesk
from appliance.observe.panels import PanelPicture, PanelRow
from appliance.observe.paths import PathsDesk
from appliance.observe.search import Found, SearchPicture, SearchQuery
from appliance.observe.status import Status
from appliance.records import Format, Receipt, Submission
from appliance.serving.push import Hub
from appliance.serving.question import Question


class Intake(Protocol):
    """The door, as far as a source on the event loop sees it."""

    async def submit(self, submission: Submission) -> Receipt:
        """Returns after the durable commit; raises ``RetryLater`` or ``RejectPayload``."""

    @property
    def is_behind(self) -> bool:
        """True while sources should not read on."""


class Result(Protocol):
    """The bytes of an answer, in pieces, read once."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the answer lacks, a line each; known from the start."""

    @property
    def cached(self) -> str:
        """``hit`` for one that was kept, ``miss`` for one that was not; empty: the cache was not asked."""

    @property
    def whole(self) -> bytes | None:
        """All of the answer, where it was here from the start; None: it comes in pieces."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces; may raise ``QueryCancelled`` or ``QueryRefused`` in the middle."""

    async def aclose(self) -> None:
        """Ends the query, read or not."""


class Answers(Protocol):
    """The queries of the service; ``appliance.serving.queries`` fills it."""

    async def run(self, question: Question) -> Result:
        """The answer, once it is certain that there is one: what is wrong with the SQL is raised here.

        Raises ``QueryRefused``, ``QueryCancelled`` or ``RetryLater``.
        """

    def progress(self, query_id: str) -> Any | None:
        """A value for JSON; None when no such query runs."""

    def cancel(self, query_id: str) -> bool:
        """Whether there was such a query; it ends soon."""


class Ingest(Protocol):
    """The reader of dropped files, taken by hand."""

    def __call__(self, path: Path, *, name: str, stream: str | None, format: Format | None, again: bool) -> Awaitable[Any]:
        """Takes the whole file into the door and returns a summary for JSON; raises ``RejectPayload`` or ``RetryLater``.

        ``name`` is what the sender calls the file: the stream's name and the format come from it where they aren't given.
        """


async def _no_views(name: str) -> str:
    raise UsageRefused(f"the view {name} can't be refreshed here")


class PanelDesk(Protocol):
    """Who answers for panels; ``appliance.batching.panels.side`` fills it."""

    def rows(self) -> Sequence[PanelRow]:
        """One a panel."""

    def picture(self, name: str) -> PanelPicture:
        """With the newest answer. Raises ``UsageRefused`` for a name that is no panel."""


class _NoPanels:
    def rows(self) -> Sequence[PanelRow]:
        return ()

    def picture(self, name: str) -> PanelPicture:
        raise UsageRefused(f"there is no panel {name[:80]!r}")


class ReportDesk(Protocol):
    """Who answers for reports; ``appliance.batching.report_desk`` fills it. ``picture`` and ``file`` are called in a thread."""

    def picture(self) -> Any:
        """A value for JSON."""

    def file(self, path: str) -> tuple[bytes, str] | None:
        """Content and media type; None for a path that was not issued."""

    async def render(self, name: str, *, day: str | None, parameters: Mapping[str, str], format: str) -> tuple[str, str]:
        """Text and media type. Raises ``UsageRefused``, ``QueryRefused``."""

    async def issue(self, name: str, *, day: str | None, parameters: Mapping[str, str]) -> tuple[str, Any]:
        """What came of it, and a value for JSON; durable when it returns."""


class ConsistencyDesk(Protocol):
    """Who answers for agreement; ``appliance.batching.reconciling`` fills it. ``picture`` is called in a thread."""

    def picture(self) -> ConsistencyPicture:
        """Everything at this instant."""

    async def reconcile(self, *, since_us: int | None = None, repair: bool = False, full: bool = False) -> ReconcileAnswer:
        """One pass, with repairs where they are asked for; takes its time."""


class SearchDesk(Protocol):
    """Who searches; ``appliance.hybrid.search.part`` fills it. Called in a thread."""

    def find(self, asked: SearchQuery) -> Found:
        """The answer of now. Raises ``UsageRefused``, ``RetryLater``."""

    def picture(self) -> SearchPicture:
        """All indexes."""

    def rebuild(self, stream: str | None) -> str:
        """Has the indexes of a stream (None: all) made anew; what was begun, in a line. Raises ``UsageRefused``."""


class AnalysisDesk(Protocol):
    """Who answers for incidents; ``appliance.hybrid.analysis.keeping.incidents`` fills it. Called in a thread."""

    def picture(self, *, limit: int = ..., state: str | None = ...) -> AnalysisPicture:
        """Everything, with at most ``limit`` incidents."""

    def show(self, incident_id: int) -> IncidentPicture | None:
        """One incident, whole; None where there is none."""

    def explain(self, incident_id: int, question: str = ...) -> str:
        """Why, in plain words. Raises ``UsageRefused`` where there is no such incident."""

    def say(self, incident_id: int, verdict: str, *, author: str, comment: str = ...) -> IncidentRow:
        """A person's word, durable then. Raises ``UsageRefused`` where there is no such incident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpContext:
    """Everything that a running service gives to the HTTP interface."""

    config: Config
    door: Intake
    queries: Answers
    ingest: Ingest
    parse_pool: Executor
    """The parse pool: two threads in which bodies become batches."""
    spool: Path
    """An existing folder, on the data folder's file system, for uploads under way; what is left in it at the start is removed."""
    state: Callable[[], State]
    status: Callable[[], Status]
    series: Callable[[str, str, int | None], Any | None]
    """(stream, column, since_us) -> what a chart draws, a value for JSON; None: no such stream or column."""
    latest: Callable[[str], Any | None]
    """(stream) -> last values, a value for JSON; None: no such stream."""
    replay: Callable[[Sequence[int], str | None], Any]
    """(ids of dead letters, stream) -> what became of them, a value for JSON; takes its time."""
    delete: Callable[[Deletion, int | None], Deletion]
    """(what to delete, how many records that was said to be) -> as it is written down; durable then. Raises ``UsageRefused``."""
    columns: Callable[[str | None], Any | None]
    """(stream, or None for all) -> columns with their kinds, a value for JSON; None: no such stream."""
    alerts: AlertDesk
    """Who answers for alerts."""
    meters: MeterDesk
    """Who answers for latency and cost."""
    jobs: JobDesk
    """Who answers for batch work."""
    reports: ReportDesk
    alert_events_after: Callable[[int, int], Sequence[TransitionRow]]
    """(id, limit) -> the first ``limit`` stored transitions with a higher id, rising. Ids rise by one; only the oldest are forgotten."""
    hub: Hub
    """Through which events reach those who follow."""
    activate_model: Callable[[str, int | None, str], str]
    """(model, version or None for the one before, who) -> what was done, in a line; durable then. Raises ``UsageRefused``."""
    reload: Callable[[str], str]
    """(who) -> what has changed, in a line, once the config was read again and is in force. Raises ``ConfigRefused``."""
    paths: PathsDesk | None = None
    """Who answers for the assignment of workloads; called in a thread."""
    consistency: ConsistencyDesk | None = None
    """Who answers for agreement; None: nobody does."""
    analysis: AnalysisDesk | None = None
    """Who answers for incidents; None: nobody does."""
    refresh_view: Callable[[str], Awaitable[str]] = _no_views
    """(name of a view) -> refreshes it, and says what was done; on the event loop."""
    panels: PanelDesk = field(default_factory=lambda: _NoPanels())
    """Who answers for panels; on the event loop."""
    cache: Callable[[], CachePicture] | None = None
    """The cache of answers; from any thread. None: there is none."""
    ladder: Ladder = field(default_factory=Ladder)
    """How far the box is degraded: what must not be answered then is refused (``shedding``)."""
    search: SearchDesk | None = None
    """Who searches; None: nobody does."""
