"""The client of a running service: HTTP over its unix socket."""

from __future__ import annotations

import http.client
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from appliance.errors import ApplianceError, NotRunning, QueryCancelled, QueryRefused
from appliance.observe.alerts import AlertRow, AlertsPicture, SilenceRow, TransitionRow, WindowChart
from appliance.observe.analysis import AnalysisPicture, IncidentPicture, IncidentRow
from appliance.observe.author import author
from appliance.observe.consistency import ConsistencyPicture
from appliance.observe.jobs import JobsPicture, RunRow
from appliance.observe.paths import PathsPicture
from appliance.observe.reports import ReportsPicture
from appliance.observe.search import Found
from appliance.observe.status import Status
from appliance.observe.views import ViewRow
from tui.client import Answer, ColumnInfo, Key, Series
from tui.connection import UnixConnection
from tui.stop import Stop

_T = TypeVar("_T")
_ERROR_CHARS_MAX = 4000
_ACTION_TIMEOUT_S = 30.0
"""What a person does is durable when it returns; a busy disk may take its time."""
_REPORT_TIMEOUT_S = 600.0


class SocketClient:
    """Asks over HTTP on the unix socket of a running service.

    One kept-alive connection serves the short questions, in turn; each query has a connection of its own, so that ending it ends the
    query and nothing else waits for it. A service that went away and came back is found again by the next call.
    """

    def __init__(self, path: Path, *, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._kept: UnixConnection | None = None

    @property
    def where(self) -> str:
        return str(self._path)

    def status(self) -> Status:
        return _decode(self._get("/api/status"), Status)

    def series(self, stream: str, column: str, *, since_us: int) -> Series:
        return _decode(self._get("/api/series", {"stream": stream, "column": column, "since": since_us}), Series)

    def latest(self, stream: str) -> Sequence[Mapping[str, Any]]:
        return _decode(self._get("/api/latest", {"stream": stream}), list[dict[str, Any]])

    def columns(self, stream: str) -> Sequence[ColumnInfo]:
        return _decode(self._get("/api/streams/columns", {"stream": stream}), list[ColumnInfo])

    def alerts(self) -> AlertsPicture:
        return _decode(self._get("/api/alerts"), AlertsPicture)

    def alert_history(self, *, limit: int, rule: str | None = None) -> Sequence[TransitionRow]:
        asked = {"limit": limit, **({"rule": rule} if rule is not None else {})}
        return _decode(self._get("/api/alerts/history", asked), list[TransitionRow])

    def alert_chart(self, rule: str, key: Key) -> WindowChart | None:
        asked = {"rule": rule, "key": msgspec.json.encode(key).decode()}
        body = self._get("/api/alerts/chart", asked, none_at_404=True)
        return _decode(body, WindowChart) if body else None

    def acknowledge(self, rule: str, key: Key, *, comment: str, until: str | None) -> Sequence[AlertRow]:
        body = {"rule": rule, "key": key, "comment": comment, "until": until}
        return _decode(self._act("ack", body), list[AlertRow])

    def unacknowledge(self, rule: str, key: Key) -> Sequence[AlertRow]:
        return _decode(self._act("unack", {"rule": rule, "key": key}), list[AlertRow])

    def silence(self, matchers: Sequence[str], *, until: str, comment: str) -> SilenceRow:
        return _decode(self._act("silence", {"matchers": matchers, "until": until, "comment": comment}), SilenceRow)

    def unsilence(self, silence_id: int) -> SilenceRow:
        return _decode(self._act("unsilence", {"id": silence_id}), SilenceRow)

    def reports(self) -> ReportsPicture:
        return _decode(self._get("/api/reports"), ReportsPicture)

    def report_text(self, path: str) -> str:
        return self._get(f"/api/reports/file/{quote(path)}").decode("utf-8", "replace")

    def issue_report(self, name: str, *, day: str | None, parameters: Mapping[str, str]) -> str:
        body = {"name": name, "day": day, "parameters": dict(parameters)}
        said = _decode(self._post("/api/reports/issue", body, timeout_s=_REPORT_TIMEOUT_S), dict[str, Any])
        return str(said["said"])

    def jobs(self) -> JobsPicture:
        return _decode(self._get("/api/jobs"), JobsPicture)

    def job_history(self, *, limit: int, name: str | None = None) -> Sequence[RunRow]:
        asked = {"limit": limit, **({"name": name} if name is not None else {})}
        return _decode(self._get("/api/jobs/history", asked), list[RunRow])

    def views(self) -> Sequence[ViewRow]:
        return _decode(self._get("/api/views"), list[ViewRow])

    def paths(self) -> PathsPicture:
        return _decode(self._get("/api/paths"), PathsPicture)

    def consistency(self) -> ConsistencyPicture:
        return _decode(self._get("/api/consistency"), ConsistencyPicture)

    def analysis(self, *, limit: int) -> AnalysisPicture:
        return _decode(self._get("/api/analysis", {"limit": limit}), AnalysisPicture)

    def incident(self, incident_id: int) -> IncidentPicture:
        return _decode(self._get(f"/api/analysis/{incident_id}"), IncidentPicture)

    def say_of_incident(self, incident_id: int, verdict: str, *, comment: str) -> IncidentRow:
        body = {"author": author(), "comment": comment}
        return _decode(self._post(f"/api/analysis/{incident_id}/{verdict}", body, timeout_s=_ACTION_TIMEOUT_S), IncidentRow)

    def search(self, text: str, *, order: str, limit: int) -> Found:
        return _decode(self._get("/api/search", {"q": text, "order": order, "limit": limit}), Found)

    def run_job(self, name: str) -> RunRow:
        return _decode(self._post("/api/jobs/run", {"name": name}, timeout_s=_ACTION_TIMEOUT_S), RunRow)

    def cancel_run(self, run_id: int) -> RunRow:
        return _decode(self._post("/api/jobs/cancel", {"id": run_id}, timeout_s=_ACTION_TIMEOUT_S), RunRow)

    def close(self) -> None:
        with self._lock:
            if self._kept is not None:
                self._kept.close()
                self._kept = None

    def query(self, sql: str, *, rows_max: int, stop: Stop) -> Answer:
        name = uuid.uuid4().hex
        connection = UnixConnection(self._path, timeout_s=None)
        stop.when_stopped(lambda: self._end_query(name, connection))
        try:
            return _ask_query(connection, sql, name=name, rows_max=rows_max)
        except (OSError, http.client.HTTPException, ValueError, QueryRefused) as error:
            if stop.stopped:
                raise QueryCancelled("the query was cancelled") from error
            if isinstance(error, QueryRefused):
                raise
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _end_query(self, name: str, connection: UnixConnection) -> None:
        """Asks the service to end it and hangs up, which says the same to a service that does not know the id."""
        ending = UnixConnection(self._path, timeout_s=1.0)
        try:
            ending.request("DELETE", f"/api/queries/{name}")
            ending.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass  # the hang-up below says the same
        finally:
            ending.close()
            connection.hang_up()

    def _get(self, path: str, asked: Mapping[str, object] | None = None, *, none_at_404: bool = False) -> bytes:
        """The body of an answer; with ``none_at_404`` nothing where there is no such thing."""
        target = f"{path}?{urlencode(asked, errors='surrogatepass')}" if asked else path
        with self._lock, self._unreachable_is_not_running():
            status, body = self._exchange(target)
        if status == 404 and none_at_404:
            return b""
        if status >= 400:
            raise ApplianceError(_reason(status, body))
        return body

    def _act(self, what: str, body: Mapping[str, object]) -> bytes:
        """Does something about alerts in the name of who runs the UI."""
        return self._post(f"/api/alerts/{what}", {**body, "author": author()}, timeout_s=_ACTION_TIMEOUT_S)

    def _post(self, path: str, body: Mapping[str, object], *, timeout_s: float) -> bytes:
        """On a connection of its own, as it must not be sent twice."""
        connection = UnixConnection(self._path, timeout_s=timeout_s)
        sent = msgspec.json.encode(body)
        try:
            with self._unreachable_is_not_running():
                connection.request("POST", path, sent, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise ApplianceError(_reason(response.status, answer))
        return answer

    def _exchange(self, target: str) -> tuple[int, bytes]:
        """One question over the kept connection; a connection that the service closed while idle is replaced once."""
        fresh = self._kept is None
        connection = self._kept or UnixConnection(self._path, timeout_s=self._timeout_s)
        self._kept = None
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if fresh or isinstance(error, TimeoutError):
                raise
            return self._exchange(target)
        if response.will_close:
            connection.close()
        else:
            self._kept = connection
        return response.status, body

    @contextmanager
    def _unreachable_is_not_running(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> NotRunning:
        if isinstance(error, TimeoutError):
            return NotRunning(f"the service at {self._path} gave no answer in {self._timeout_s:g} s")
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            return NotRunning(f"no service at {self._path}; start it with: appliance run")
        return NotRunning(f"the service at {self._path} hung up: {str(error) or type(error).__name__}")


def _ask_query(connection: UnixConnection, sql: str, *, name: str, rows_max: int) -> Answer:
    """Posts the query and reads its Arrow stream no further than needed."""
    import pyarrow as pa  # heavy, and only this screen needs it

    body = msgspec.json.encode({"sql": sql, "format": "arrow", "id": name})
    connection.request("POST", "/api/query", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status >= 400:
        raise QueryRefused(_reason(response.status, response.read(1 << 20)))
    taken: list[Any] = []
    rows = 0
    with pa.ipc.open_stream(pa.PythonFile(response, mode="r")) as reader:
        while rows <= rows_max:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                break
            taken.append(batch)
            rows += batch.num_rows
        table = pa.Table.from_batches(taken, schema=reader.schema)
    return Answer(table=table.slice(0, rows_max), complete=rows <= rows_max)


def _decode(body: bytes, kind: type[_T]) -> _T:
    """The value in ``body``; a service of another version is told apart from one that is not there."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ApplianceError(f"the service's answer is not understood, it may be of another version: {error}") from error


def _reason(status: int, body: bytes) -> str:
    """The one line of an error's body, which is an object with ``error`` or plain text."""
    text = body[:_ERROR_CHARS_MAX].decode("utf-8", "replace").strip()
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        told = None
    if isinstance(told, dict):
        text = str(next((told[key] for key in ("error", "message", "detail") if told.get(key)), text))
    return text or f"the service answered {status} {http.client.responses.get(status, '')}".strip()
