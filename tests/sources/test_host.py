"""The host source: this machine's streams, every second, whatever a sandbox hides."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from appliance.clock import SystemClock
from appliance.errors import RetryLater
from appliance.options import HostSource
from appliance.records import Receipt, Submission
from appliance.sources import host_readings
from appliance.sources.host import PENDING_MAX, HostReader
from tests.clock import NOON_US, FakeClock
from tests.door.batches import open_box
from tests.running import wait_for

ALWAYS = {"host_load", "host_memory", "host_swap", "host_processes"}


@dataclass
class FakeDoor:
    """Keeps what it is given; refuses while ``full``."""

    full: bool = False
    taken: list[Submission] = field(default_factory=list)

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:  # noqa: ARG002 - as the door
        if self.full:
            raise RetryLater("the disk is full")
        self.taken.append(submission)
        return Receipt(submission.rows)

    def streams(self) -> set[str]:
        return {batch.stream for batch in self.taken[-1].batches}


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def reader(door: FakeDoor) -> HostReader:
    return HostReader(HostSource(), door=door, clock=FakeClock())


def test_one_look_is_one_submission_at_one_time(reader: HostReader, door: FakeDoor) -> None:
    reader.look_once()
    assert len(door.taken) == 1
    assert door.streams() >= ALWAYS
    assert {time.value for batch in door.taken[0].batches for time in batch.data.column(0)} == {NOON_US}


def test_shares_and_rates_come_with_the_second_look(door: FakeDoor) -> None:
    clock = FakeClock()
    reader = HostReader(HostSource(), door=door, clock=clock)
    reader.look_once()
    assert "host_cpu" not in door.streams()
    sum(range(3_000_000))
    clock.pass_s(1)
    reader.look_once()
    cpu = next(batch for batch in door.taken[1].batches if batch.stream == "host_cpu").data.to_pylist()
    assert {row["cpu"] for row in cpu} <= {"all", *map(str, range(psutil.cpu_count()))}
    for row in cpu:
        assert 0 <= row["busy"] <= 100
        assert sum(row[name] for name in ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")) == pytest.approx(
            100, abs=0.1
        )


def test_a_group_that_a_sandbox_hides_is_said_once_and_the_others_go_on(
    reader: HostReader, door: FakeDoor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def hidden() -> None:
        raise FileNotFoundError(2, "No such file or directory", "/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", hidden)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            reader.look_once()
    assert len(caplog.records) == 1
    assert "host_memory is left out" in caplog.text
    assert "host_memory" not in door.streams()
    assert "host_load" in door.streams()
    assert "not there: host_memory" in reader.status().detail


def test_a_group_that_comes_back_is_taken_after_a_minute(door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    reader = HostReader(HostSource(), door=door, clock=clock)
    with monkeypatch.context() as patch:
        patch.setattr(psutil, "virtual_memory", lambda: (_ for _ in ()).throw(OSError("hidden")))
        reader.look_once()
    clock.pass_s(30)
    reader.look_once()
    assert "host_memory" not in door.streams()
    clock.pass_s(31)
    reader.look_once()
    assert "host_memory" in door.streams()


def test_a_device_that_vanishes_or_begins_anew_gives_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Counters:
        bytes_recv: int
        bytes_sent: int = 1
        packets_recv: int = 1
        packets_sent: int = 1
        errin: int = 0
        errout: int = 0
        dropin: int = 0
        dropout: int = 0

    looks = iter([{"eth0": Counters(1000), "usb0": Counters(5)}, {"eth0": Counters(3000)}, {"eth0": Counters(10)}])
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_options: next(looks))
    look = host_readings.Look()
    rates = []
    for seconds in (None, 2.0, 2.0):
        look.seconds = seconds
        rates.append({tags: fields["bytes_recv_per_s"] for tags, fields in host_readings.net(look).rows})
    assert rates == [{("eth0",): None, ("usb0",): None}, {("eth0",): 1000.0}, {("eth0",): None}]


def test_sensors_are_named_and_none_gives_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Sensor:
        label: str
        current: float

    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: {"coretemp": [Sensor("Package", 41.5), Sensor("", 40)]}, raising=False)
    assert host_readings.temperature(host_readings.Look()).rows == (
        (("coretemp/Package",), {"celsius": 41.5}),
        (("coretemp/1",), {"celsius": 40.0}),
    )
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    assert host_readings.temperature(host_readings.Look()).rows == ()


def test_looks_that_the_door_can_not_take_are_kept_and_at_last_counted(reader: HostReader, door: FakeDoor) -> None:
    door.full = True
    for _ in range(PENDING_MAX):
        reader.look_once()
    assert reader.status().dropped == 0
    reader.look_once()
    assert reader.status().dropped > 0
    door.full = False
    reader.look_once()
    assert len([batch for batch in door.taken[0].batches if batch.stream == "host_load"]) == PENDING_MAX


def test_every_record_can_carry_the_node(door: FakeDoor) -> None:
    HostReader(HostSource(), door=door, clock=FakeClock(), node="press-3").look_once()
    batch = next(batch for batch in door.taken[0].batches if batch.stream == "host_load")
    assert batch.tags == ("host",)
    assert batch.data.column("host").to_pylist() == ["press-3"]


def test_it_runs_and_its_records_are_kept(tmp_path: Path) -> None:
    box = open_box(tmp_path / "box")
    reader = HostReader(HostSource(every_s=0.05), door=box.door, clock=SystemClock())
    reader.start()
    try:
        wait_for(lambda: (state := box.state.get("host_cpu")) and state.last_seq > 10, what="records of host_cpu")
        assert reader.status().state == "ok"
    finally:
        reader.stop()
        box.close()
    assert reader.status().state == "failed"
