"""What the box is short of: memory, disk, processor, and the step of the ladder that each asks for. Only ``read`` does I/O."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.observe.ladder import Pressure, Step
from appliance.units import MIB

MEMORY_SHARES: Final = (0.15, 0.10, 0.06, 0.03)
"""Part of the memory that is still to be had, below which each step is asked for."""
MEMORY_CAPS: Final = (512 * MIB, 384 * MIB, 256 * MIB, 128 * MIB)
"""More than this to be had is enough for the machine, whatever part of it that is."""
MEMORY_MARGIN: Final = 1.5
MEMORY_STALLS: Final = (20.0, 40.0, 60.0, 80.0)
"""Percent of the last ten seconds in which something waited for memory (PSI ``some avg10``)."""
DISK_TIMES: Final = (4.0, 2.0, 1.0, 0.5)
"""Times what is kept free ([limits] disk_free_min); below 1 records are refused as well."""
DISK_MARGIN: Final = 1.25
LATE_S: Final = (1.0, 3.0, 10.0, 30.0)
"""How long records wait for the writer, or for their rules. An alert is to be told within one second."""
BUSY_STALL: Final = 50.0
"""Percent of the last ten seconds in which something waited for the processor: from here on half the lateness is enough."""
SLACK: Final = 0.5
"""A step is kept until stalls and lateness are below this part of what asked for it."""
_UNLIMITED: Final = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What was read at one instant; None: the machine doesn't tell, or there is no such limit."""

    rss_bytes: int = 0
    """Of the service's own process."""
    rss_bytes_max: int | None = None
    """[budget.hot] memory."""
    memory_free_bytes: int | None = None
    """What the machine, or the group of processes that has a limit, still has to give."""
    memory_bytes: int | None = None
    """All of that."""
    memory_stall: float | None = None
    disk_free_bytes: int = _UNLIMITED
    disk_free_min: int = 1
    writer_s: float = 0.0
    """For so long the oldest submission has waited for the writer."""
    rules_s: float = 0.0
    """For so long the oldest committed records have waited for their rules."""
    cpu_stall: float | None = None


def pressures_of(r: Readings) -> tuple[Pressure, Pressure, Pressure]:
    """What memory, disk and processor ask for, in this order."""
    return _memory(r), _disk(r), _cpu(r)


def _memory(r: Readings) -> Pressure:
    asked = [("", Step.NORMAL, Step.NORMAL)]
    for free, whole, who in (
        (r.memory_free_bytes, r.memory_bytes, "the machine has"),
        (None if r.rss_bytes_max is None else max(0, r.rss_bytes_max - r.rss_bytes), r.rss_bytes_max, "the service has"),
    ):
        if free is not None and whole:
            low = [min(share * whole, cap) for share, cap in zip(MEMORY_SHARES, MEMORY_CAPS, strict=True)]
            words = f"{who} {free // MIB} MiB of memory left of {whole // MIB} MiB"
            asked.append((words, _below(free, low), _below(free, [line * MEMORY_MARGIN for line in low])))
    if r.memory_stall is not None:
        words = f"processes wait for memory during {r.memory_stall:.0f} % of the time"
        asked.append((words, _above(r.memory_stall, MEMORY_STALLS), _above(r.memory_stall, [line * SLACK for line in MEMORY_STALLS])))
    words, wanted, kept = max(asked, key=lambda a: (a[1], a[2]))
    return Pressure("memory", wanted, max(kept, wanted, *(a[2] for a in asked)), words)


def _disk(r: Readings) -> Pressure:
    low = [times * r.disk_free_min for times in DISK_TIMES]
    words = f"the disk has {r.disk_free_bytes // MIB} MiB left, {r.disk_free_min // MIB} MiB are kept back"
    return Pressure("disk", _below(r.disk_free_bytes, low), _below(r.disk_free_bytes, [line * DISK_MARGIN for line in low]), words)


def _cpu(r: Readings) -> Pressure:
    late_s = max(r.writer_s, r.rules_s)
    is_busy = r.cpu_stall is not None and r.cpu_stall >= BUSY_STALL
    high = [line / 2 for line in LATE_S] if is_busy else list(LATE_S)
    whom = "the writer" if r.writer_s >= r.rules_s else "their rules"
    busy = f", and processes wait for the processor during {r.cpu_stall:.0f} % of the time" if is_busy else ""
    words = f"records wait {late_s:.1f} s for {whom}{busy}"
    return Pressure("cpu", _above(late_s, high), _above(late_s, [line * SLACK for line in high]), words)


def _below(value: float, lines: Sequence[float]) -> Step:
    return Step(sum(value < line for line in lines))


def _above(value: float, lines: Sequence[float]) -> Step:
    return Step(sum(value >= line for line in lines))


def read(
    folder: Path,
    *,
    disk_free_min: int,
    rss_bytes: int,
    rss_bytes_max: int | None,
    writer_s: float,
    rules_s: float,
    root: Path = Path("/"),
) -> Readings:
    """What ``folder``'s disk and the machine (``root``) say now; a disk that doesn't answer is the door's to tell. May block for it."""
    try:
        disk = os.statvfs(folder)
        disk_free = disk.f_bavail * disk.f_frsize
    except OSError:
        disk_free = _UNLIMITED
    free, whole = _memory_of(root)
    return Readings(
        rss_bytes=rss_bytes,
        rss_bytes_max=rss_bytes_max,
        memory_free_bytes=free,
        memory_bytes=whole,
        memory_stall=_stall(root / "proc/pressure/memory"),
        disk_free_bytes=disk_free,
        disk_free_min=disk_free_min,
        writer_s=writer_s,
        rules_s=rules_s,
        cpu_stall=_stall(root / "proc/pressure/cpu"),
    )


def _memory_of(root: Path) -> tuple[int | None, int | None]:
    """What is to be had, and of how much, in bytes: of the machine, or of the control group of this process where that is less."""
    machine = _named(root / "proc/meminfo")
    free, whole = machine.get("MemAvailable"), machine.get("MemTotal")
    group = next((line[3:] for line in _lines(root / "proc/self/cgroup") if line.startswith("0::")), None)
    if group is not None:
        place = root / "sys/fs/cgroup" / group.lstrip("/")
        limit, used = (next(iter(_lines(place / name)), "") for name in ("memory.max", "memory.current"))
        if limit.isdecimal() and used.isdecimal():
            files = _named(place / "memory.stat")
            left = max(0, int(limit) - int(used) + files.get("inactive_file", 0) + files.get("active_file", 0))
            if free is None or left < free:
                return left, int(limit)
    return free, whole


def _named(file: Path) -> dict[str, int]:
    """Name and figure of each line, in bytes (``meminfo`` says kB; proc(5), Documentation/admin-guide/cgroup-v2.rst of Linux)."""
    found = {}
    for line in _lines(file):
        name, *rest = line.replace(":", " ").split()
        if rest and rest[0].isdecimal():
            found[name] = int(rest[0]) * (1024 if rest[1:] == ["kB"] else 1)
    return found


def _stall(file: Path) -> float | None:
    """``some avg10`` of a file of PSI (Documentation/accounting/psi.rst of Linux); None where the kernel has none."""
    for line in _lines(file):
        if line.startswith("some "):
            return float(line.split()[1].partition("=")[2])
    return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("ascii", "replace").splitlines()
    except OSError:
        return []
