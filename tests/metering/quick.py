"""``appliance run`` whose meters look and store all the time, and hold budgets from the start on: python -m tests.metering.quick run …"""

from __future__ import annotations

from appliance.cli.main import main
from appliance.metering import meters

if __name__ == "__main__":
    meters.LOOK_EVERY_S = 0.1  # type: ignore[misc]
    meters.SAVE_EVERY_NS = 0  # type: ignore[misc]
    meters.GRACE_US = 0  # type: ignore[attr-defined]
    main()
