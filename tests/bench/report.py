"""A figure beside what it stands against; every bench prints such rows and asserts nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    figure: str
    asked: str
    """The limit, or the peer from the same run with its own figure."""
    holds: bool | None
    """None: there is nothing to hold against here (a peer that is not installed)."""


def show(rows: Iterable[Row]) -> None:
    """Prints rows as they come."""
    for row in rows:
        mark = {True: "ok", False: "FALLS SHORT", None: "-"}[row.holds]
        print(f"{row.what:<66} {row.figure:<34} {row.asked:<52} {mark}", flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def note(text: str) -> None:
    """Talk, beside the table."""
    print(f"# {text}", file=sys.stderr, flush=True)


def resident_mb(pid: int, *, children: bool = True) -> float:
    """Memory of a process, and of its children unless told otherwise, in MB."""
    import psutil

    process = psutil.Process(pid)
    counted = (process, *(process.children(recursive=True) if children else ()))
    return float(sum(p.memory_info().rss for p in counted)) / 1e6


def cpu_seconds(pid: int) -> float:
    """CPU used so far by a process and by its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(v) for v in fields[11:15]) / 100.0


def written_bytes(pid: int) -> int:
    """Bytes that a process and its living children have sent towards the disk."""
    import psutil

    process = psutil.Process(pid)
    total = 0
    for one in (process, *process.children(recursive=True)):
        lines = Path(f"/proc/{one.pid}/io").read_text().splitlines()
        total += int(next(line for line in lines if line.startswith("write_bytes")).split()[1])
    return total
