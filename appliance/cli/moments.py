"""Times as options say them: "2d" (ago), "14:30", "2026-11-01", in the time zone of the box."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from appliance.clock import Clock
from appliance.config import Config
from appliance.errors import UsageRefused
from appliance.serving.when import moment


def as_moment(text: str | None, option: str, config: Config, clock: Clock) -> int | None:
    """Microseconds of what an option says; None where it was not given. Raises ``UsageRefused``."""
    if text is None:
        return None
    try:
        return moment(text, now_us=clock.now_us(), zone=ZoneInfo(config.node.timezone))
    except (ValueError, OverflowError) as e:
        raise UsageRefused(f"{option}: {e}") from None
