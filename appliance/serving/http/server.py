"""The listening: uvicorn's protocol on sockets of ours, inside the service's own event loop.

uvicorn's ``Server`` is not used: it takes over the signals and wakes ten times a second. What it does besides is here: accept,
keep the ``Date`` header, and end gently. Owned by the event loop; knows nothing of what the app answers.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from appliance.clock import US_PER_S, Clock
from appliance.observe.descriptors import client_descriptor_max
from appliance.options import HttpOptions
from appliance.serving.http.connection import GuardedProtocol, ListenerState
from appliance.serving.http.sockets import BACKLOG

log = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 75
"""Idle time after which a connection is closed: more than the minute in which agents flush."""
HEAD_TIMEOUT_S_MAX: Final = 30.0
LOCAL_CONNECTIONS_MAX: Final = 64
"""On the unix socket, apart from those on TCP, so that no crowd there keeps the operator out."""
ACCEPTED_AT_ONCE: Final = 8
"""Connections accepted before the first of them is looked at: fewer than the descriptors that are kept back."""
DATE_EVERY_S: Final = 1.0


class HttpServer:
    """Accepts on any number of sockets for one app. ``stop`` lets answers under way be finished."""

    def __init__(self, app: Any, *, options: HttpOptions, clock: Clock) -> None:
        self._config = Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._config.load()
        self._clock = clock
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []
        self._date_task: asyncio.Task[None] | None = None
        head_timeout_s = min(options.read_timeout_s, HEAD_TIMEOUT_S_MAX)
        descriptor_max = client_descriptor_max()
        self.tcp = ListenerState(options.connections_max, head_timeout_s, descriptor_max)
        self.local = ListenerState(LOCAL_CONNECTIONS_MAX, head_timeout_s, descriptor_max)

    async def start(self, sockets: Sequence[socket.socket], *, remove_at_end: Sequence[Path] = ()) -> None:
        """Serves on ``sockets`` (bound and listening, TCP or unix) from now on, and closes them in ``stop``.

        ``remove_at_end`` are the files of unix sockets that are ours; one that systemd made is not.
        """
        loop = asyncio.get_running_loop()
        self._paths.extend(remove_at_end)
        if self._date_task is None:
            self._set_date()
            self._date_task = loop.create_task(self._keep_date(), name="http-date")
        for sock in sockets:
            factory = self._factory(loop, is_local=sock.family == socket.AF_UNIX)
            self._servers.append(await loop.create_server(factory, sock=sock, backlog=ACCEPTED_AT_ONCE))
            sock.listen(BACKLOG)  # asyncio has set it to what it accepts at once

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Accepts nothing more, waits for the answers under way, and cancels what is not done after ``grace_s``."""
        for server in self._servers:
            server.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(set(self._state.tasks), timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                log.warning("%d requests were cut off because they were not done %g s after the end was asked for", len(late), grace_s)
                await asyncio.wait(late, timeout=1.0)
        for connection in list(self._state.connections):
            connection.transport.close()
        if self._date_task is not None:
            self._date_task.cancel()
            self._date_task = None

    def _factory(self, loop: asyncio.AbstractEventLoop, *, is_local: bool) -> Any:
        listener = self.local if is_local else self.tcp
        app_state = {"is_local": is_local}

        def make() -> GuardedProtocol:
            return GuardedProtocol(config=self._config, server_state=self._state, app_state=app_state, _loop=loop, listener=listener)

        return make

    async def _keep_date(self) -> None:
        while True:
            await asyncio.sleep(DATE_EVERY_S)
            self._set_date()

    def _set_date(self) -> None:
        date = formatdate(self._clock.now_us() / US_PER_S, usegmt=True)
        self._state.default_headers = [(b"date", date.encode("ascii"))]
