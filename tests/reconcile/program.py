"""``appliance run`` whose slow pass comes after a second and looks at one file at a time: python -m tests.reconcile.program run …"""

from __future__ import annotations

from appliance.batching import reconciling
from appliance.batching.work import When
from appliance.cli.main import main

EVERY_S = 1.0

if __name__ == "__main__":
    reconciling.PARTS_BYTES = 1  # type: ignore[attr-defined]
    reconciling.ReconcileWork.when = When(every_s=EVERY_S)
    main()
