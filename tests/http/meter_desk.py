"""A desk of latency and cost in memory."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.errors import UsageRefused
from appliance.observe.meters import CostPicture, CostRow, LatencyPicture, LatencyRow, Trial, Wear
from tests.clock import NOON_US

ROW = LatencyRow(
    workload='odd "rule"',
    path="hot",
    stage="committed",
    window="minute",
    p50_ms=2.0,
    p99_ms=1500.0,
    max_ms=1500.0,
    count=3,
    budget_ms=1000.0,
    is_missed=True,
)
COST = CostRow(workload="_ingest", path="hot", cpu_s=1.5, written_bytes=4096)


class MetersInMemory:
    """A ``MeterDesk``."""

    def latency(self) -> LatencyPicture:
        return LatencyPicture(at_us=NOON_US, rows=(ROW,))

    def cost(self, since_us: int | None) -> CostPicture:
        paths = tuple(CostRow(path=p) for p in ("hot", "cold", "hybrid"))
        wear = Wear(bytes_per_day=4096, measured_s=60.0)
        return CostPicture(at_us=NOON_US, since_us=since_us or 0, measured_s=60.0, paths=paths, rows=(COST,), wear=wear)

    def totals(self) -> Sequence[CostRow]:
        return (COST,)

    async def trial(self, name: str) -> Trial:
        raise UsageRefused(f"{name} can't be tried here")
