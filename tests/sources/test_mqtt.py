"""The MQTT source against mosquitto: kept before it is acknowledged, once whatever is sent again."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.box import Box
from appliance.clock import SystemClock
from appliance.errors import ConfigRefused, RetryLater
from appliance.options import MqttSource
from appliance.records import Receipt, Submission
from appliance.sources.mqtt import MqttSubscriber
from appliance.units import parse_address
from tests.door.batches import open_box, rows_of
from tests.running import ROOT, wait_for
from tests.sources.broker import MISSING, Broker

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path / "broker").start()
    yield started
    started.stop()


@dataclass
class Subscribed:
    box: Box
    source: MqttSubscriber

    def rows(self, stream: str = "plant") -> list[dict[str, Any]]:
        return rows_of(self.box, stream) if self.box.state.get(stream) else []

    def values(self, stream: str = "plant") -> list[Any]:
        return sorted(row["value"] for row in self.rows(stream))

    def wait(self, count: int, stream: str = "plant") -> None:
        wait_for(lambda: (state := self.box.state.get(stream)) and state.last_seq >= count, what=f"{count} records; {self.source.status()}")


@contextmanager
def subscribed(folder: Path, broker: Broker, door: Any = None, **options: Any) -> Iterator[Subscribed]:
    box = open_box(folder / "box")
    chosen = MqttSource(**{"url": broker.url, "topics": ("plant/#",), "client_id": "test", **options})
    source = MqttSubscriber(chosen, door=door(box) if door else box.door, clock=SystemClock(), config=box.config)
    source.start()
    try:
        wait_for(lambda: source.status().detail.endswith("; connected"), what=f"the subscription: {source.status()}")
        yield Subscribed(box, source)
    finally:
        source.stop()
        box.close()


def test_numbers_objects_and_lines_are_records_and_garbage_is_a_dead_letter(tmp_path: Path, broker: Broker) -> None:
    with subscribed(tmp_path, broker) as mqtt:
        broker.publish("plant/a/t", "21.5", "garbage", '{"ts":"2026-01-01T00:00:00Z","value":3}', "cpu,host=a v=1i")
        broker.publish("plant/b/t", "7", qos=0)
        broker.publish("plant/c/t", "8", qos=2)
        mqtt.wait(4)
        mqtt.wait(1, "cpu")
        assert {(row["topic"], row["value"]) for row in mqtt.rows()} == {
            ("plant/a/t", 21.5),
            ("plant/a/t", 3),
            ("plant/b/t", 7),
            ("plant/c/t", 8),
        }
        wait_for(lambda: mqtt.source.status().rejected == 1, what="the dead letter")
        assert mqtt.source.status().state == "ok"
    with subscribed(tmp_path, broker) as mqtt:
        assert mqtt.source.status().rejected == 0, "the garbage was acknowledged, too"


def test_equal_messages_are_different_records(tmp_path: Path, broker: Broker) -> None:
    with subscribed(tmp_path, broker) as mqtt:
        broker.publish("plant/a/t", *["1"] * 500)
        mqtt.wait(500)
        assert len({row["ts"] for row in mqtt.rows()}) == 500


def test_what_is_published_while_the_box_is_down_comes_later(tmp_path: Path, broker: Broker) -> None:
    with subscribed(tmp_path, broker):
        pass
    broker.publish("plant/a/t", "1", "2", "3")
    with subscribed(tmp_path, broker) as mqtt:
        mqtt.wait(3)
        assert mqtt.values() == [1, 2, 3]


def test_a_broker_that_restarts_is_found_again_and_repeats_change_no_count(tmp_path: Path, broker: Broker) -> None:
    """The acknowledgements are lost on the way: the broker sends everything again."""
    with subscribed(tmp_path, broker) as mqtt:
        lost = mqtt.source._session.acknowledge
        mqtt.source._session.acknowledge = lambda *_: True
        broker.publish("plant/a/t", *map(str, range(100)))
        mqtt.wait(100)
        mqtt.source._session.acknowledge = lost
        broker.stop()
        wait_for(lambda: mqtt.source.status().state == "waiting", what="the loss of the broker to be noticed")
        broker.start()
        wait_for(lambda: "100 repeats" in mqtt.source.status().detail, what=f"the repeats: {mqtt.source.status()}")
        broker.publish("plant/a/t", "100")
        mqtt.wait(101)
        assert mqtt.values() == list(range(101))


def test_a_message_that_was_committed_and_not_acknowledged_before_a_kill_is_one_record(tmp_path: Path, broker: Broker) -> None:
    """A real process, killed between the commit and the acknowledgement; then another one gets the same messages again."""
    program = """
import os, signal, sys
from pathlib import Path
from tests.sources.broker import Broker
from tests.sources.test_mqtt import subscribed
class Address:
    url = sys.argv[2]
with subscribed(Path(sys.argv[1]), Address()) as mqtt:
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)
    mqtt.source._session.acknowledge = die
    print("ready", flush=True)
    signal.pause()
"""
    command = [sys.executable, "-c", program, str(tmp_path), broker.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        broker.publish("plant/a/t", *map(str, range(50)))
        assert process.wait(60) == -signal.SIGKILL
    with subscribed(tmp_path, broker) as mqtt:
        wait_for(lambda: "connected" in mqtt.source.status().detail and mqtt.source.status().records >= 1, what="the messages again")
        broker.publish("plant/a/t", "50")
        wait_for(lambda: 50 in mqtt.values(), what=f"all messages: {mqtt.source.status()}")
        by_identity = {(row["topic"], row["ts"]): row["value"] for row in mqtt.rows()}
        assert sorted(by_identity.values()) == list(range(51))


def test_nothing_is_acknowledged_that_the_door_has_not_taken(tmp_path: Path, broker: Broker) -> None:
    class Shut:
        def submit_blocking(self, _submission: Submission, timeout_s: float | None = None) -> Receipt:  # noqa: ARG002 - as the door
            raise RetryLater("the disk is full", after_s=1)

    with subscribed(tmp_path, broker, door=lambda _box: Shut()) as mqtt:
        broker.publish("plant/a/t", "1", "2")
        wait_for(lambda: mqtt.source.status().state == "paused", what="the refusal")
    with subscribed(tmp_path, broker) as mqtt:
        mqtt.wait(2)
        assert mqtt.values() == [1, 2]


def test_a_retained_message_is_taken_when_the_topic_is_new_and_not_again(tmp_path: Path, broker: Broker) -> None:
    broker.publish("plant/state", "1", retain=True)
    for _ in range(2):
        with subscribed(tmp_path, broker) as mqtt:
            broker.publish("plant/a", "5")
            wait_for(lambda: 5 in mqtt.values(), what="the message behind it")
            assert mqtt.values().count(1) == 1
    with subscribed(tmp_path, broker, topics=("plant/#", "other/#")) as mqtt:
        broker.publish("other/a", "6")
        mqtt.wait(1, "other")
        assert mqtt.values().count(1) == 1


def test_a_topic_that_is_no_longer_configured_is_unsubscribed(tmp_path: Path, broker: Broker) -> None:
    with subscribed(tmp_path, broker, topics=("plant/#", "old/#")):
        pass
    with subscribed(tmp_path, broker, topics=("plant/#",)) as mqtt:
        broker.publish("old/a", "1")
        broker.publish("plant/a", "2")
        mqtt.wait(1)
        assert mqtt.box.state.get("old") is None


def test_more_than_the_window_is_taken_without_a_stall(tmp_path: Path, broker: Broker) -> None:
    """mosquitto's own limit of 20 unacknowledged messages would make this 250 commits."""
    commits = 0

    class Counting:
        def __init__(self, box: Box) -> None:
            self.box = box

        def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:
            nonlocal commits
            commits += 1
            return self.box.door.submit_blocking(submission, timeout_s)

    with subscribed(tmp_path, broker, door=Counting) as mqtt:
        broker.publish("plant/a/t", *map(str, range(5_000)))
        mqtt.wait(5_000)
        assert mqtt.values() == list(range(5_000))
        assert commits < 200


def test_an_unreachable_broker_is_said_and_stopping_is_quick(tmp_path: Path, broker: Broker) -> None:
    broker.stop()
    box = open_box(tmp_path / "box")
    source = MqttSubscriber(MqttSource(url=broker.url, topics=("a",)), door=box.door, clock=SystemClock(), config=box.config)
    source.start()
    try:
        wait_for(lambda: "can't be reached" in source.status().detail, what="the failure to be said")
        assert source.status().state == "waiting"
    finally:
        source.stop()
        box.close()


def test_without_the_extra_the_config_is_refused_with_what_to_install(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_paho(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("paho"):
            raise ModuleNotFoundError("No module named 'paho'")
        return real(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "appliance.sources.mqtt_parts.session", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_paho)
    box = open_box(tmp_path / "box")
    try:
        with pytest.raises(ConfigRefused, match=r"edge-appliance\[mqtt\]"):
            MqttSubscriber(MqttSource(url=broker.url, topics=("a",)), door=box.door, clock=SystemClock(), config=box.config).start()
    finally:
        box.close()


def test_a_broker_of_the_old_version_is_spoken_to_in_it(tmp_path: Path) -> None:
    """A broker that knows only MQTT 3.1.1 refuses version 5 with a CONNACK of its time."""
    import socket

    versions: list[int] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(20)

    def serve() -> None:
        for answer in (b"\x20\x02\x00\x01", b"\x20\x02\x00\x00"):
            connection, _address = server.accept()
            connection.settimeout(20)
            versions.append(connection.recv(1024)[8])
            connection.sendall(answer)
            if answer[3] == 0:
                subscribe = connection.recv(1024)
                connection.sendall(b"\x90\x03" + subscribe[2:4] + b"\x01")
                connection.recv(1024)
            connection.close()

    thread = threading.Thread(target=serve)  # noqa: TID251 - ended below
    thread.start()
    box = open_box(tmp_path / "box")
    options = MqttSource(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}", topics=("a",))
    source = MqttSubscriber(options, door=box.door, clock=SystemClock(), config=box.config)
    source.start()
    try:
        wait_for(lambda: source.status().detail.endswith("; connected"), what=f"the old version: {source.status()}, {versions}")
    finally:
        source.stop()
        box.close()
        thread.join(20)
        server.close()
    assert versions == [5, 4]


def test_a_full_disk_keeps_no_subscription_from_going_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    session_module = pytest.importorskip("appliance.sources.mqtt_parts.session")
    place = session_module.Broker(parse_address("127.0.0.1:1883"), False, "test", ("a",), 1, None, None)
    session = session_module.Session(place, memory=tmp_path / "no folder" / "topics", on_message=lambda _message, _generation: None)
    session._subscribed(None, None, 1, [], None)
    assert session.detail == "connected"
    assert "are subscribed to again next time" in caplog.text
