"""``json://`` and ``jsons://``: the message as JSON to an HTTP server, with ``Idempotency-Key``.

2xx is delivered. 408, 425, 429 and 5xx are tried again, not before ``Retry-After``; every other answer is for good, redirects included:
where an alert goes is decided in the config. A proxy of the environment is not used. One connection is kept open between messages and
used again while the other side leaves it open.
"""

from __future__ import annotations

import base64
import http.client
import re
import threading
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, urlencode

from appliance.clock import US_PER_S, Clock
from appliance.hot.alerts.values import Message
from appliance.notify.alertmanager import alertmanager_body
from appliance.notify.bodies import json_body, json_bytes, message_key
from appliance.notify.channel import ANSWER_BYTES_MAX, Channel, Delivery, Sender, Undelivered, one_line, refused
from appliance.notify.connection import Connection
from appliance.notify.deadline import Deadline
from appliance.notify.urls import ChannelUrl, parse_url
from appliance.notify.wire import Resolver, Wire, failure, tls_context
from appliance.workload_options import NotifyOptions

SCHEMES: Final = ("json", "jsons")
RETRY_AFTER_S_MAX: Final = 3_600.0
"""Whoever asks for a longer pause is asked again after this one."""
_METHODS: Final = ("POST", "PUT", "PATCH")
_FORMATS: Final = ("appliance", "alertmanager")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\xa0-\xff]*")
_OURS: Final = {"content-length", "transfer-encoding", "connection", "idempotency-key", "expect", "upgrade", "te", "trailer"}
_TRY_AGAIN: Final = {408, 425, 429}


class Webhook(Channel):
    """One address of an HTTP server."""

    def __init__(self, sender: Sender, options: NotifyOptions, *, clock: Clock) -> None:
        """Raises ``ConfigRefused``."""
        url = parse_url(sender.channel, options.url, known=("method", "format", "verify"), headers=True)
        super().__init__(sender, options, url.shown)
        self._clock = clock
        self._host = url.host
        context = tls_context(verify=url.flag("verify", default=True))
        self._tls = context if url.scheme == "jsons" else None
        self._port = url.port or (443 if self._tls is not None else 80)
        self._method = url.choice("method", _METHODS, default="POST")
        self._format = url.choice("format", _FORMATS, default="appliance")
        self._target = (url.path or "/") + (f"?{urlencode(url.query, quote_via=quote)}" if url.query else "")
        self._headers = _headers(url)
        self._resolver = Resolver()
        self._lock = threading.Lock()
        self._idle: Connection | None = None
        self._busy: set[Connection] = set()

    def send(self, message: Message, *, timeout_s: float) -> Delivery:
        make = alertmanager_body if self._format == "alertmanager" else json_body
        body = json_bytes(make(message, self.sender))
        headers = self._headers | {"Idempotency-Key": message_key(message)}
        deadline = Deadline(self._clock, timeout_s)
        try:
            return self._exchange(body, headers, deadline)
        except OSError as error:
            raise Undelivered(f"{self.shown}: {failure(error)}", retry=True) from error
        except http.client.HTTPException as error:
            raise Undelivered(f"{self.shown}: the answer is no HTTP ({type(error).__name__})", retry=True) from error

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, None
            for connection in self._busy:
                connection.interrupt()
        if idle is not None:
            idle.close()

    def _exchange(self, body: bytes, headers: dict[str, str], deadline: Deadline) -> Delivery:
        """On a connection left open the other side may have just hung up: then once more, on a new one."""
        connection = self._take(deadline)
        was_used = connection.was_used
        try:
            return self._ask(connection, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):
            if not was_used:
                raise
            return self._ask(self._opened(deadline), body, headers)

    def _ask(self, connection: Connection, body: bytes, headers: dict[str, str]) -> Delivery:
        keeps = False
        try:
            connection.request(self._method, self._target, body=body, headers=headers)
            with connection.getresponse() as answer:
                said = _beginning(answer)
                keeps = (answer.isclosed() or answer.length == 0) and not answer.will_close
            return self._judged(answer, said)
        finally:
            self._give_back(connection, keeps=keeps)

    def _judged(self, answer: http.client.HTTPResponse, said: bytes) -> Delivery:
        text = one_line(said.decode("utf-8", "replace"))
        line = f"HTTP {answer.status} {http.client.responses.get(answer.status, '')}".rstrip() + (f": {text}" if text else "")
        if 200 <= answer.status < 300:
            return Delivery(line)
        if 300 <= answer.status < 400:
            raise Undelivered(
                f"HTTP {answer.status}: redirects are not followed; put the final address into the config", retry=False, answered=True
            )
        again = answer.status in _TRY_AGAIN or answer.status >= 500
        after_s = retry_after_s(answer.getheader("Retry-After"), now_us=self._clock.now_us()) if again else None
        raise Undelivered(line, retry=again, after_s=after_s, answered=True)

    def _take(self, deadline: Deadline) -> Connection:
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            if idle.reuse(deadline):
                with self._lock:
                    self._busy.add(idle)
                return idle
            idle.close()
        return self._opened(deadline)

    def _opened(self, deadline: Deadline) -> Connection:
        wire = Wire(self._resolver.connect(self._host, self._port, deadline), deadline)
        connection = Connection(self._host, self._port, wire, is_tls=self._tls is not None)
        with self._lock:
            self._busy.add(connection)
        try:
            if self._tls is not None:
                wire.secure(self._tls, self._host)
        except BaseException:
            self._give_back(connection, keeps=False)
            raise
        return connection

    def _give_back(self, connection: Connection, *, keeps: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if keeps and self._idle is None:
                connection.was_used = True
                self._idle = connection
                return
        connection.close()


def _beginning(answer: http.client.HTTPResponse) -> bytes:
    """What it says, up to the limit. The status is there already and decides, so an answer that breaks off here says less, no more."""
    said = bytearray()
    try:
        while len(said) < ANSWER_BYTES_MAX and (piece := answer.read1(ANSWER_BYTES_MAX - len(said))):
            said += piece
    except (OSError, http.client.HTTPException):
        answer.will_close = True
    return bytes(said)


def retry_after_s(text: str | None, *, now_us: int) -> float | None:
    """Seconds from a ``Retry-After`` header: a number of seconds or an HTTP date; None where it says nothing that can be read."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 12:
        return min(float(text), RETRY_AFTER_S_MAX)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    wanted_s = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now_us / US_PER_S
    return min(max(wanted_s, 0.0), RETRY_AFTER_S_MAX)


def _headers(url: ChannelUrl) -> dict[str, str]:
    found = {"Content-Type": "application/json", "User-Agent": "edge-appliance", "Accept": "*/*"}
    if url.user is not None:
        pair = f"{url.user}:{url.password or ''}"
        found["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    for name, value in url.headers.items():
        if _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise refused(url.channel, "has a header (+Name=value) that HTTP can't carry")
        if name.lower() in _OURS:
            raise refused(url.channel, f"can't set the header {name}: it is the channel's own")
        known = next((one for one in found if one.lower() == name.lower()), name)
        found[known] = value
    return found
