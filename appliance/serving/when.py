"""Moments as people write them: "1h" ago, "2026-11-22 10:00" in their zone, "2026-11-22T09:00:00Z"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from appliance.clock import US_PER_S
from appliance.units import parse_duration

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: str, *, now_us: int, zone: tzinfo) -> int:
    """Microseconds since 1970 of "now", a duration before now, a day, or ISO 8601 (in ``zone`` where it names none).

    Raises ``ValueError`` with the reason in one line.
    """
    text = text.strip()
    if text.lower() == "now":
        return now_us
    try:
        return now_us - round(parse_duration(text) * US_PER_S)
    except ValueError as no_duration:
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError:
            hint = f"; as a duration: {no_duration}" if text[:1].isdigit() and text[-1:].isalpha() else ""
            raise ValueError(f'{text[:40]!r} is no moment: write "1h" (ago), "2026-11-22 10:00" or "2026-11-22T09:00:00Z"{hint}') from None
    aware = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=zone)
    return (aware - _EPOCH) // timedelta(microseconds=1)
