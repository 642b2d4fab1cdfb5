"""``appliance run`` whose slow pass comes after a second, looks at one file at a time and gives way to little, so that a busy machine
doesn't keep a test waiting: python -m tests.reconcile.program run …"""

from __future__ import annotations

from appliance.batching import program, reconciling
from appliance.batching.work import When
from appliance.cli.main import main
from appliance.serving.limits import NICE_SOON

if __name__ == "__main__":
    reconciling.PARTS_BYTES = 1  # type: ignore[attr-defined]
    reconciling.BUSY_SHARE = 1.0  # type: ignore[misc]
    reconciling.ReconcileWork.when = When(every_s=1.0)
    program.NICE_BATCH = NICE_SOON  # type: ignore[attr-defined]
    main()
