"""``mqtt://`` and ``mqtts://``: the message as JSON to a topic of a broker. Needs the extra ``mqtt``.

Each message has a connection of its own: alerts are rare, and a broker that is gone shows at once. With QoS 1 (the default) it is
delivered when the broker has acknowledged it, with QoS 0 when it has left. MQTT 5 where the broker has it, since only that says that a
topic may not be written to, else 3.1.1.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from appliance.clock import Clock
from appliance.hot.alerts.values import Message
from appliance.notify.bodies import json_body, json_bytes
from appliance.notify.channel import Channel, Delivery, Sender, Undelivered, refused
from appliance.notify.deadline import Deadline
from appliance.notify.urls import parse_url
from appliance.notify.wire import Resolver, failure, secured, tls_context
from appliance.workload_options import NotifyOptions

TOPIC_BYTES_MAX: Final = 65_535
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_LOOK_S: Final = 1.0
_KEEPALIVE_S: Final = 60
_WRONG_VERSION: Final = 132
_FOR_GOOD: Final = frozenset((128, 129, 133, 134, 135, 138, 140, 144, 149, 153, 154, 155))
"""Reason codes of MQTT 5 (section 2.4) after which the same again is refused again: malformed, not authorised, bad name, topic or size.
128 (unspecified) is in the list for 3.1.1, where paho gives it for no other code."""


class Mqtt(Channel):
    """One topic of one broker."""

    def __init__(self, sender: Sender, options: NotifyOptions, *, clock: Clock) -> None:
        """Raises ``ConfigRefused``."""
        url = parse_url(sender.channel, options.url, known=("qos", "retain", "verify"))
        super().__init__(sender, options, url.shown)
        self._topic = unquote(url.path.removeprefix("/"))
        if not self._topic or set(self._topic) & set("+#\0") or len(self._topic.encode()) > TOPIC_BYTES_MAX:
            raise refused(sender.channel, f"must name a topic: {url.scheme}://HOST/TOPIC, without + and #")
        self._qos = int(url.choice("qos", ("0", "1"), default="1"))
        self._retain = url.flag("retain", default=False)
        self._tls = tls_context(verify=url.flag("verify", default=True)) if url.scheme == "mqtts" else None
        self._host = url.host
        self._port = url.port or _PORTS[url.scheme]
        self._login = (url.user, url.password) if url.user is not None else None
        self._clock = clock
        self._resolver = Resolver()
        self._version = MQTTProtocolVersion.MQTTv5

    def send(self, message: Message, *, timeout_s: float) -> Delivery:
        deadline = Deadline(self._clock, timeout_s)
        payload = json_bytes(json_body(message, self.sender))
        try:
            try:
                return self._publish(payload, deadline)
            except _OtherVersion:
                self._version = MQTTProtocolVersion.MQTTv311
                return self._publish(payload, deadline)
        except OSError as error:
            raise Undelivered(f"{self.shown}: {failure(error)}", retry=True) from error

    def _publish(self, payload: bytes, deadline: Deadline) -> Delivery:
        session = _Session(self, self._version, deadline)
        try:
            session.open()
            return session.publish(self._topic, payload, qos=self._qos, retain=self._retain)
        finally:
            session.close()

    def client(self, version: MQTTProtocolVersion, deadline: Deadline) -> _Client:
        """A client of the library that is not connected yet."""
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"appliance-{self.sender.node}-notify-{self.name}",
            clean_session=None if version == MQTTProtocolVersion.MQTTv5 else True,
            protocol=version,
            reconnect_on_failure=False,
        )
        client.dial = lambda: self._dial(deadline)
        if self._login is not None:
            client.username_pw_set(*self._login)
        return client

    def _dial(self, deadline: Deadline) -> socket.socket:
        connected = self._resolver.connect(self._host, self._port, deadline)
        return connected if self._tls is None else secured(connected, self._tls, self._host, deadline)

    @property
    def address(self) -> tuple[str, int]:
        return self._host, self._port


class _OtherVersion(Exception):
    """The broker does not speak this version."""


class _Client(paho.Client):
    """The library's client on connections of ours, TLS included, which the library would not end in time."""

    dial: Callable[[], socket.socket]

    def _create_socket_connection(self) -> socket.socket:
        return self.dial()


class _Session:
    """One connection, driven by whoever sends, without a thread."""

    def __init__(self, channel: Mqtt, version: MQTTProtocolVersion, deadline: Deadline) -> None:
        self._channel = channel
        self._version = version
        self._deadline = deadline
        self._client = channel.client(version, deadline)
        self._client.on_connect = self._connected
        self._client.on_publish = self._published
        self._granted: Any = None
        self._taken: Any = None

    def open(self) -> None:
        """Raises ``OSError``, ``Undelivered``, ``_OtherVersion``."""
        host, port = self._channel.address
        self._client.connect(host, port, _KEEPALIVE_S)
        is_new = self._version == MQTTProtocolVersion.MQTTv5
        try:
            self._drive(lambda: self._granted is not None)
        except ConnectionError as error:
            if is_new and self._granted is None:  # brokers of old hang up on a version that they don't know
                raise _OtherVersion from error
            raise
        if not self._granted.is_failure:
            return
        if is_new and self._granted.value == _WRONG_VERSION:
            raise _OtherVersion
        raise Undelivered(f"the broker refuses: {self._granted}", retry=self._granted.value not in _FOR_GOOD, answered=True)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> Delivery:
        """Raises ``OSError``, ``Undelivered``."""
        self._client.publish(topic, payload, qos=qos, retain=retain)
        self._drive(lambda: self._taken is not None)
        if self._taken.is_failure:
            raise Undelivered(f"the broker refuses: {self._taken}", retry=self._taken.value not in _FOR_GOOD, answered=True)
        return Delivery("acknowledged by the broker" if qos else "sent with QoS 0, which is not acknowledged")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what was sent is acknowledged or tried again; how they part changes nothing
            self._client.disconnect()

    def _drive(self, is_done: Callable[[], bool]) -> None:
        """Read and write until it is done. Raises ``OSError``."""
        client = self._client
        while not is_done():
            connection = client.socket()
            if connection is None:
                raise ConnectionError
            looked = select.poll()
            looked.register(connection, select.POLLIN | (select.POLLOUT if client.want_write() else 0))
            pending = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
            found = looked.poll(0 if pending else 1_000 * min(self._deadline.left_s(), _LOOK_S))
            events = found[0][1] if found else 0
            if pending or events & ~select.POLLOUT:
                client.loop_read()
            if events & select.POLLOUT:
                client.loop_write()
            self._deadline.left_s()

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._granted = reason

    def _published(self, _client: Any, _data: Any, _mid: int, reason: Any, _properties: Any) -> None:
        self._taken = reason
