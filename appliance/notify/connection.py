"""HTTP over a ``Wire``: every wait of a request and its answer ends at the wire's deadline."""

from __future__ import annotations

import http.client
import ssl
from typing import cast

from appliance.notify.deadline import Deadline
from appliance.notify.wire import Wire


class Connection(http.client.HTTPConnection):
    """``http.client`` over a ``Wire``; never connects by itself."""

    auto_open = 0

    def __init__(self, host: str, port: int, wire: Wire, *, is_tls: bool) -> None:
        if is_tls:
            self.default_port = 443  # so that the Host header leaves it out
        super().__init__(host, port)
        self._wire = wire
        self.sock = cast("ssl.SSLSocket", wire)
        self.was_used = False

    def reuse(self, deadline: Deadline) -> bool:
        """Whether it can take another request."""
        self._wire.deadline = deadline
        return self.sock is not None and self._wire.is_quiet()

    def interrupt(self) -> None:
        """End whatever waits on it, in any thread."""
        self._wire.interrupt()
