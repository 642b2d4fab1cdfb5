"""What the machine says is read as it stands there; what it doesn't say is not known."""

from __future__ import annotations

from pathlib import Path

from appliance.observe.pressure import Readings, read
from appliance.units import GIB, MIB

MEMINFO = "MemTotal:        1048576 kB\nMemFree:  10 kB\nMemAvailable:     524288 kB\nHugePages_Total:       0\n"
PSI = "some avg10={} avg60=1.00 avg300=2.00 total=3\nfull avg10=9.00 avg60=0.00 avg300=0.00 total=0\n"


def look(root: Path) -> Readings:
    return read(root, disk_free_min=1, rss_bytes=1, rss_bytes_max=None, writer_s=0.0, rules_s=0.0, root=root)


def test_a_machine_that_says_nothing_is_short_of_nothing(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert (found.memory_free_bytes, found.memory_bytes, found.memory_stall, found.cpu_stall) == (None, None, None, None)
    assert found.disk_free_bytes > 0


def test_memory_and_stalls_are_those_of_the_machine(tmp_path: Path) -> None:
    for name, text in (("meminfo", MEMINFO), ("pressure/memory", PSI.format("12.50")), ("pressure/cpu", PSI.format("77.00"))):
        (tmp_path / "proc" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc" / name).write_text(text)
    found = look(tmp_path)
    assert (found.memory_free_bytes, found.memory_bytes) == (512 * MIB, GIB)
    assert (found.memory_stall, found.cpu_stall) == (12.5, 77.0)


def test_the_limit_of_the_units_control_group_counts_where_it_leaves_less(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    (tmp_path / "proc/self/cgroup").write_text("0::/system.slice/appliance.service\n")
    group = tmp_path / "sys/fs/cgroup/system.slice/appliance.service"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text(f"{200 * MIB}\n")
    assert look(tmp_path).memory_free_bytes == 512 * MIB
    (group / "memory.max").write_text(f"{256 * MIB}\n")
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {30 * MIB}\nactive_file {10 * MIB}\n")
    found = look(tmp_path)
    assert (found.memory_free_bytes, found.memory_bytes) == (96 * MIB, 256 * MIB)


def test_this_machine_says_how_it_is(tmp_path: Path) -> None:
    found = read(tmp_path, disk_free_min=1, rss_bytes=1, rss_bytes_max=None, writer_s=0.0, rules_s=0.0)
    assert found.memory_bytes is not None
    assert found.memory_free_bytes is not None
    assert 0 < found.memory_free_bytes <= found.memory_bytes
