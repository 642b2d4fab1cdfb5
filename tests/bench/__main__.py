"""Prints the table: each figure beside the limit or the peer it stands against, from this run.

usage: python -m tests.bench [NAME …]     (without a name all but the cold path, which is ``cold``, the boundary between both, which is
``boundary``, hybrid work, which is ``hybrid``, and those that take ten minutes)
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.report import Row, note, show

BENCHES = {
    "http": "ingest:line_protocol",
    "files": "files:rows",
    "sockets": "sockets:rows",
    "latency": "service:latency",
    "scans": "query_scans:rows",
    "narrow": "query_narrow:rows",
    "lake": "lake_bytes:rows",
    "full": "service:full_ingest",
    "idle": "service:idle",
    "recovery": "service:recovery",
    "start": "service:starting",
    "tui": "tui_cpu:rows",
    "windows": "windows:rows",
    "alerts-short": "alerts:rows_short",
}
COLD = {
    "tsbs": "tsbs_queries:rows",
    "lake": "lake_bytes:rows",
    "views": "views:rows",
    "views-rewrite": "views_rewrite:rows",
    "host-bytes": "host_bytes:rows",
    "larger-than-memory": "larger:rows",
    "audit": "audit:rows",
    "report": "reports:rows",
}
"""The cold path, one by one or together as ``cold``."""
BOUNDARY = {
    "boundary-tally": "boundary_tally:rows",
    "boundary-meters": "boundary_meters:rows",
    "boundary-reconcile": "boundary_reconcile:rows",
    "boundary-saturated": "boundary_saturated:rows",
    "boundary-reconciling": "boundary_reconciling:rows",
    "boundary-routing": "boundary_routing:rows",
}
"""Paths, their latency and cost, reconciliation; one by one or together as ``boundary``."""
HYBRID = {file.stem.replace("_", "-"): f"{file.stem}:rows" for file in sorted(Path(__file__).parent.glob("hybrid_*.py"))}
"""Analysis, search, caches: a module each, by its name; one by one or together as ``hybrid``."""
GROUPS = {"cold": COLD, "boundary": BOUNDARY, "hybrid": HYBRID}
LONG = {
    "alerts": "alerts:rows",
}
"""Only by name."""


def main(names: list[str]) -> int:
    known = {**BENCHES, **COLD, **BOUNDARY, **HYBRID, **LONG}
    names = [n for name in names or BENCHES for n in GROUPS.get(name, [name])]
    unknown = [n for n in names if n not in known]
    if unknown:
        note(f"there is no bench {unknown[0]}; there are: {', '.join(known)}")
        return 2
    for name in names:
        module, _, function = known[name].partition(":")
        bench: Callable[[], Iterator[Row]] = getattr(importlib.import_module(f"tests.bench.{module}"), function)
        show(bench())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
