"""The command line's way to a running service: HTTP over the unix socket of the data folder.

``connect`` raises ``NotRunning`` where nobody answers; what the service refuses becomes the error that it names.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from appliance.errors import ApplianceError, NotRunning, QueryRefused, RejectPayload, RetryLater

SOCKET_NAME = "appliance.sock"
TIMEOUT_S = 10.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, *, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")  # a long path does not fit into an address
        except OSError as e:
            self.sock.close()
            raise NotRunning(f"no service answers on {self._path}; start it with: appliance run --data-dir {self._path.parent}") from e
        finally:
            os.close(folder)


def is_running(data_dir: Path) -> bool:
    """Whether a service answers for this folder."""
    try:
        connect(data_dir).close()
    except NotRunning:
        return False
    return True


def connect(data_dir: Path, *, timeout_s: float | None = TIMEOUT_S) -> UnixConnection:
    """An open connection. Raises ``NotRunning``."""
    path = data_dir / SOCKET_NAME
    if not path.exists():
        raise NotRunning(f"no service runs on {data_dir}; start it with: appliance run --data-dir {data_dir}")
    connection = UnixConnection(path, timeout_s=timeout_s)
    connection.connect()
    return connection


def get_json(
    data_dir: Path,
    path: str,
    parameters: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
    *,
    refused: type[ApplianceError] = QueryRefused,
    timeout_s: float | None = TIMEOUT_S,
) -> Any:
    """The JSON that a GET gives. Raises ``NotRunning`` or the error that the service names; ``refused`` is what a 400 means."""
    connection = connect(data_dir, timeout_s=timeout_s)
    return json.loads(_answered(connection, "GET", path + ("?" + urlencode(parameters) if parameters else ""), refused=refused))


def post_json(data_dir: Path, path: str, value: Any, *, refused: type[ApplianceError] = QueryRefused) -> Any:
    """The JSON that a POST of JSON gives; waits as long as it takes. Raises as ``get_json``."""
    return json.loads(post(data_dir, path, value, refused=refused))


def post(data_dir: Path, path: str, value: Any, *, refused: type[ApplianceError] = QueryRefused) -> bytes:
    """The body that a POST of JSON gives, whatever it is; else as ``post_json``."""
    connection = connect(data_dir, timeout_s=None)
    return _answered(connection, "POST", path, json.dumps(value), {"Content-Type": "application/json"}, refused=refused)


def _answered(
    connection: UnixConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    refused: type[ApplianceError],
) -> bytes:
    """The whole body of the answer; closes the connection. Raises what the service refuses."""
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise refusal(answer.status, content, answer.headers.get("Retry-After"), refused=refused)
    return content


def get_lines(data_dir: Path, path: str, parameters: Mapping[str, str], on_answer: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    """The lines of an answer without an end, as they come; ``on_answer`` is told once it begins."""
    connection = connect(data_dir, timeout_s=None)
    try:
        connection.request("GET", path + "?" + urlencode(parameters))
        answer = connection.getresponse()
        if answer.status != 200:
            raise refusal(answer.status, answer.read(), answer.headers.get("Retry-After"))
        on_answer()
        while line := answer.readline():
            yield line
    finally:
        connection.close()


def refusal(status: int, body: bytes, retry_after: str | None = None, *, refused: type[ApplianceError] = QueryRefused) -> ApplianceError:
    """The service's refusal as the error that it was."""
    try:
        said = json.loads(body)
        text = str(said.get("error") or said.get("message") or said)
    except (ValueError, AttributeError):
        text = body.decode("utf-8", "replace").strip() or f"HTTP status {status}"
    if status in (429, 503):
        return RetryLater(text, after_s=int(retry_after) if retry_after and retry_after.isdigit() else 1)
    return refused(text) if status == 400 else RejectPayload(text)
