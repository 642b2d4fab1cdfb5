"""What the terminal UI asks where no service runs: the same questions, answered from the folder alone, read-only.

SQL runs in a process of its own (``appliance query``), which can be ended; the rest reads ``hot.sqlite``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from appliance.clock import Clock, SystemClock
from appliance.config import find_config, load_config
from appliance.errors import ApplianceError, NotRunning, QueryCancelled, QueryRefused
from appliance.hybrid.analysis.keeping.folder import folder_incident
from appliance.hybrid.analysis.keeping.folder import folder_picture as folder_picture_of_incidents
from appliance.hybrid.search.offline import find_in_folder
from appliance.observe.alerts import AlertRow, AlertsPicture, SilenceRow, TransitionRow, WindowChart
from appliance.observe.analysis import AnalysisPicture, IncidentPicture, IncidentRow
from appliance.observe.consistency import ConsistencyPicture
from appliance.observe.jobs import JobsPicture, RunRow
from appliance.observe.paths import PathsPicture
from appliance.observe.reports import ReportsPicture
from appliance.observe.search import Found, SearchQuery
from appliance.observe.status import Status
from appliance.observe.views import ViewRow
from appliance.serving import panels
from appliance.serving.alert_folder import folder_history, folder_picture
from appliance.serving.folder import folder_status, latest_rows, open_folder
from appliance.serving.job_folder import folder_jobs, folder_runs
from appliance.serving.path_folder import folder_paths
from appliance.serving.report_folder import folder_report, folder_reports
from tui.client import Answer, ColumnInfo, Key, Series, Stop


class OfflineClient:
    """The ``Client`` of a folder that nobody serves; each call reads it anew."""

    def __init__(self, folder: Path, *, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()

    @property
    def where(self) -> str:
        return f"{self._folder} (no service runs)"

    def status(self) -> Status:
        return folder_status(self._folder, clock=self._clock)

    def series(self, stream: str, column: str, *, since_us: int) -> Series:
        """From the hot rows of the folder; what has been rolled is a question for SQL."""
        with open_folder(self._folder) as (reader, state):
            found = state.get(stream)
            rows = tuple(reader.iterate(found, after_seq=found.mark)) if found is not None else ()
            value = panels.series_of(found, rows, column, since_us=since_us, now_us=self._clock.now_us()) if found is not None else None
        if value is None:
            raise ApplianceError(f"there is no numeric column {column!r} in stream {stream!r}")
        return msgspec.convert(value, Series)

    def latest(self, stream: str) -> Sequence[Mapping[str, Any]]:
        return latest_rows(self._folder, stream)

    def columns(self, stream: str) -> Sequence[ColumnInfo]:
        with open_folder(self._folder) as (_, state):
            found = panels.columns(state, stream)
        if found is None:
            raise ApplianceError(f"there is no stream {stream!r}")
        return [ColumnInfo(c["name"], c["kind"]) for c in found]

    def alerts(self) -> AlertsPicture:
        return folder_picture(self._folder, now_us=self._clock.now_us())

    def alert_history(self, *, limit: int, rule: str | None = None) -> Sequence[TransitionRow]:
        return folder_history(self._folder, limit=limit, rule=rule)

    def alert_chart(self, rule: str, key: Key) -> WindowChart | None:  # noqa: ARG002 - as the protocol has it
        return None

    def acknowledge(self, rule: str, key: Key, *, comment: str, until: str | None) -> Sequence[AlertRow]:  # noqa: ARG002 - as above
        return self._refuse()

    def unacknowledge(self, rule: str, key: Key) -> Sequence[AlertRow]:  # noqa: ARG002 - as above
        return self._refuse()

    def silence(self, matchers: Sequence[str], *, until: str, comment: str) -> SilenceRow:  # noqa: ARG002 - as above
        return self._refuse()

    def unsilence(self, silence_id: int) -> SilenceRow:  # noqa: ARG002 - as above
        return self._refuse()

    def reports(self) -> ReportsPicture:
        return folder_reports(self._folder, now_us=self._clock.now_us())

    def report_text(self, path: str) -> str:
        return folder_report(self._folder, path)

    def issue_report(self, name: str, *, day: str | None, parameters: Mapping[str, str]) -> str:  # noqa: ARG002 - as above
        return self._refuse()

    def jobs(self) -> JobsPicture:
        return folder_jobs(self._folder)

    def job_history(self, *, limit: int, name: str | None = None) -> Sequence[RunRow]:
        return folder_runs(self._folder, limit=limit, name=name)

    def views(self) -> Sequence[ViewRow]:
        return ()

    def paths(self) -> PathsPicture:
        return folder_paths(self._folder, now_us=self._clock.now_us())

    def consistency(self) -> ConsistencyPicture:
        return self._refuse()

    def analysis(self, *, limit: int) -> AnalysisPicture:
        return folder_picture_of_incidents(self._folder, limit=limit, state=None)

    def incident(self, incident_id: int) -> IncidentPicture:
        found = folder_incident(self._folder, incident_id)
        if found is None:
            raise ApplianceError(f"there is no incident {incident_id}")
        return found

    def say_of_incident(self, incident_id: int, verdict: str, *, comment: str) -> IncidentRow:  # noqa: ARG002 - as above
        return self._refuse()

    def search(self, text: str, *, order: str, limit: int) -> Found:
        asked = SearchQuery(text=text, order="rank" if order == "rank" else "time", limit=limit)
        return find_in_folder(load_config(data_dir=self._folder, file=find_config(self._folder)), asked, clock=self._clock)

    def run_job(self, name: str) -> RunRow:  # noqa: ARG002 - as above
        return self._refuse()

    def cancel_run(self, run_id: int) -> RunRow:  # noqa: ARG002 - as above
        return self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotRunning(f"no service runs on {self._folder}; start it with: appliance run --data-dir {self._folder}")

    def close(self) -> None:
        """Nothing is held between calls."""

    def query(self, sql: str, *, rows_max: int, stop: Stop) -> Answer:
        import pyarrow as pa

        command = [sys.executable, "-m", "appliance", "query", "-", "--format", "arrow", "--data-dir", str(self._folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            stop.when_stopped(process.kill)
            said, errors = process.communicate(sql.encode())
        if stop.stopped:
            raise QueryCancelled("the query was cancelled")
        if process.returncode != 0:
            raise QueryRefused(errors.decode("utf-8", "replace").strip().removeprefix("appliance: ") or "the query failed")
        table = pa.ipc.open_stream(said).read_all()
        return Answer(table=table.slice(0, rows_max), complete=table.num_rows <= rows_max)
