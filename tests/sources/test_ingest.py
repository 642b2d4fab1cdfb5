"""The command ``ingest``, with the service running and without."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nursery import COMMAND, nursery
from tests.running import Running, environment, run_command, running

ROWS = b"ts,n\n" + b"".join(b"%d,%d\n" % (1_700_000_000 + n, n) for n in range(100))
CONFIG = "[limits]\ndisk_free_min = 1\n"


@pytest.fixture(params=["alone", "with a service"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A data folder; with or without a service on it."""
    box = tmp_path / "box"
    if request.param == "alone":
        box.mkdir()
        (box / "appliance.toml").write_text(CONFIG)
        yield box
    else:
        with running(box, config=CONFIG):
            yield box


def ingest(folder: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    return run_command("ingest", *arguments, "--data-dir", str(folder), given=given)


def count(folder: Path, stream: str) -> int:
    done = run_command("query", f"SELECT count(*) AS n FROM {stream}", "--format", "csv", "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[1])


def test_each_content_is_taken_once(folder: Path, tmp_path: Path) -> None:
    for name, data in {"a.csv": ROWS, "b.csv.gz": gzip.compress(ROWS[:-5]), "copy.csv": ROWS}.items():
        (tmp_path / name).write_bytes(data)
    given = [str(tmp_path / name) for name in ("a.csv", "b.csv.gz", "copy.csv")]
    done = ingest(folder, *given, "--stream", "s")
    assert done.returncode == 0, done.stderr
    assert "a.csv: 100 records into s" in done.stderr
    assert "copy.csv: the same content was taken before, as a.csv" in done.stderr
    assert ingest(folder, given[0], "--stream", "s").returncode == 0
    assert count(folder, "s") == 199, "the cut last line of b is refused"
    assert "100 records" in ingest(folder, given[0], "--stream", "s", "--again").stderr
    assert count(folder, "s") == 299


def test_standard_input_is_taken(folder: Path) -> None:
    done = ingest(folder, "-", "--stream", "s", given=ROWS + b"never,5\n")
    assert done.returncode == 0, done.stderr
    assert "100 records into s, 1 refused" in done.stderr
    assert ingest(folder, "-", "--format", "lp", given=b"m v=1\nbroken\n").returncode == 0
    assert count(folder, "m") == 1


def test_what_can_not_be_taken_is_said_and_the_others_are(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"\x89PNG" + bytes(1_000))
    (tmp_path / "good.csv").write_bytes(ROWS)
    done = ingest(folder, str(tmp_path / "missing.csv"), str(tmp_path / "bad.csv"), str(tmp_path), str(tmp_path / "good.csv"))
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert len(said) == 4, said
    assert "No such file" in said[0]
    assert "zero bytes" in said[1]
    assert "is a folder" in said[2]
    assert "100 records into good" in said[3]


def test_standard_input_needs_a_stream(tmp_path: Path) -> None:
    done = ingest(tmp_path, "-", given=ROWS)
    assert done.returncode == 2
    assert "say --stream" in done.stderr


def test_a_service_that_is_killed_meanwhile_takes_the_rest_later(tmp_path: Path) -> None:
    data = b"ts,n\n" + b"".join(b"%d,%d\n" % (1_700_000_000 + n, n) for n in range(500_000))
    (tmp_path / "big.csv").write_bytes(data)
    service = Running(tmp_path / "box", config=CONFIG).start()
    process = nursery(COMMAND).start(
        "appliance", "ingest", str(tmp_path / "big.csv"), "--data-dir", str(service.folder), stderr=subprocess.PIPE, env=environment()
    )
    try:
        while process.poll() is None and not service.status()["streams"]:
            pass
    finally:
        service.kill()
    process.communicate()
    service.start()
    assert ingest(service.folder, str(tmp_path / "big.csv")).returncode == 0
    assert service.query("SELECT count(*) AS n, count(DISTINCT n) AS d FROM big") == [{"n": 500_000, "d": 500_000}]
    service.stop()
