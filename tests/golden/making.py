"""The records of the golden segment, and how its file was made, once for each format: ``python -m tests.golden.making FILE``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from appliance.cold.compaction.process import run_job
from tests.cold.making import MIDNIGHT, Lake
from tests.cold.test_compaction import job_of

DAY_US = 86_400_000_000
ROWS: list[dict[str, Any]] = [
    {"ts": MIDNIGHT, "device": "a", "room": "kitchen", "value": 21.5, "count": -(2**62), "ok": True, "note": "ünï\n"},
    {"ts": MIDNIGHT + 1, "device": "a", "room": "kitchen", "value": -0.0, "count": None, "ok": None, "note": ""},
    {"ts": MIDNIGHT + DAY_US, "device": "a", "room": None, "value": float("inf"), "count": 7, "ok": False, "note": None},
    {"ts": MIDNIGHT + 2 * DAY_US - 1, "device": "b", "room": "hall", "value": None, "count": 2**53 + 1, "ok": None, "note": "x" * 300},
    {"ts": MIDNIGHT + 3, "device": None, "room": None, "value": 1e-300, "count": 0, "ok": True, "note": "last"},
]


def main(target: Path) -> None:
    """Two days in one file, as compaction writes it."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        for row in ROWS:
            lake.roll([row])
        days = [s.day for s in lake.segments]
        job = msgspec.structs.replace(job_of(lake), day=min(days), days=max(days) - min(days) + 1)
        done = run_job(job, root=lake.root, spill=lake.root / "spill", emit=lambda _event: None)
        shutil.copyfile(lake.root / done.outputs[0].path, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
