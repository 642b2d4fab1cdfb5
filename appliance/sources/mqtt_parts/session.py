"""The session at the broker: MQTT 5 where the broker has it, else 3.1.1; persistent, acknowledged by hand, at most QoS 1.

The library's thread calls ``on_message`` for each message and keeps the connection up, with pauses of 1 to 30 s between tries. Nothing
here looks into a payload. With MQTT 5 the broker may send ``INFLIGHT_MAX`` messages before the first is acknowledged; with 3.1.1 its
own limit holds (mosquitto: 20). QoS 2 is not asked for: the library would tell the broker that it has a message before it is kept.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from appliance.units import Address

log = logging.getLogger(__name__)
INFLIGHT_MAX = 1_000
"""Messages that the broker may send unacknowledged."""
PACKET_BYTES_MAX = 16 * 1024 * 1024
"""The broker keeps larger messages to itself (MQTT 5)."""
KEEPALIVE_S = 30
RECONNECT_S_MAX = 30
_NEVER_EXPIRES = 0xFFFF_FFFF
_WRONG_VERSION = 132
"""Reason code: the broker does not speak this version."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how it is spoken to."""

    address: Address
    tls: bool
    client_id: str
    topics: tuple[str, ...]
    qos: int
    """0 or 1."""
    username: str | None
    password: str | None


class Session:
    """One client of the broker. ``generation`` counts connections: a packet id means nothing beyond its own."""

    def __init__(self, broker: Broker, *, memory: Path, on_message: Callable[[Any, int], None]) -> None:
        """``memory``: file that remembers what was subscribed; ``on_message`` gets paho's message and the generation, in paho's thread."""
        self._broker = broker
        self._memory = memory
        self._on_message = on_message
        self._lock = threading.Lock()
        self._client: Any = None
        self._version = paho.MQTTv5
        self.generation = 0
        self.connected = False
        self.detail = "connecting"
        self.downgrade = threading.Event()
        """Set when the broker speaks only MQTT 3.1.1: whoever owns the session calls ``open`` again."""

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self.close()
        if self.downgrade.is_set():
            self._version = paho.MQTTv311
            self.downgrade.clear()
        self._client = self._make_client()
        options: dict[str, Any] = {}
        if self._version == paho.MQTTv5:
            properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types only some of its parts
            properties.SessionExpiryInterval = _NEVER_EXPIRES
            properties.ReceiveMaximum = INFLIGHT_MAX
            properties.MaximumPacketSize = PACKET_BYTES_MAX
            options = {"clean_start": False, "properties": properties}
        self._client.connect_async(self._broker.address.host, self._broker.address.port, KEEPALIVE_S, **options)
        self._client.loop_start()

    def close(self) -> None:
        """Leave; the broker keeps the session."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
        self.connected = False

    def acknowledge(self, mid: int, generation: int) -> bool:
        """Tell the broker that a message is kept. False when it came over an earlier connection: it is sent again and acknowledged then."""
        with self._lock:
            if generation != self.generation or self._client is None:
                return False
            self._client.ack(mid, 1)
            return True

    def _make_client(self) -> Any:
        broker = self._broker
        old: dict[str, Any] = {} if self._version == paho.MQTTv5 else {"clean_session": False}
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=broker.client_id, protocol=self._version, manual_ack=True, **old)
        client.max_inflight_messages_set(INFLIGHT_MAX)
        client.reconnect_delay_set(1, RECONNECT_S_MAX)
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        if broker.tls:
            client.tls_set()
        client.on_connect = self._connected
        client.on_connect_fail = self._unreachable
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        return client

    # --- called by the library, in its thread

    def _received(self, _client: Any, _data: Any, message: Any) -> None:
        self._on_message(message, self.generation)

    def _connected(self, client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.detail = f"the broker refuses: {reason}"
            if self._version == paho.MQTTv5 and reason.value == _WRONG_VERSION:
                self.downgrade.set()
            return
        with self._lock:
            self.generation += 1
        self.connected = True
        before = self._subscriptions()
        if flags.session_present and before == self._wanted():
            self.detail = "connected"
            return
        self.detail = "subscribing"
        for topic in sorted({topic for topic, _qos in before} - set(self._broker.topics)):
            client.unsubscribe(topic)
        if self._version == paho.MQTTv5:
            new_only = [(topic, SubscribeOptions(qos=self._broker.qos, retainHandling=1)) for topic in self._broker.topics]
            client.subscribe(new_only)
        else:
            client.subscribe([(topic, self._broker.qos) for topic in self._broker.topics])

    def _subscribed(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self.detail = f"the broker refuses a subscription: {refused[0]}"
            log.warning("mqtt %s: %s", self._broker.address.host, self.detail)
            return
        self.detail = "connected"
        try:
            self._memory.write_text(json.dumps(self._wanted()), "utf-8")
        except OSError as e:  # raised here it would end the library's thread; without the note the next connection subscribes anew
            log.warning("mqtt %s: the topics can't be noted and are subscribed to again next time: %s", self._broker.address.host, e)

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._lock:
            self.generation += 1
        self.connected = False
        self.detail = f"not connected ({reason})"

    def _unreachable(self, _client: Any, _data: Any) -> None:
        self.detail = "the broker can't be reached"

    def _wanted(self) -> list[list[Any]]:
        return [[topic, self._broker.qos] for topic in sorted(self._broker.topics)]

    def _subscriptions(self) -> list[list[Any]]:
        """What this session was subscribed to; empty when that is not known."""
        try:
            found = json.loads(self._memory.read_text("utf-8"))
        except (OSError, ValueError):
            return []
        return found if isinstance(found, list) else []
