"""Durations, sizes and addresses as people write them: "20ms", "64MiB", "127.0.0.1:8086". Pure functions of a text.

A text that can't be read raises ``ValueError`` with the reason in one line. Nothing here resolves a name or opens anything.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

SECONDS_OF: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
"""Unit -> seconds. A month and a year have no fixed length and are left out; ``m`` is left out because it could be either."""
BYTES_OF: Final = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": KIB,
    "MiB": MIB,
    "GiB": GIB,
    "TiB": 1024 * GIB,
}
"""Unit -> bytes; the unit's letters are taken in any case."""

_AMOUNT = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")
_BYTES_BY_FOLD = {unit.lower(): factor for unit, factor in BYTES_OF.items()}


class Address(NamedTuple):
    """Where a socket listens. ``host`` is an IP address or a name, without the brackets of IPv6; port 0 is any free one."""

    host: str
    port: int


def parse_duration(text: str) -> float:
    """Seconds in a text such as "20ms", "1s", "5min", "2h", "400d": one number and one unit of ``SECONDS_OF``."""
    number, unit = _amount(text, units=SECONDS_OF)
    if unit not in SECONDS_OF:
        raise ValueError(f"{unit!r} is no unit of time; use one of {', '.join(SECONDS_OF)}")
    return number * SECONDS_OF[unit]


def parse_size(text: str) -> int:
    """Bytes in a text such as "64MiB" or "20GB": one number and one unit of ``BYTES_OF``; a fraction of a byte is dropped."""
    number, unit = _amount(text, units=BYTES_OF)
    if unit.lower() not in _BYTES_BY_FOLD:
        raise ValueError(f"{unit!r} is no unit of size; use one of {', '.join(BYTES_OF)}")
    return int(number * _BYTES_BY_FOLD[unit.lower()])


def parse_address(text: str) -> Address:
    """Host and port of "127.0.0.1:8086", "localhost:8086" or "[::1]:8086"."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError('an address is "HOST:PORT"')
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError('an IPv6 address stands in brackets: "[::1]:8086"')
    if not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError("a port is a whole number from 0 to 65535")
    host = host.removeprefix("[").removesuffix("]")
    if not host or any(c.isspace() or not c.isprintable() for c in host):
        raise ValueError('an address is "HOST:PORT"')
    return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``; a name other than ``localhost`` counts as reachable from outside."""
    return host == "localhost" or host == "::1" or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host) is not None


def show_duration(seconds: float) -> str:
    """A text that ``parse_duration`` reads back, in the largest unit that divides it: 300.0 -> "5min"."""
    for unit in ("d", "h", "min", "s", "ms"):
        amount = seconds / SECONDS_OF[unit]
        if amount >= 1 and abs(amount - round(amount)) < 1e-9:
            return f"{round(amount)}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def show_size(size_bytes: int) -> str:
    """A text that ``parse_size`` reads back, in the largest unit that divides it: 67_108_864 -> "64MiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % BYTES_OF[unit] == 0:
            return f"{size_bytes // BYTES_OF[unit]}{unit}"
    return f"{size_bytes}B"


def _amount(text: str, *, units: dict[str, float] | dict[str, int]) -> tuple[float, str]:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"a number and one of {', '.join(units)} is wanted")
    return float(match[1].replace("_", "")), match[2]
