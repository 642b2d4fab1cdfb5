"""Numbers, times and names as a person reads them: the same in every answer, whichever pass gives it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from appliance.clock import US_PER_S

NAME_CHARS_MAX: Final = 80
TIMES_MAX: Final = 1_000
"""What is further off than so many spreads is no further news."""
HOUR_US: Final = 3_600 * US_PER_S
DAY_US: Final = 24 * HOUR_US
_HARMFUL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def number(value: float) -> str:
    """Four digits that count; large ones in full, with their thousands apart; NaN is "nothing"."""
    if math.isnan(value):
        return "nothing"
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e15 else f"{value:.4g}"


def times(spreads: float) -> str:
    """How far off: ``4.2 times``; at most ``more than 1,000 times``."""
    far = abs(spreads)
    return f"{far:.1f} times" if far < TIMES_MAX else f"more than {TIMES_MAX:,} times"


def off(spreads: float, expected: float) -> str:
    """From where, and to which side: ``4.2 spreads above 21.5``."""
    far = f"{abs(spreads):.1f}" if abs(spreads) < TIMES_MAX else f"more than {TIMES_MAX:,}"
    return f"{far} spreads {'above' if spreads >= 0 else 'below'} {number(expected)}"


def often(n: int) -> str:
    """``never``, ``once``, ``3 times``."""
    return {0: "never", 1: "once"}.get(n, f"{n:,} times")


def count(n: int, one: str, many: str = "") -> str:
    """``1 record``, ``4,112 records``. ``many``: "" is ``one`` with an s."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def moment(us: int, zone: tzinfo) -> str:
    """``2026-11-22 14:03:05``, in that zone. A time that no calendar has reads as a count of seconds."""
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
        return when.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):
        return f"second {us // US_PER_S}"


def span(us: int) -> str:
    """``4 s``, ``12 min``, ``3 h``, ``5 days``; of what is negative its length."""
    s = abs(us) / US_PER_S
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if s >= 2 * size:
            return f"{s / size:.0f} {unit}"
    return f"{s:.0f} s" if s >= 1 else f"{s * 1000:.0f} ms"


def history(us: int) -> str:
    """How much there is to compare with: ``30 days of history``."""
    size, unit = next(((size, unit) for size, unit in ((DAY_US, "day"), (HOUR_US, "hour")) if us >= 2 * size), (60 * US_PER_S, "minute"))
    return f"{count(round(max(0, us) / size), unit)} of history"


def series(stream: str, column: str, key: Mapping[str, str | None]) -> str:
    """``cpu usage_user (host=web1)``."""
    tags = ", ".join(f"{name}={value}" for name, value in key.items() if value is not None)
    return plain(f"{stream} {column}", NAME_CHARS_MAX) + (f" ({plain(tags, NAME_CHARS_MAX)})" if tags else "")


def listed(items: Sequence[str], *, most: int = 3) -> str:
    """In a sentence: ``a, b and 4 more``; "" of nothing."""
    shown = list(items[:most])
    if len(items) > most:
        shown.append(f"{len(items) - most:,} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""


def plain(text: str, chars: int) -> str:
    """On one line, without what is no text, cut to so many characters."""
    clean = _HARMFUL.sub(" ", text).strip()
    return clean if len(clean) <= chars else clean[: chars - 1].rstrip() + "…"
