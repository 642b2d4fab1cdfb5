"""systemd is told exactly what sd_notify(3) says, on a real datagram socket, and its absence never hurts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.observe.notify_systemd import STATUS_CHARS_MAX, Notifier, message, socket_address, watchdog_period_s


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


@pytest.fixture
def notifier(systemd: socket.socket) -> Iterator[Notifier]:
    it = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    yield it
    it.close()


def test_each_message_arrives_as_systemd_reads_it(systemd: socket.socket, notifier: Notifier) -> None:
    told = [
        (notifier.extend_timeout(2.5), b"EXTEND_TIMEOUT_USEC=2500000"),
        (notifier.ready("4 streams, 1,000 hot records"), b"READY=1\nSTATUS=4 streams, 1,000 hot records"),
        (notifier.status("at 10 records/s"), b"STATUS=at 10 records/s"),
        (notifier.feed(1), b"WATCHDOG=1"),
        (notifier.stopping("draining"), b"STOPPING=1\nSTATUS=draining"),
    ]
    assert [sent for sent, _ in told] == [True] * len(told)
    assert [systemd.recv(4096) for _ in told] == [datagram for _, datagram in told]


def test_the_watchdog_is_fed_only_when_the_writer_has_come_further(systemd: socket.socket, notifier: Notifier) -> None:
    assert [notifier.feed(progress) for progress in (7, 7, 7, 8, 8)] == [True, False, False, True, False]
    assert (systemd.recv(4096), systemd.recv(4096)) == (b"WATCHDOG=1", b"WATCHDOG=1")
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(4096)


def test_a_streams_name_cannot_smuggle_a_message_in() -> None:
    assert message({"STATUS": "last: a\nREADY=1\x1b[31m"}) == b"STATUS=last: a READY=1 [31m"


def test_a_long_status_is_cut(systemd: socket.socket, notifier: Notifier) -> None:
    notifier.status("x" * 10_000)
    assert len(systemd.recv(65_536).decode()) == len("STATUS=") + STATUS_CHARS_MAX


def test_without_systemd_nothing_is_sent_and_nothing_fails() -> None:
    notifier = Notifier({})
    assert not notifier.wanted
    assert not notifier.ready("ready")
    assert notifier.failures == 0


def test_a_socket_that_is_gone_is_counted_and_comes_back(tmp_path: Path) -> None:
    place = tmp_path / "notify"
    notifier = Notifier({"NOTIFY_SOCKET": str(place)})
    assert not notifier.status("nobody listens")
    assert notifier.failures == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(place))
        assert notifier.status("heard")
        assert listener.recv(4096) == b"STATUS=heard"
    notifier.close()


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel picks a free abstract name
        name = listener.getsockname()
        notifier = Notifier({"NOTIFY_SOCKET": "@" + name[1:].decode()})
        assert notifier.status("heard")
        assert listener.recv(4096) == b"STATUS=heard"
        notifier.close()


@pytest.mark.parametrize(
    ("name", "address"),
    [("/run/systemd/notify", "/run/systemd/notify"), ("@abc", "\0abc"), ("", None), ("/", None), ("relative", None), ("vsock:2:1", None)],
)
def test_only_addresses_that_we_speak_count(name: str, address: str | None) -> None:
    assert socket_address(name) == address


@pytest.mark.parametrize(
    ("environment", "period_s"),
    [
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdogs_period_is_this_process_own(environment: dict[str, str], period_s: float | None) -> None:
    assert watchdog_period_s(environment, pid=7) == period_s
