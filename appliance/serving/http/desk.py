"""What the handlers share: options, counters, and the context once the service is ready. Owned by the event loop."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from appliance.clock import Clock
from appliance.errors import RejectPayload, RetryLater
from appliance.observe.status import Status
from appliance.options import HttpOptions
from appliance.serving.http.body import BodyReader, ByteBudget
from appliance.serving.http.context import HttpContext

COMPATIBLE_VERSION: Final = "1.8.10"
"""What ``X-Influxdb-Version`` says: clients compare it with the versions of InfluxDB that they know (VictoriaMetrics says 1.8.0)."""
DATABASES_MAX: Final = 1_000
PATHS_MAX: Final = 64
"""Different (path, status) pairs that are counted apart; scanners must not grow them."""
ALERT_TESTS_MAX: Final = 2
"""Test messages on their way at once: each holds a thread for as long as the other side takes."""

Form = TypeVar("Form", bound=msgspec.Struct)


class Counts:
    """What has been answered since the start."""

    def __init__(self) -> None:
        self.by_path: dict[tuple[str, int], int] = {}
        self.gone = 0
        """Requests whose client left before they were whole."""
        self.body_bytes = 0

    def answered(self, path: str, status: int) -> None:
        key = (path, status)
        if key not in self.by_path and (status == 404 or len(self.by_path) >= PATHS_MAX):
            key = ("other", status)
        self.by_path[key] = self.by_path.get(key, 0) + 1


class Desk:
    """One per app; a handler gets it with its request."""

    def __init__(self, *, options: HttpOptions, clock: Clock, version: str) -> None:
        self.options = options
        self.clock = clock
        self.version = version
        self.counts = Counts()
        self.budget = ByteBudget(0)
        self.context: HttpContext | None = None
        """None: not ready; ``state`` says why."""
        self.state = "starting"
        self._status_lock = asyncio.Lock()
        self.alert_tests = asyncio.Semaphore(ALERT_TESTS_MAX)
        self.uploads = 0
        """Files that are being received."""
        self.databases: dict[str, None] = {}
        """Names that clients have used, in order of arrival; at most ``DATABASES_MAX``. Not kept over a restart."""

    def ready(self) -> HttpContext:
        """The context; raises ``RetryLater`` when the service has begun to end since the request was let in."""
        if self.context is None:
            raise RetryLater(self.state, after_s=1)
        return self.context

    async def status(self) -> Status:
        """The picture of now. It asks the disk, so a thread fetches it, one at a time."""
        context = self.ready()
        async with self._status_lock:
            return await asyncio.to_thread(context.status)

    def body_of(self, request: Request, *, bytes_max: int | None = None) -> BodyReader:
        """A reader for the request's body under the options' limits."""
        return BodyReader(
            request.receive,
            request.headers,
            bytes_max=self.options.body_bytes_max if bytes_max is None else bytes_max,
            timeout_s=self.options.read_timeout_s,
            budget=self.budget,
        )

    async def decoded(self, request: Request, form: type[Form], *, bytes_max: int) -> Form:
        """The request's JSON body as ``form``. Raises ``RejectPayload`` for what it is not, and whatever reading raises."""
        reader = self.body_of(request, bytes_max=bytes_max)
        try:
            return msgspec.json.decode(await reader.read(lambda: False), type=form)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise RejectPayload(f"the JSON body can't be used: {e}") from None
        finally:
            reader.release()

    def note_database(self, name: str) -> None:
        """Remembers a database that a client has named, so that ``SHOW DATABASES`` shows it."""
        if name and name not in self.databases and len(self.databases) < DATABASES_MAX and len(name) <= 256:
            self.databases[name] = None
