"""How the deep pass says what it has found: one line each. Pure; nobody reads a clock here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from appliance.hybrid.analysis.deep.values import DAY_US, HOUR_US


def number(value: float) -> str:
    """Four figures."""
    return "nothing" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"


def duration(us: int) -> str:
    """A span in one unit."""
    seconds = abs(us) / 1e6
    for size, unit in ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}s"
    return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"


def history(us: int) -> str:
    """How much there is to compare with."""
    if us >= 2 * DAY_US:
        return f"{us / DAY_US:.0f} days of history"
    return f"{us / HOUR_US:.0f} hours of history" if us >= 2 * HOUR_US else f"{max(0, us) / 60e6:.0f} minutes of history"


def clock_time(us: int, zone: str) -> str:
    """Day and time of day in a zone."""
    return datetime.fromtimestamp(us / 1e6, UTC).astimezone(ZoneInfo(zone)).strftime("%a %H:%M:%S")


def iso(us: int) -> str:
    """ISO 8601 with ``Z``."""
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def place(stream: str, column: str, key: Mapping[str, str | None]) -> str:
    """Which series."""
    tags = ", ".join(f"{k} {v}" for k, v in key.items() if v is not None)
    return f"{stream} {column}".strip() + (f" ({tags})" if tags else "")


def listed(items: Sequence[str], *, most: int = 3) -> str:
    """In a sentence."""
    shown = list(items[:most])
    if len(items) > most:
        shown.append(f"{len(items) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""
