"""A file of any size is taken in bounded memory: a process of its own measures itself."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

GROWTH_BYTES_MAX = 160 * 1024 * 1024
"""Two pieces of 4 MiB of text and what they become, a ring of 8 MiB, hot store and PyArrow's pool."""
PROGRAM = """
import os, sys
from pathlib import Path
from tests.sources.boxes import shelf
from appliance.sources.files import FileTask
def resident():
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmHWM"].split()[0]) * 1024
with shelf(Path(sys.argv[1]), "[hot]\\nring_max = '8MiB'\\n[limits]\\ndisk_free_min = 1\\n") as box:
    for name in ("small", sys.argv[2]):
        with (Path(sys.argv[1]) / name).open("rb") as file:
            taken = box.taker.take(file, FileTask(sys.argv[3], "test", stream=name))
        print(taken.outcome, taken.records, resident(), taken.reason, sep="|")
"""


def peak_growth(folder: Path, data: Path, name: str) -> tuple[str, int, int, str]:
    """Outcome, records, growth of the peak over that of a small file, reason."""
    (folder / "small").write_bytes(b"n,t\\n1,x\\n")
    command = [sys.executable, "-c", PROGRAM, str(folder), data.name, name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    small, large = (line.split("|") for line in done.stdout.splitlines())
    return large[0], int(large[1]), int(large[2]) - int(small[2]), large[3]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl"])
def test_a_large_file_needs_no_more_memory_than_two_pieces(tmp_path: Path, kind: str) -> None:
    line = b'{"n":12345678,"t":"some text that takes room"}\n' if kind == "jsonl" else b"12345678,some text that takes room\n"
    count = (100_000_000 if kind == "csv" else 60_000_000) // len(line)
    data = tmp_path / "large"
    with gzip.open(data, "wb", 1) if kind.endswith("gz") else data.open("wb") as file:
        if kind != "jsonl":
            file.write(b"n,t\n")
        for _ in range(count // 10_000):
            file.write(line * 10_000)
    outcome, records, growth, reason = peak_growth(tmp_path, data, f"large.{kind}")
    assert (outcome, records) == ("taken", count // 10_000 * 10_000), reason
    assert growth < GROWTH_BYTES_MAX


def test_a_hundred_megabytes_without_a_newline_need_none(tmp_path: Path) -> None:
    data = tmp_path / "large"
    with data.open("wb") as file:
        file.write(b"n,t\n1,a\n2,")
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\n3,c\n")
    outcome, records, growth, reason = peak_growth(tmp_path, data, "large.csv")
    assert (outcome, records) == ("taken", 2), reason
    assert growth < GROWTH_BYTES_MAX
