"""``journal:`` against a socket of our own that is read as journald reads its."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import ConfigRefused
from appliance.hot.alerts.values import Tells
from appliance.notify.channel import Undelivered
from appliance.notify.channels.journal import Journal
from appliance.workload_options import NotifyOptions
from tests.notify.messages import SENDER, item, message


@pytest.fixture
def outlet(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "socket"))
        s.settimeout(20)
        yield s


def journal(address: Path, url: str = "journal:") -> Journal:
    return Journal(SENDER, NotifyOptions(url=url), address=address)


def read_entry(raw: bytes) -> dict[str, str]:
    """As JOURNAL_NATIVE_PROTOCOL has it."""
    fields: dict[str, str] = {}
    while raw:
        line, _, rest = raw.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + length], rest[8 + length :]
            assert rest[:1] == b"\n"
            rest = rest[1:]
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
        raw = rest
    return fields


def test_an_entry(outlet: socket.socket, tmp_path: Path) -> None:
    journal(tmp_path / "socket").send(message(), timeout_s=5)
    entry = read_entry(outlet.recv(200_000))
    assert entry["MESSAGE"].splitlines()[0] == "[critical] overheating: d1 at 83.2 °C"
    assert entry["MESSAGE"].splitlines()[-1] == "from box-1"
    assert entry["PRIORITY"] == "2"
    assert entry["SYSLOG_IDENTIFIER"] == "appliance"
    assert entry["APPLIANCE_RULE"] == "overheating"
    assert entry["APPLIANCE_STATE"] == "firing"
    assert entry["APPLIANCE_NODE"] == "box-1"
    assert entry["APPLIANCE_IDEMPOTENCY_KEY"] == item().idempotency_key


@pytest.mark.parametrize(
    ("severity", "tells", "priority"),
    [("critical", Tells.FIRING, "2"), ("warning", Tells.FIRING, "4"), ("info", Tells.FIRING, "6"), ("critical", Tells.RESOLVED, "5")],
)
def test_priorities(severity: str, tells: Tells, priority: str, outlet: socket.socket, tmp_path: Path) -> None:
    journal(tmp_path / "socket").send(message(item(tells=tells, severity=severity)), timeout_s=5)
    assert read_entry(outlet.recv(200_000))["PRIORITY"] == priority


def test_no_text_makes_a_field_of_its_own(outlet: socket.socket, tmp_path: Path) -> None:
    evil = replace(message(replace(item(), rule="a\nPRIORITY=0", summary="b\nPRIORITY=0")), group="g\nPRIORITY=0")
    journal(tmp_path / "socket").send(evil, timeout_s=5)
    assert read_entry(outlet.recv(200_000))["PRIORITY"] == "2"


def test_the_largest_message_fits(outlet: socket.socket, tmp_path: Path) -> None:
    many = message(*(replace(item("d" * 200 + str(n)), values={f"v{i}" * 50: "x" * 300 for i in range(20)}) for n in range(150)))
    journal(tmp_path / "socket").send(many, timeout_s=5)
    assert len(read_entry(outlet.recv(500_000))["MESSAGE"]) > 10_000


def test_without_a_journal_it_fails_for_good(tmp_path: Path) -> None:
    with pytest.raises(Undelivered, match="there is no journal") as undelivered:
        journal(tmp_path / "none").send(message(), timeout_s=1)
    assert not undelivered.value.retry


def test_a_journal_that_takes_nothing_is_tried_again(outlet: socket.socket, tmp_path: Path) -> None:
    one = journal(tmp_path / "socket")

    def fill() -> None:
        for _ in range(100_000):
            one.send(message(), timeout_s=0.05)

    with pytest.raises(Undelivered) as undelivered:
        fill()
    assert undelivered.value.retry


def test_nothing_stands_behind_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused):
        journal(tmp_path, "journal:/run/other")
