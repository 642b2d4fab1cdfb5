"""Answers that say no, in the four shapes that clients expect; an error's body is always JSON.

Which shape is decided by the path alone, so that an error before any handler (starting, unauthorized) has it too. The status
says what the client should do: 4xx drop it, 413 send less, 503 with whole seconds in ``Retry-After`` send it again later.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import msgspec
from starlette.responses import Response

from appliance.errors import (
    ApplianceError,
    ConfigRefused,
    PayloadTooLarge,
    QueryCancelled,
    QueryRefused,
    RejectPayload,
    RetryLater,
    StoreBusy,
    UsageRefused,
)

ERROR_HEADER_BYTES_MAX: Final = 1024
"""Bytes of ``X-InfluxDB-Error``, as InfluxDB cuts it."""
V2_CODES: Final[Mapping[int, str]] = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    405: "method not allowed",
    408: "request timeout",
    413: "request too large",
    415: "unsupported media type",
    422: "unprocessable entity",
    429: "too many requests",
    500: "internal error",
    503: "unavailable",
}
"""Status -> ``code`` of an InfluxDB 2 error."""


class Dialect(Enum):
    """Whose error bodies a path speaks."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"
    OWN = "own"


def dialect_of(path: str) -> Dialect:
    """The dialect of a request's path, whether anything answers there or not."""
    if path.startswith("/api/v2/"):
        return Dialect.V2
    if path.startswith("/api/v3/"):
        return Dialect.V3
    return Dialect.OWN if path.startswith("/api/") else Dialect.V1


class HttpRefused(ApplianceError):
    """A refusal with its status; ``data`` stands beside the error in the body (InfluxDB 3 lists lines there)."""

    def __init__(
        self, status: int, message: str, *, headers: Mapping[str, str] | None = None, data: object = None, omitted: int = 0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.data = data
        self.omitted = omitted
        """Entries left out of ``data``."""


class ClientGone(Exception):
    """The client has closed the connection before its request was whole: nobody is there to be answered."""


def as_refused(error: Exception) -> HttpRefused | None:
    """What an error means to a client; None for a defect of ours, which has no meaning."""
    match error:
        case HttpRefused():
            return error
        case RetryLater():
            return HttpRefused(503, str(error), headers={"Retry-After": str(max(1, error.after_s))})
        case PayloadTooLarge():
            return HttpRefused(413, str(error))
        case RejectPayload() | QueryRefused() | UsageRefused() | ConfigRefused():
            return HttpRefused(400, str(error))
        case QueryCancelled():
            return HttpRefused(409, str(error))
        case MemoryError():
            return HttpRefused(503, "out of memory for this request", headers={"Retry-After": "5"})
        case StoreBusy():
            return HttpRefused(503, str(error), headers={"Retry-After": "5"})
        case ApplianceError():
            return HttpRefused(500, str(error))
        case _:
            return None


def refusal(dialect: Dialect, refused: HttpRefused) -> Response:
    """The answer for a refusal, with the body and the headers of the dialect."""
    message = str(refused)
    headers = dict(refused.headers)
    body: dict[str, Any] = {"error": message}
    if dialect is Dialect.V2:
        code = V2_CODES.get(refused.status, "internal error")
        body = {"code": code, "message": message}
        headers["X-Platform-Error-Code"] = code
    elif dialect is Dialect.V1:
        headers["X-InfluxDB-Error"] = header_text(message)
    elif dialect is Dialect.V3 and refused.data is not None:
        body["data"] = refused.data
        if refused.omitted:
            body["data_omitted"] = refused.omitted
    return Response(msgspec.json.encode(body), status_code=refused.status, headers=headers, media_type="application/json")


def json_answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON; anything that msgspec can encode."""
    return Response(msgspec.json.encode(value), status_code=status, headers=headers, media_type="application/json")


def header_text(message: str) -> str:
    """A message as it may stand in a header: printable ASCII, at most ``ERROR_HEADER_BYTES_MAX`` bytes."""
    printable = "".join(c if c.isprintable() else " " for c in message[:ERROR_HEADER_BYTES_MAX])
    return printable.encode("ascii", "backslashreplace")[:ERROR_HEADER_BYTES_MAX].decode("ascii")
