"""One look at this machine: what is read, under which names. Values only; no batch, no thread, no clock.

Each group of readings stands for itself: where a sandbox hides its file, a sensor is missing or a device has gone, that group alone is
left out. Counters are given as totals and, from the second look on, as rates; a counter that went back gives no rate.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

PARTITIONS_LOOKS = 30
"""Mounted file systems are listed again after this many looks; their use is read at each."""
Values = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows of one stream at one moment."""

    stream: str
    tags: tuple[str, ...]
    """Names of the tags."""
    rows: tuple[tuple[tuple[str, ...], Values], ...]
    """The tags' values, and the fields; every row has the same fields."""


@dataclass(slots=True)
class Look:
    """What the groups remember from look to look. One owner."""

    seconds: float | None = None
    """Since the look before; None at the first."""
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    partitions: list[Any] = field(default_factory=list)
    looks: int = 0

    def swap(self, group: str, now: dict[str, Any]) -> dict[str, Any]:
        """The readings of this group at the look before, and remember these."""
        before = self.before.get(group, {})
        self.before[group] = now
        return before if self.seconds else {}


def cpu(look: Look) -> Reading:
    """Percent of each core's time since the look before, and of all together."""
    now = {"all": psutil.cpu_times(), **{str(core): times for core, times in enumerate(psutil.cpu_times(percpu=True))}}
    before = look.swap("cpu", now)
    rows = []
    for core, times in now.items():
        shares = _shares(before[core], times) if core in before else None
        if shares is not None:
            rows.append(((core,), shares))
    return Reading("host_cpu", ("cpu",), tuple(rows))


def _shares(before: Any, now: Any) -> Values | None:
    spent = {name: max(0.0, getattr(now, name) - getattr(before, name)) for name in now._fields if name not in ("guest", "guest_nice")}
    total = sum(spent.values())
    if total <= 0:
        return None
    shares = {name: round(100.0 * seconds / total, 2) for name, seconds in spent.items()}
    return {"busy": round(100.0 - shares.get("idle", 0.0) - shares.get("iowait", 0.0), 2), **shares}


def load(_look: Look) -> Reading:
    """The run queue's mean over 1, 5 and 15 minutes."""
    one, five, fifteen = os.getloadavg()
    return _single("host_load", {"load1": one, "load5": five, "load15": fifteen})


def memory(_look: Look) -> Reading:
    """Bytes of main memory."""
    found = psutil.virtual_memory()
    names = ("total", "available", "used", "free", "buffers", "cached")
    return _single("host_memory", {**{name: getattr(found, name, None) for name in names}, "used_percent": float(found.percent)})


def swap(_look: Look) -> Reading:
    """Bytes of swap space."""
    found = psutil.swap_memory()
    return _single("host_swap", {"total": found.total, "used": found.used, "free": found.free, "used_percent": float(found.percent)})


def disk(look: Look) -> Reading:
    """Bytes and inodes of each mounted file system that lies on a device."""
    if look.looks % PARTITIONS_LOOKS == 0 or not look.partitions:
        seen: dict[str, Any] = {}
        for partition in psutil.disk_partitions(all=False):
            seen.setdefault(partition.device, partition)
        look.partitions = list(seen.values())
    rows = []
    for partition in look.partitions:
        try:
            found = os.statvfs(partition.mountpoint)
        except OSError:
            continue  # unmounted since the last look at the mounts, or not ours to see: it has no row
        if found.f_blocks:
            rows.append(((partition.mountpoint, partition.device), _space(found)))
    return Reading("host_disk", ("mount", "device"), tuple(rows))


def _space(found: os.statvfs_result) -> Values:
    used, free = (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_bavail * found.f_frsize
    return {
        "total": found.f_blocks * found.f_frsize,
        "used": used,
        "free": free,
        "used_percent": round(100.0 * used / (used + free), 2) if used + free else None,
        "inodes_total": found.f_files,
        "inodes_free": found.f_favail,
    }


def diskio(look: Look) -> Reading:
    """Bytes and operations of each block device that has been used."""
    used = {name: c for name, c in (psutil.disk_io_counters(perdisk=True) or {}).items() if c.read_count or c.write_count}
    before = look.swap("diskio", used)
    names = ("read_bytes", "write_bytes", "read_count", "write_count")
    rows = []
    for device, counters in used.items():
        values = _totals_and_rates(look, names, before.get(device), counters)
        busy = _rate(look, "busy_time", before.get(device), counters)
        rows.append(((device,), {**values, "busy_percent": None if busy is None else min(100.0, round(busy / 10, 2))}))
    return Reading("host_diskio", ("device",), tuple(rows))


def net(look: Look) -> Reading:
    """Bytes, packets, errors and drops of each interface that has been used."""
    used = {name: c for name, c in psutil.net_io_counters(pernic=True).items() if c.bytes_recv or c.bytes_sent}
    before = look.swap("net", used)
    names = ("bytes_recv", "bytes_sent", "packets_recv", "packets_sent")
    rows = []
    for interface, counters in used.items():
        lost = {name: getattr(counters, name) for name in ("errin", "errout", "dropin", "dropout")}
        rows.append(((interface,), {**_totals_and_rates(look, names, before.get(interface), counters), **lost}))
    return Reading("host_net", ("interface",), tuple(rows))


def temperature(_look: Look) -> Reading:
    """Degrees Celsius of each sensor; none on most virtual machines."""
    found: dict[str, float] = {}
    for chip, sensors in psutil.sensors_temperatures().items():
        for number, sensor in enumerate(sensors):
            found.setdefault(f"{chip}/{sensor.label or number}", float(sensor.current))
    return Reading("host_temperature", ("sensor",), tuple(((sensor,), {"celsius": celsius}) for sensor, celsius in found.items()))


def processes(_look: Look) -> Reading:
    """How many there are, and how many want a core or wait for a disk."""
    count = sum(name.isdigit() for name in os.listdir("/proc"))  # noqa: PTH208 - half the time of Path.iterdir
    found: dict[str, int | None] = {"count": count, "running": None, "blocked": None}
    for line in Path("/proc/stat").read_bytes().rsplit(b"\n", 5):
        for name in ("running", "blocked"):
            if line.startswith(b"procs_" + name.encode()):
                found[name] = int(line.split()[1])
    return _single("host_processes", found)


GROUPS: Mapping[str, Callable[[Look], Reading]] = {
    "host_cpu": cpu,
    "host_load": load,
    "host_memory": memory,
    "host_swap": swap,
    "host_disk": disk,
    "host_diskio": diskio,
    "host_net": net,
    "host_temperature": temperature,
    "host_processes": processes,
}
"""Stream -> what reads it."""
FAILURES = (OSError, psutil.Error, NotImplementedError, AttributeError, KeyError, ValueError, RuntimeError, IndexError)
"""What a group may raise where a machine or a sandbox does not show its files, or shows others than psutil expects."""


def _single(stream: str, values: Values) -> Reading:
    return Reading(stream, (), (((), values),))


def _totals_and_rates(look: Look, names: Iterable[str], before: Any, now: Any) -> Values:
    totals = {name: int(getattr(now, name)) for name in names}
    return {**totals, **{f"{name}_per_s": _rate(look, name, before, now) for name in names}}


def _rate(look: Look, name: str, before: Any, now: Any) -> float | None:
    if before is None or not look.seconds:
        return None
    change = getattr(now, name, 0) - getattr(before, name, 0)
    return None if change < 0 else round(change / look.seconds, 2)
