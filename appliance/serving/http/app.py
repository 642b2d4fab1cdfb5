"""The way of a request, from the server to the handler and back: one function, top to bottom.

Every answer carries the headers by which InfluxDB's clients know their server, and a request id. Before ``open`` and after
``shut`` only the probes are answered, everything else with 503. An error becomes a JSON body here and nowhere else.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from appliance.clock import Clock
from appliance.errors import RetryLater
from appliance.options import HttpOptions
from appliance.serving.http import (
    alerts,
    analysis,
    cache,
    consistency,
    databases,
    deletions,
    events,
    ingest,
    jobs,
    letters,
    meters,
    metrics,
    models,
    panels,
    paths,
    probes,
    query,
    reports,
    search,
    shedding,
    status,
    views,
    write,
)
from appliance.serving.http.answers import ClientGone, HttpRefused, as_refused, dialect_of, refusal
from appliance.serving.http.auth import OPEN_PATHS, Gate
from appliance.serving.http.body import ByteBudget
from appliance.serving.http.context import HttpContext
from appliance.serving.http.desk import COMPATIBLE_VERSION, Desk

log = logging.getLogger(__name__)

REQUEST_ID_CHARS_MAX: Final = 128
STARTING: Final = "starting"
STOPPING: Final = "stopping"


class App:
    """The ASGI application. Owned by the event loop; ``desk`` is what its handlers share."""

    def __init__(self, *, options: HttpOptions, clock: Clock, version: str) -> None:
        self.desk = Desk(options=options, clock=clock, version=version)
        self._gate = Gate(options.tokens)
        self._id_prefix = os.urandom(4).hex()
        self._ids = itertools.count(1)
        routes = _routes(self.desk)
        self._router = Router(routes, redirect_slashes=False, default=_nowhere)
        self._handlers = {(method, r.path): r.handler for r in routes if "{" not in r.path for method in r.methods or ()}
        """Of paths that stand for themselves, by method: found without asking each route."""
        self._headers = [
            (b"x-influxdb-version", COMPATIBLE_VERSION.encode("ascii")),
            (b"x-influxdb-build", b"appliance"),
            (b"x-appliance-version", version.encode("ascii")),
        ]

    def open(self, context: HttpContext) -> None:
        """From now on everything is answered."""
        ingest.clear_spool(context.spool)
        self.desk.budget = ByteBudget(
            max(context.config.hot.inflight_bytes_max, self.desk.options.body_bytes_max)
        )  # the largest fits alone
        self.desk.context = context

    def shut(self) -> None:
        """From now on new requests are told to come again later; those under way go on, endless ones end."""
        context, self.desk.context = self.desk.context, None
        self.desk.state = STOPPING
        if context is not None:
            context.hub.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        headers = Headers(scope=scope)
        reply = _Reply(send, [*self._headers, *self._request_id(headers)])
        try:
            await self._answer(path, headers, scope, receive, reply)
        except ClientGone:
            self.desk.counts.gone += 1
        except asyncio.CancelledError:
            # Only the end of the server cancels: what was handed to the door is the writer's, the client can't know and sends it again.
            if not reply.status:
                await self._refuse(RetryLater(STOPPING, after_s=2), path, scope, receive, reply)
        except Exception as e:  # noqa: BLE001 - the last place where an error can become an answer
            await self._refuse(e, path, scope, receive, reply)
        finally:
            self.desk.counts.answered(path, reply.status)

    async def _answer(self, path: str, headers: Headers, scope: Scope, receive: Receive, reply: _Reply) -> None:
        if self.desk.context is None and path not in OPEN_PATHS:
            raise HttpRefused(503, self.desk.state, headers={"Retry-After": "1"})
        if not scope["state"].get("is_local", False):
            self._gate.check(path, headers, scope["query_string"], dialect=dialect_of(path))
        if self.desk.context is not None:
            shedding.check(self.desk.context.ladder, path)
        handler = self._handlers.get((scope["method"], path))
        if handler is not None:
            response = await handler(self.desk, Request(scope, receive))
            await response(scope, receive, reply.send)
            return
        scope["app"] = self  # Starlette's sign that 404 and 405 are to be raised, not answered in plain text
        await self._router(scope, receive, reply.send)

    async def _refuse(self, error: Exception, path: str, scope: Scope, receive: Receive, reply: _Reply) -> None:
        if isinstance(error, HTTPException):
            error = HttpRefused(error.status_code, str(error.detail), headers=error.headers)
        refused = as_refused(error)
        if refused is None:
            log.error("%s %s failed", scope["method"], path, exc_info=error)
            refused = HttpRefused(500, "internal error; the log has more")
        if reply.status:
            # The head of the answer is out: breaking off is the only way to say that the rest is missing.
            raise error
        await refusal(dialect_of(path), refused)(scope, receive, reply.send)

    def _request_id(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        given = headers.get("x-request-id") or headers.get("request-id") or ""
        if not (0 < len(given) <= REQUEST_ID_CHARS_MAX and given.isascii() and given.isprintable()):
            given = f"{self._id_prefix}-{next(self._ids):08x}"
        value = given.encode("ascii")
        return [(b"request-id", value), (b"x-request-id", value)]


class _Reply:
    """Sends an answer with the headers that all have, and remembers its status (0: none yet)."""

    __slots__ = ("_headers", "_send", "status")

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)


Handler = Callable[[Desk, Request], Awaitable[Response]]


def _routes(desk: Desk) -> list[_Route]:
    """Every path that is answered; the busiest first, because the router asks one after the other."""

    route = partial(_Route, desk)
    return [
        route("/write", write.write_v1, "POST"),
        route("/api/v2/write", write.write_v2, "POST"),
        route("/api/v3/write_lp", write.write_v3, "POST"),
        route("/ping", probes.ping, "GET"),
        route("/health", probes.health, "GET"),
        route("/ready", probes.ready, "GET"),
        route("/query", databases.query_v1, "GET", "POST"),
        route("/metrics", metrics.metrics, "GET"),
        route("/api/status", status.status, "GET"),
        route("/api/series", status.series, "GET"),
        route("/api/latest", status.latest, "GET"),
        route("/api/streams/columns", status.columns, "GET"),
        route("/api/tail", status.tail, "GET"),
        route("/api/events", events.events, "GET"),
        route("/api/query", query.run, "POST"),
        route("/api/v3/query_sql", query.run_v3, "GET", "POST"),
        route("/api/queries/{id}", query.progress, "GET"),
        route("/api/queries/{id}", query.cancel, "DELETE"),
        route("/api/ingest", ingest.ingest, "POST"),
        route("/api/deadletters/replay", letters.replay, "POST"),
        route("/api/deletions", deletions.delete, "POST"),
        route("/api/alerts", alerts.picture, "GET"),
        route("/api/alerts/history", alerts.history, "GET"),
        route("/api/alerts/chart", alerts.chart, "GET"),
        route("/api/alerts/ack", alerts.acknowledge, "POST"),
        route("/api/alerts/unack", alerts.unacknowledge, "POST"),
        route("/api/alerts/silence", alerts.silence, "POST"),
        route("/api/alerts/unsilence", alerts.unsilence, "POST"),
        route("/api/alerts/test", alerts.test, "POST"),
        route("/api/latency", meters.latency, "GET"),
        route("/api/cost", meters.cost, "GET"),
        route("/api/cost/trial", meters.trial, "POST"),
        *_work_routes(route),
    ]


def _work_routes(route: Callable[..., _Route]) -> list[_Route]:
    """Those of batch work, reports, views, models and agreement."""
    return [
        route("/api/jobs", jobs.picture, "GET"),
        route("/api/jobs/history", jobs.history, "GET"),
        route("/api/jobs/run", jobs.run, "POST"),
        route("/api/jobs/query", jobs.query, "POST"),
        route("/api/jobs/cancel", jobs.cancel, "POST"),
        route("/api/jobs/runs/{id}", jobs.show, "GET"),
        route("/api/jobs/runs/{id}/result", jobs.result, "GET"),
        route("/api/reports", reports.picture, "GET"),
        route("/api/reports/file/{path:path}", reports.file, "GET"),
        route("/api/reports/render", reports.render, "POST"),
        route("/api/reports/issue", reports.issue, "POST"),
        route("/api/reload", alerts.reload, "POST"),
        route("/api/views", views.views, "GET"),
        route("/api/views/{name}/refresh", views.refresh, "POST"),
        route("/api/paths", paths.picture, "GET"),
        route("/api/consistency", consistency.picture, "GET"),
        route("/api/reconcile", consistency.reconcile, "POST"),
        route("/api/panels", panels.panels, "GET"),
        route("/api/cache", cache.picture, "GET"),
        route("/api/panels/{name}", panels.panel, "GET"),
        route("/api/search", search.find, "GET"),
        route("/api/search/status", search.status, "GET"),
        route("/api/search/rebuild", search.rebuild, "POST"),
        route("/api/analysis", analysis.picture, "GET"),
        route("/api/analysis/{id:int}", analysis.show, "GET"),
        route("/api/analysis/{id:int}/explain", analysis.explain, "GET"),
        route("/api/analysis/{id:int}/{verdict}", analysis.say, "POST"),
        route("/api/models/activate", models.activate, "POST"),
    ]


class _Route(Route):
    """A path, and what answers it."""

    def __init__(self, desk: Desk, path: str, handler: Handler, *methods: str) -> None:
        async def endpoint(request: Request) -> Response:
            return await handler(desk, request)

        super().__init__(path, endpoint, methods=list(methods))
        self.handler = handler


async def _nowhere(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise HttpRefused(404, "nothing is answered at this path")
