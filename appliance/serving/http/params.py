"""What stands in a request's query string or JSON body, checked; a refusal names the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Final

from appliance.clock import US_PER_S
from appliance.errors import UsageRefused
from appliance.serving import when
from appliance.units import parse_duration

YES: Final = frozenset({"", "1", "t", "true", "yes", "on"})
NO: Final = frozenset({"0", "f", "false", "no", "off"})
LAST_US: Final = 253_402_300_799_000_000
"""The end of the year 9999."""


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

    A whole number is microseconds; anything else is read by ``serving.when``, in UTC where it names no zone.
    """
    if value is None or value == "":
        return None
    if isinstance(value, int):
        return value
    if value.lstrip("-").isdigit() and value.isascii() and len(value) <= 18:
        return int(value)
    try:
        return when.moment(value, now_us=now_us, zone=UTC)
    except (ValueError, OverflowError) as e:
        raise UsageRefused(f"{name}: {e}") from None


def later(value: str | int | None, name: str, *, now_us: int) -> int | None:
    """``moment`` for what is to come: a duration is counted from now on, not back."""
    found = _from_now(value, now_us=now_us) if isinstance(value, str) else None
    if found is None:
        found = moment(value, name, now_us=now_us)
    if found is not None and not 0 <= found <= LAST_US:
        raise UsageRefused(f"{name} is outside of the calendar")
    return found


def _from_now(text: str, *, now_us: int) -> int | None:
    """None where ``text`` is no duration."""
    try:
        return now_us + round(parse_duration(text) * US_PER_S)
    except ValueError:
        return None
