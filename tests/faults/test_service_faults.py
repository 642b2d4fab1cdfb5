"""What goes wrong around a running service: it says so in one line, loses nothing that it acknowledged, and serves on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disk import why_not
from tests.faults.oracle import Ledger, Load, differences
from tests.faults.test_kill import numbers_there
from tests.running import QUIET, Running, pause, running, wait_for

SAME_RECORD = "room,sensor=a temperature=2 1760000000000000"
ROLLING = '[roll]\nevery = "100ms"\n[compact]\nenabled = false\n'


def rolled(service: Running, count: int = 30) -> list[Path]:
    """Writes ``count`` records, one at a time, and returns the segments when all are in the lake."""
    for n in range(count):
        assert service.write(f"room,sensor=a temperature={n} {1_760_000_000_000_000 + n}") == 204
    wait_for(lambda: service.status()["lake"]["rows"] == count, what="the roll")
    return sorted((service.folder / "lake").rglob("*.parquet"))


def count_of(service: Running) -> int:
    return int(service.query("SELECT count(*) AS c FROM room")[0]["c"])


def test_a_second_service_on_the_same_folder_ends_with_one_line(tmp_path: Path) -> None:
    with running(tmp_path / "data", fresh=True) as service:
        second = Running(tmp_path / "data", sources="source = []\n", fresh=True)
        second.start(wait=False)
        assert second.process is not None
        assert second.process.wait(30) == 1
        said = second.said()
        assert service.process is not None
        assert f"another appliance (process {service.process.pid}) holds this folder" in said
        assert "Traceback" not in said
        assert service.is_ready()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_under_load_drains_and_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    service, ledger = Running(tmp_path / "data", config=ROLLING, fresh=True).start(), Ledger()
    load = Load(service.port, ledger).start()
    wait_for(lambda: load.has(400), what="a load")
    assert service.stop(number) == 0
    load.stop()
    service.start()
    assert differences(numbers_there(service), ledger) == []
    assert service.stop() == 0


def test_a_bad_config_at_sighup_is_said_and_the_old_one_stays(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        good = service.config_file.read_text()
        service.config_file.write_text(good + "\n[rol]\nevery = '1s'\n")
        assert service.process is not None
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "was not reloaded" in service.said(), what="the refusal")
        assert "did you mean 'roll'" in service.said()
        service.config_file.write_text(good.replace(QUIET, QUIET + '\n[roll]\nevery = "1s"\n'))
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "roll changed and takes effect at the next start" in service.said(), what="the change")
        assert service.write("room temperature=1") == 204


@pytest.mark.parametrize("harm", ["deleted", "truncated"])
def test_a_spoilt_segment_is_set_aside_and_the_rest_is_served(tmp_path: Path, harm: str) -> None:
    service = Running(tmp_path / "data", config=ROLLING).start()
    segments = rolled(service)
    service.stop()
    victim = segments[0]
    victim.unlink() if harm == "deleted" else os.truncate(victim, victim.stat().st_size // 2)
    first, last = (int(part) for part in victim.stem.split("-")[:2])
    service.start()
    status = service.status()
    assert status["health"] == "CRIT"
    assert victim.name in status["problems"][0]["what"]
    assert f"sequences {first} to {last}" in status["problems"][0]["what"]
    assert count_of(service) == 30 - (last - first + 1)
    assert service.write("room,sensor=a temperature=99") == 204
    verified = service.command("verify")
    assert verified.returncode == 3
    assert victim.name in verified.stdout
    assert service.stop() == 0


def test_a_flipped_byte_is_found_by_verify_and_named(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", config=ROLLING).start()
    victim = rolled(service)[0]
    assert service.command("verify").returncode == 0
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    verified = service.command("verify")
    assert verified.returncode == 3
    assert str(victim.relative_to(service.folder)) in verified.stdout
    assert service.stop() == 0


def test_a_segment_that_vanishes_under_a_running_service_is_said_with_the_answer(tmp_path: Path) -> None:
    with running(tmp_path / "data", config=ROLLING) as service:
        victim = rolled(service)[0]
        victim.unlink()
        first, last = (int(part) for part in victim.stem.split("-")[:2])
        assert count_of(service) == 30, "memory still holds its records"
        assert service.query("SELECT count(*) AS c FROM room_cold") == [{"c": 30 - (last - first + 1)}]
        wait_for(lambda: service.status()["lake"]["lost_segments"] == 1, what="the loss to be said")


def test_a_missing_wal_is_survived_and_what_the_lake_knows_better_is_set_aside(tmp_path: Path) -> None:
    service = Running(tmp_path / "data", config=ROLLING).start()
    rolled(service)
    service.kill()
    (tmp_path / "data" / "hot.sqlite-wal").unlink()
    service.start()
    status = service.status()
    assert status["health"] == "CRIT"
    assert "the hot store has lost commits" in status["problems"][0]["what"]
    kept = list((tmp_path / "data" / "damaged").rglob("*.parquet"))
    assert kept
    assert service.write("room,sensor=a temperature=1") == 204
    assert service.stop() == 0
    for file in kept:
        assert service.command("ingest", str(file), "--stream", "room").returncode == 0
    assert service.command("query", "SELECT count(*) AS c FROM room", "--format", "csv").stdout.split()[1] == "31"


def test_a_damaged_wal_is_survived(tmp_path: Path) -> None:
    service = Running(tmp_path / "data").start()
    for n in range(20):
        assert service.write(f"room,sensor=a temperature={n} {1_760_000_000_000_000 + n}") == 204
    service.kill()
    wal = tmp_path / "data" / "hot.sqlite-wal"
    data = bytearray(wal.read_bytes())
    data[-5_000] ^= 0xFF
    wal.write_bytes(data)
    service.start()
    assert 0 < count_of(service) <= 20
    assert service.write("room,sensor=a temperature=1") == 204
    assert service.stop() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_a_full_disk_refuses_with_503_serves_on_and_recovers_by_itself(small_disk: Path) -> None:
    with running(small_disk / "data", config='[limits]\ndisk_free_min = "8MiB"\n') as service:
        assert service.write(SAME_RECORD) == 204
        filler = small_disk / "filler"
        with filler.open("wb") as file:
            file.write(b"\0" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize - (4 << 20)))
        wait_for(lambda: service.write(SAME_RECORD) == 503, what="the refusal")
        status, body = service.request("POST", "/write?db=x", body=b"room,sensor=a temperature=2")
        assert status == 503
        assert b"the disk is full" in body
        assert service.status()["health"] == "CRIT"
        assert count_of(service) == 1
        filler.unlink()
        wait_for(lambda: service.write("room,sensor=a temperature=3") == 204, what="recovery")
        assert count_of(service) == 2


def test_the_lake_says_the_same_to_duckdb_polars_and_pandas_as_to_the_appliance(tmp_path: Path) -> None:
    import duckdb
    import pandas as pd
    import polars as pl

    service = Running(tmp_path / "data", config=ROLLING).start()
    files = rolled(service)
    service.stop()
    glob = str(tmp_path / "data" / "lake" / "room" / "**" / "*.parquet")
    counts = {
        "duckdb": duckdb.execute(f"SELECT count(*), sum(temperature) FROM '{glob}'").fetchall()[0],
        "polars": pl.scan_parquet(files).select(pl.len(), pl.col("temperature").sum()).collect().row(0),
        "pandas": (lambda t: (len(t), t["temperature"].sum()))(pd.concat(pd.read_parquet(f, partitioning=None) for f in files)),
    }
    asked = service.command("query", "SELECT count(*) AS c, sum(temperature) AS s FROM room", "--path", "cold", "--format", "csv")
    assert asked.returncode == 0, asked.stderr
    c, s = asked.stdout.split()[1].split(",")
    assert {name: (int(n), float(t)) for name, (n, t) in counts.items()} == dict.fromkeys(counts, (int(c), float(s)))


def test_a_port_that_is_taken_ends_the_service_with_one_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        service = Running(tmp_path / "data", sources=f'\n[[source]]\nkind = "line_protocol"\nudp = "{address}"\ntcp = ""\n')
        service.start(wait=False)
        assert service.process is not None
        while service.process.poll() is None:  # it is never ready, not even for a moment
            assert not service.is_ready()
            pause()
        assert service.process.wait(30) == 2
    assert f"can't listen on {address}" in service.said()
    assert "Traceback" not in service.said()
