"""``mqtt://`` with a real mosquitto, and with what only looks like a broker."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from appliance.clock import SystemClock
from appliance.errors import ConfigRefused
from appliance.notify.channel import Undelivered
from appliance.notify.channels.mqtt import Mqtt
from appliance.workload_options import NotifyOptions
from tests.notify.messages import SENDER, item, message
from tests.ports import free_port
from tests.sources.broker import MISSING, Broker

SUBSCRIBE = shutil.which("mosquitto_sub") or ""
LONG_S = 30.0
SHORT_S = 1.5
needs_mosquitto = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    one = Broker(tmp_path / "broker").start()
    try:
        yield one
    finally:
        one.stop()


def channel(url: str) -> Mqtt:
    return Mqtt(SENDER, NotifyOptions(url=url), clock=SystemClock())


def failure(url: str, *, timeout_s: float = LONG_S) -> Undelivered:
    with pytest.raises(Undelivered) as undelivered:
        channel(url).send(message(), timeout_s=timeout_s)
    return undelivered.value


@contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that serves one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            while True:
                try:
                    s, _ = listening.accept()
                except OSError:
                    return
                with s, suppress(OSError):
                    serve(s)

        thread = threading.Thread(target=run)  # noqa: TID251 - joined below
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def retained(port: int, topic: str) -> bytes:
    """What the broker keeps under a topic."""
    command = [SUBSCRIBE, "-h", "127.0.0.1", "-p", str(port), "-t", topic, "-C", "1", "-W", "20"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


@needs_mosquitto
@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_reaches_the_topic(qos: int, broker: Broker) -> None:
    said = channel(f"{broker.url}/alerts/box%20one?qos={qos}&retain=yes").send(message(), timeout_s=LONG_S).said
    body = json.loads(retained(broker.port, "alerts/box one"))
    assert body["idempotency_key"] == item().idempotency_key
    assert ("acknowledged" in said) == (qos == 1) or "not acknowledged" in said


@needs_mosquitto
def test_many_messages_one_after_the_other(broker: Broker) -> None:
    one = channel(f"{broker.url}/alerts?retain=yes")
    for number in range(5):
        one.send(message(item(f"d{number}")), timeout_s=LONG_S)
    assert json.loads(retained(broker.port, "alerts"))["items"][0]["key"] == ["d4"]


@needs_mosquitto
def test_a_broker_that_comes_back(broker: Broker) -> None:
    one = channel(f"{broker.url}/alerts")
    broker.stop()
    with pytest.raises(Undelivered) as undelivered:
        one.send(message(), timeout_s=LONG_S)
    assert undelivered.value.retry
    broker.start()
    one.send(message(), timeout_s=LONG_S)


@needs_mosquitto
def test_a_wrong_password_is_for_good_and_not_shown(tmp_path: Path) -> None:
    one = Broker(tmp_path / "broker")
    (tmp_path / "passwords").write_text("")
    config = (tmp_path / "broker" / "mosquitto.conf").read_text().replace("allow_anonymous true", "allow_anonymous false")
    (tmp_path / "broker" / "mosquitto.conf").write_text(config + f"password_file {tmp_path / 'passwords'}\n")
    (tmp_path / "passwords").chmod(0o600)
    one.start()
    try:
        undelivered = failure(f"mqtt://user:hunter2@127.0.0.1:{one.port}/alerts")
    finally:
        one.stop()
    assert (undelivered.retry, undelivered.answered) == (False, True)
    assert "hunter2" not in undelivered.reason


@needs_mosquitto
def test_a_topic_that_may_not_be_written_to_is_said(tmp_path: Path) -> None:
    one = Broker(tmp_path / "broker")
    (tmp_path / "acl").write_text("topic read #\n")
    (tmp_path / "acl").chmod(0o600)
    with (tmp_path / "broker" / "mosquitto.conf").open("a") as config:
        config.write(f"acl_file {tmp_path / 'acl'}\n")
    one.start()
    try:
        undelivered = failure(f"mqtt://127.0.0.1:{one.port}/alerts")
    finally:
        one.stop()
    assert not undelivered.retry
    assert "Not authorized" in undelivered.reason


@needs_mosquitto
def test_tls(tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Broker(tmp_path / "broker")
    own = tmp_path / "both.pem"
    own.write_bytes(certificate.read_bytes())
    with (tmp_path / "broker" / "mosquitto.conf").open("a") as config:
        config.write(f"certfile {own}\nkeyfile {own}\n")
    one.start()
    try:
        assert "certificate is not trusted" in failure(f"mqtts://localhost:{one.port}/alerts").reason
        channel(f"mqtts://localhost:{one.port}/alerts?verify=no").send(message(), timeout_s=LONG_S)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        channel(f"mqtts://localhost:{one.port}/alerts").send(message(), timeout_s=LONG_S)
        assert "certificate is not trusted" in failure(f"mqtts://127.0.0.1:{one.port}/alerts").reason
    finally:
        one.stop()


@pytest.mark.parametrize("refusal", [b"\x20\x03\x00\x84\x00", b""])
def test_a_broker_that_speaks_only_an_older_version(refusal: bytes) -> None:
    """It refuses MQTT 5 by its reason code, or hangs up as those of old do; with 3.1.1 it takes what comes."""
    versions: list[int] = []

    def serve(s: socket.socket) -> None:
        hello = s.recv(1000)
        versions.append(hello[8])
        if hello[8] == 5:
            s.sendall(refusal)
            return
        s.sendall(b"\x20\x02\x00\x00")
        published = b""
        while b"overheating" not in published:
            published += s.recv(65_536)
        topic_end = published.index(b"alerts") + len(b"alerts")
        s.sendall(b"\x40\x02" + published[topic_end : topic_end + 2])
        s.recv(1000)

    with serving(serve) as port:
        old = channel(f"mqtt://127.0.0.1:{port}/alerts")
        for _ in range(2):
            assert "acknowledged" in old.send(message(), timeout_s=LONG_S).said
    assert versions == [5, 4, 4]


def test_nobody_there() -> None:
    assert failure(f"mqtt://127.0.0.1:{free_port()}/alerts").retry


@pytest.mark.parametrize(("answer", "reason"), [(None, "timed out"), (b"", "closed the connection"), (b"HTTP/1.1 400 Bad\r\n\r\n", "")])
def test_what_is_no_broker(answer: bytes | None, reason: str) -> None:
    ending = threading.Event()

    def serve(s: socket.socket) -> None:
        s.recv(1000)
        if answer is None:
            ending.wait()
        else:
            s.sendall(answer)

    with serving(serve) as port:
        undelivered = failure(f"mqtt://127.0.0.1:{port}/alerts", timeout_s=SHORT_S)
        ending.set()
    assert undelivered.retry
    assert reason in undelivered.reason


@pytest.mark.parametrize("tail", ["", "/", "/a/+/b", "/a%23", "/a?qos=2", "/a?retain=perhaps", "/a?x=1"])
def test_what_cant_be_meant_is_refused(tail: str) -> None:
    with pytest.raises(ConfigRefused, match=r"notify\.ops\.url"):
        channel(f"mqtt://host{tail}")
