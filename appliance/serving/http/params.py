"""What stands in a request's query string or JSON body, checked; a refusal names the parameter.

Moments of time are microseconds since 1970 when they get further; they come as such, as ISO 8601, or as a span before now.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from appliance.clock import US_PER_S
from appliance.errors import UsageRefused
from appliance.units import parse_duration

YES: Final = frozenset({"", "1", "t", "true", "yes", "on"})
NO: Final = frozenset({"0", "f", "false", "no", "off"})


def needed(query: Mapping[str, str], name: str) -> str:
    """A parameter that must be there and not empty."""
    value = query.get(name, "")
    if not value:
        raise UsageRefused(f"the parameter {name!r} is missing")
    return value


def flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    """A yes or no; a bare ``?name`` is yes."""
    value = query.get(name)
    if value is None:
        return default
    if value.lower() in YES:
        return True
    if value.lower() in NO:
        return False
    raise UsageRefused(f"{name}={value[:40]!r} is neither true nor false")


def whole(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """A whole number from 0 to ``most``."""
    value = query.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit()) or len(value) > 18 or int(value) > most:
        raise UsageRefused(f"{name}={value[:40]!r} is no whole number from 0 to {most}")
    return int(value)


def moment(value: str | int | None, name: str, *, now_us: int) -> int | None:
    """Microseconds since 1970; None and "" mean unbounded.

    An integer is microseconds, a duration ("1h", "90s") that long before now, anything else ISO 8601 (without a zone: UTC).
    """
    if value is None or value == "":
        return None
    if isinstance(value, int):
        return value
    if value.lstrip("-").isdigit() and value.isascii() and len(value) <= 18:
        return int(value)
    try:
        return now_us - round(parse_duration(value) * US_PER_S)
    except ValueError:
        pass
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise UsageRefused(f"{name}={value[:40]!r} is no time: use ISO 8601, a span such as 1h, or microseconds since 1970") from None
    aware = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
    since_epoch = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return since_epoch.days * 86_400 * US_PER_S + since_epoch.seconds * US_PER_S + since_epoch.microseconds
