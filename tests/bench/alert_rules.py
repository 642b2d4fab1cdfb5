"""The rules and the records that the benches of alerts run on: many devices with a few fields, most rules quiet, three that fire at once.

A device whose temperature is ``HOT`` in one record makes the three loud rules fire with that record: one looks at the record, two at
the last ten seconds. The record after it resolves the first, the end of the window the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

STREAM: Final = "plant"
FIELDS: Final = ("temperature", "pressure", "vibration", "power", "level")
HOT: Final = 1_000_000
"""What no device has but when it is to fire."""
NEVER: Final = 5_000_000
"""A threshold that nothing reaches, neither a device that is hot."""
LOUD: Final = (
    ("loud_record", 'when = "temperature > 1000"'),
    ("loud_max", 'when = "max(temperature) > 1000"\nover = "10s"'),
    ("loud_avg", 'when = "avg(temperature) > 1000"\nover = "10s"'),
)
_SPANS: Final = ("10s", "30s", "1min", "5min")
_STATISTICS: Final = ("avg", "max", "min", "stddev", "count")
_VARIANTS: Final = 8


def rules(count: int = 100, *, channel: str | None = "ops") -> str:
    """``count`` rules as TOML: twenty on records, five on changes, three on silence, windows of four lengths; three of them loud.

    The loud ones tell ``channel``, each device by itself and at once; None: nobody is told.
    """
    quiet = [*_records(20), *_changes(5), *_silences(3)]
    quiet += [_window(number) for number in range(max(0, count - len(quiet) - len(LOUD)))]
    parts = [_rule(name, body, "") for name, body in quiet[: count - len(LOUD)]]
    told = "" if channel is None else f'severity = "critical"\ngroup_wait = "0s"\ngroup_by = ["rule", "device"]\nnotify = ["{channel}"]\n'
    parts += [_rule(name, body, told) for name, body in LOUD]
    return "\n".join(parts)


def bodies(devices: int, *, seed: int = 1) -> list[bytes]:
    """Requests with one line for each device, in line protocol, with ``@`` in place of the time in µs; they differ in their values."""
    values = np.random.default_rng(seed)
    return [b"".join(line(device, row) for device, row in enumerate(values.normal(20, 3, (devices, 5)))) for _ in range(_VARIANTS)]


def line(device: int, row: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> bytes:
    """One record, with ``@`` in place of the time."""
    fields = ",".join(f"{name}={value:.3f}" for name, value in zip(FIELDS, row, strict=True))
    return f"{STREAM},device={name_of(device)} {fields} @\n".encode()


def hot_line(device: int) -> bytes:
    """A record that makes the loud rules fire."""
    return line(device, [HOT, 20.0, 20.0, 20.0, 20.0])


def name_of(device: int) -> str:
    """The value of the key."""
    return f"d{device:04d}"


def _rule(name: str, body: str, told: str) -> str:
    return f'[workload.{name}]\nkind = "alert"\nstream = "{STREAM}"\nby = ["device"]\n{body}\n{told}'


def _records(count: int) -> list[tuple[str, str]]:
    extras = ("", 'for = "5s"', 'clear = "{field} < 15"', 'for = "30s"\nkeep = "10s"')
    return [(f"record_{i}", f'when = "{FIELDS[i % 5]} > {NEVER + i}"\n{extras[i % 4].format(field=FIELDS[i % 5])}') for i in range(count)]


def _changes(count: int) -> list[tuple[str, str]]:
    return [(f"change_{i}", f'when = "{("rate", "delta")[i % 2]}({FIELDS[1 + i % 4]}) > 1e{9 + i}"') for i in range(count)]


def _silences(count: int) -> list[tuple[str, str]]:
    return [(f"silent_{i}", f'absent = "{(60, 120, 300)[i % 3]}s"') for i in range(count)]


def _window(number: int) -> tuple[str, str]:
    span = _SPANS[number % 4]
    statistic = _STATISTICS[(number // 4) % 5]
    field = FIELDS[(number // 20) % 5]
    compared = f"{statistic}({field}) > 1e{12 + number // 100}"
    if statistic == "min":
        compared = f"min({field}) > {NEVER + number} and count(*) > 3"
    if number % 10 == 9:
        compared += '"\nfor = "10s'
    elif number % 10 == 4:
        compared += f'"\nclear = "{statistic}({field}) < {1000 + number}'
    return f"window_{number}", f'when = "{compared}"\nover = "{span}"'
