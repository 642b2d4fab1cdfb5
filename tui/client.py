"""The one way from the UI to the service: a protocol of plain questions; ``socket_client`` asks them over the unix socket.

Every answer is a frozen value that says what it is about; no widget ever sees a connection. The calls block and belong into a
worker thread; they may come from several threads at once. What goes wrong is raised as an ``ApplianceError`` with one line to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from appliance.observe.alerts import AlertRow, AlertsPicture, SilenceRow, TransitionRow, WindowChart
from appliance.observe.analysis import AnalysisPicture, IncidentPicture, IncidentRow
from appliance.observe.consistency import ConsistencyPicture
from appliance.observe.jobs import JobsPicture, RunRow
from appliance.observe.paths import PathsPicture
from appliance.observe.reports import ReportsPicture
from appliance.observe.search import Found
from appliance.observe.status import Status
from appliance.observe.views import ViewRow
from tui.stop import Stop as Stop  # part of what a query is asked with

Key = Mapping[str, str | None]
"""Of an alert: column -> value."""


class Series(msgspec.Struct, frozen=True):
    """One column of a stream over time, in buckets that the service has computed; None where a bucket is empty."""

    stream: str
    column: str
    step_us: int
    start_us: int
    """Event time of the first bucket; bucket ``i`` is ``[start_us + i * step_us, start_us + (i + 1) * step_us)``."""
    min: tuple[float | None, ...]
    max: tuple[float | None, ...]
    mean: tuple[float | None, ...]


class ColumnInfo(msgspec.Struct, frozen=True):
    """A column of a stream; ``kind`` is ``tag``, ``float``, ``int``, ``bool`` or ``text``."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave: an Arrow table of the first rows, and whether these are all."""

    table: Any
    complete: bool


class Client(Protocol):
    """What the screens can ask. Implemented over the socket here, and on the folder alone where no service runs."""

    @property
    def where(self) -> str:
        """What is asked, for the title bar: the socket's or the folder's path."""

    def status(self) -> Status:
        """The whole picture; raises NotRunning when nobody answers."""

    def series(self, stream: str, column: str, *, since_us: int) -> Series:
        """A numeric column in buckets from ``since_us`` to now, as far as the service has it at hand."""

    def latest(self, stream: str) -> Sequence[Mapping[str, Any]]:
        """The last value of each series, one object each, ``ts`` as ISO 8601."""

    def columns(self, stream: str) -> Sequence[ColumnInfo]:
        """The columns of a stream, tags first, without ``ts`` and ``_seq``."""

    def alerts(self) -> AlertsPicture:
        """What fires, the rules, the silences and the outbox; what is stored, where no service runs."""

    def alert_history(self, *, limit: int, rule: str | None = None) -> Sequence[TransitionRow]:
        """The newest transitions first, of one rule or of all."""

    def alert_chart(self, rule: str, key: Key) -> WindowChart | None:
        """The recent past of an alert's first value; None when there is none."""

    def acknowledge(self, rule: str, key: Key, *, comment: str, until: str | None) -> Sequence[AlertRow]:
        """Acknowledges one alert, ``until`` a time such as ``2h`` from now (None: until it resolves); durable when it returns."""

    def unacknowledge(self, rule: str, key: Key) -> Sequence[AlertRow]:
        """Takes the acknowledgement back."""

    def silence(self, matchers: Sequence[str], *, until: str, comment: str) -> SilenceRow:
        """Tells nobody of alerts that match all of ``matchers``, ``until`` as in ``acknowledge``."""

    def unsilence(self, silence_id: int) -> SilenceRow:
        """Ends a silence."""

    def reports(self) -> ReportsPicture:
        """What can be made and what was issued; what is stored, where no service runs."""

    def report_text(self, path: str) -> str:
        """An issued file, by its path as the picture has it."""

    def issue_report(self, name: str, *, day: str | None, parameters: Mapping[str, str]) -> str:
        """Makes a report now and issues it where anything differs; takes its time. What came of it, in a line."""

    def jobs(self) -> JobsPicture:
        """What batch work there is, and what waits or is under way; what is stored, where no service runs."""

    def job_history(self, *, limit: int, name: str | None = None) -> Sequence[RunRow]:
        """The newest runs first, of one piece of work or of all."""

    def views(self) -> Sequence[ViewRow]:
        """How fresh the views are; none where no service runs."""

    def paths(self) -> PathsPicture:
        """Which path each workload runs on; what is stored, where no service runs."""

    def consistency(self) -> ConsistencyPicture:
        """Whether both sides agree, and what was found; raises NotRunning where no service runs."""

    def analysis(self, *, limit: int) -> AnalysisPicture:
        """Incidents, open ones first, what is being learned, how good it is; what is stored, where no service runs."""

    def incident(self, incident_id: int) -> IncidentPicture:
        """One incident, whole. Raises ApplianceError where there is none."""

    def say_of_incident(self, incident_id: int, verdict: str, *, comment: str) -> IncidentRow:
        """``confirm`` or ``dismiss``; durable when it returns."""

    def search(self, text: str, *, order: str, limit: int) -> Found:
        """Records and names that have these words, by ``time`` or by ``rank``; raises ApplianceError where they can't be understood."""

    def run_job(self, name: str) -> RunRow:
        """Queues a run; durable when it returns."""

    def cancel_run(self, run_id: int) -> RunRow:
        """Ends a run, or takes it out of the queue."""

    def close(self) -> None:
        """Lets go of what it holds; asked again, it takes it anew."""

    def query(self, sql: str, *, rows_max: int, stop: Stop) -> Answer:
        """The first ``rows_max`` rows of a SELECT; raises QueryRefused, or QueryCancelled after ``stop``."""
