"""What the latency of a workload is held against. Pure; the figures are those of the architecture."""

from __future__ import annotations

from typing import Final

from appliance.paths.needs import Needs

BATCH_READY_S: Final = 600.0
"""Batch work is ready within minutes of its schedule."""
_BATCH: Final = frozenset({"job", "report", "training", "audit"})


def budget_ms(kind: str, needs: Needs) -> float:
    """Milliseconds from a record's acknowledgement (batch work: from its schedule) to the answer that knows of it.

    What has to be fresh has its freshness as its budget; batch work has minutes, or its freshness where that is less.
    """
    return 1e3 * (min(BATCH_READY_S, needs.freshness_s) if kind in _BATCH else needs.freshness_s)
