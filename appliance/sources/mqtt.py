"""Messages of an MQTT broker. Acknowledged after the commit; redelivered ones change no count. Needs the extra ``mqtt``.

What is promised: with QoS 1 each message whose acknowledgement left the box is kept, and one that is sent again (flag DUP, same
packet id) is the same record: by its own time where the payload has one, else by the time of its first arrival, which ``Arrivals``
remembers across a crash. A QoS 2 publication is taken with QoS 1. With QoS 0 nothing is acknowledged, and what arrives while the box
is down is lost. A retained message is a state: it is taken when the topic is subscribed anew, not at each reconnect. A payload that
can't be read is acknowledged too, once it is in the dead letters.

The library's thread only queues; when ``QUEUE_BYTES_MAX`` wait it stops reading the socket. The thread of this source gathers what came
within 10 ms, commits it as one and acknowledges it.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from appliance.clock import Clock
from appliance.config import Config
from appliance.errors import ConfigRefused, RetryLater
from appliance.observe.status import SourceStatus
from appliance.options import MqttSource
from appliance.records import Receipt, Submission
from appliance.sources.mqtt_parts.arrivals import Arrivals, message_key
from appliance.sources.mqtt_parts.payloads import Message, read_messages, stream_of
from appliance.units import parse_address

if TYPE_CHECKING:
    from appliance.sources.mqtt_parts.session import Broker

log = logging.getLogger(__name__)
GATHER_S = 0.01
BLOCK_MESSAGES_MAX = 2_000
QUEUE_BYTES_MAX = 8 * 1024 * 1024
_MESSAGE_BYTES = 500
"""What a queued message needs besides topic and payload, about."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttDoor(Protocol):
    """The door as this source needs it."""

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:
        """Returns after the durable commit; raises ``RetryLater``."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is not committed yet."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    again: bool
    """The broker says that it has sent it before."""
    generation: int

    @property
    def bytes(self) -> int:
        return len(self.topic) + len(self.payload) + _MESSAGE_BYTES


class MqttSubscriber:
    """Source ``mqtt``."""

    def __init__(self, options: MqttSource, *, door: MqttDoor, clock: Clock, config: Config) -> None:
        self._options = options
        self._door = door
        self._clock = clock
        self._config = config
        self._folder = config.data_dir / "mqtt"
        self._session: Any = None
        self._arrivals: Arrivals | None = None
        self._queue: deque[Waiting] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._last_us = 0
        self._kept: dict[int, bytes] = {}
        """Packet id -> message that this process has committed; a repeat of it is acknowledged and nothing else."""
        self._records = 0
        self._rejected = 0
        self._repeats = 0
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="mqtt")  # noqa: TID251 - its owner

    def start(self) -> None:
        """Raises ``ConfigRefused`` without the extra, or when the password can't be read."""
        try:
            from appliance.sources.mqtt_parts.session import Session
        except ImportError as error:
            raise ConfigRefused("a source of kind 'mqtt' needs the extra: pip install 'edge-appliance[mqtt]'", key="source.kind") from error
        broker = self._broker()
        name = re.sub(r"[^A-Za-z0-9._-]", "_", broker.client_id)
        synced = self._config.hot.durability == "power-loss"
        self._arrivals = Arrivals(self._folder / f"{name}.arrivals", synced=synced)
        self._session = Session(broker, memory=self._folder / f"{name}.topics", on_message=self._received)
        if self._options.qos == 2:
            log.info("mqtt: QoS 2 is taken with QoS 1: a message is acknowledged when it is kept, and a repeat changes no count")
        self._thread.start()
        self._session.open()

    def stop(self) -> None:
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        if self._session is not None:
            self._session.close()
        if self._arrivals is not None:
            self._arrivals.close()

    def status(self) -> SourceStatus:
        session = self._session
        parts = [self._options.url, session.detail if session is not None else "not started"]
        parts += [f"{self._repeats} repeats"] if self._repeats else []
        parts += [self._problem] if self._problem else []
        connected = session is not None and session.connected
        state = "failed" if not self._thread.is_alive() else "paused" if self._problem else "ok" if connected else "waiting"
        return SourceStatus(f"mqtt:{self._options.url}", "mqtt", state, "; ".join(parts), self._records, self._rejected, 0)

    def _broker(self) -> Broker:
        from appliance.sources.mqtt_parts.session import Broker

        options = self._options
        scheme, _, place = options.url.partition("://")
        place = place.rstrip("/")
        has_port = ":" in place.rpartition("]")[2] if place.startswith("[") else ":" in place
        return Broker(
            address=parse_address(place if has_port else f"{place}:{_PORTS[scheme]}"),
            tls=scheme == "mqtts",
            client_id=options.client_id or f"appliance-{self._config.node.name}",
            topics=options.topics,
            qos=min(options.qos, 1),
            username=options.username,
            password=self._password(),
        )

    def _password(self) -> str | None:
        if self._options.password_file is None:
            return None
        file: Path = self._config.data_dir / self._options.password_file
        try:
            return file.read_text("utf-8").split("\n", 1)[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigRefused(f"the password file {file} can't be read: {error}", key="source.password_file") from error

    # --- in the library's thread

    def _received(self, message: Any, generation: int) -> None:
        """Queue a message; while too much waits, the socket is not read."""
        waiting = Waiting(message.topic, bytes(message.payload), message.qos, message.mid, bool(message.dup), generation)
        with self._changed:
            while self._queued_bytes > QUEUE_BYTES_MAX and not self._stopping.is_set():
                self._changed.wait(1.0)
            self._queue.append(waiting)
            self._queued_bytes += waiting.bytes
            self._changed.notify_all()

    # --- in this source's thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            block = self._gather()
            if block:
                self._keep(block)
            if self._session.downgrade.is_set():
                log.info("mqtt: the broker speaks only MQTT 3.1.1")
                self._session.open()

    def _gather(self) -> list[Waiting]:
        """What comes within a moment of the first message; empty from time to time."""
        with self._changed:
            if not self._queue:
                self._changed.wait(0.5)
            if not self._queue:
                return []
            if len(self._queue) < BLOCK_MESSAGES_MAX:
                self._changed.wait_for(lambda: len(self._queue) >= BLOCK_MESSAGES_MAX or self._stopping.is_set(), GATHER_S)
            block = [self._queue.popleft() for _ in range(min(len(self._queue), BLOCK_MESSAGES_MAX))]
            self._queued_bytes -= sum(waiting.bytes for waiting in block)
            self._changed.notify_all()
        return block

    def _keep(self, block: list[Waiting]) -> None:
        """Commit a block and acknowledge it; without the commit nothing is acknowledged."""
        keys = [message_key(waiting.topic, waiting.payload) for waiting in block]
        new = [place for place, waiting in enumerate(block) if not self._is_kept(waiting, keys[place])]
        messages = [Message(block[place].topic, block[place].payload, self._arrival(block[place], keys[place])) for place in new]
        assert self._arrivals is not None
        self._arrivals.sync()
        tags = [
            tag
            for name in {stream_of(message.topic, self._options.stream) for message in messages}
            for tag in self._config.stream(name).tags
        ]
        for submission in read_messages(messages, source="mqtt", stream=self._options.stream, tags=tags):
            receipt = self._submit(submission)
            if receipt is None:
                return
            self._records += receipt.records
            self._rejected += len(receipt.rejected)
        for waiting, key in zip(block, keys, strict=True):
            if waiting.qos:
                self._kept[waiting.mid] = key
                self._session.acknowledge(waiting.mid, waiting.generation)

    def _is_kept(self, waiting: Waiting, key: bytes) -> bool:
        kept = waiting.again and self._kept.get(waiting.mid) == key
        self._repeats += kept
        return kept

    def _arrival(self, waiting: Waiting, key: bytes) -> int:
        """The time of the first arrival; no two messages of one process have the same."""
        assert self._arrivals is not None
        if waiting.again and waiting.qos and (noted := self._arrivals.find(waiting.mid, key)) is not None:
            self._repeats += 1
            return noted
        self._last_us = max(self._clock.now_us(), self._last_us + 1)
        if waiting.qos:
            self._arrivals.note(waiting.mid, key, self._last_us)
        return self._last_us

    def _submit(self, submission: Submission) -> Receipt | None:
        """The receipt, waiting for the door as long as it takes; None when the process ends before."""
        while True:
            try:
                receipt = self._door.submit_blocking(submission)
            except RetryLater as later:
                self._problem = str(later)
                if self._stopping.wait(later.after_s):
                    return None
            else:
                self._problem = None
                return receipt
