"""Paths of the played service: the reference cases, one over its budget, one that should move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.clock import US_PER_S as S
from appliance.clock import Clock
from appliance.observe.paths import MoveRow, NeedRow, PathFigures, PathRow, PathsPicture, Proposal


@dataclass
class PathBox:
    """What ``FakeClient`` answers about paths."""

    clock: Clock
    is_quiet: bool = False

    def picture(self) -> PathsPicture:
        now = self.clock.now_us()
        rows = () if self.is_quiet else _rows(now)
        return PathsPicture(
            at_us=now, moves="propose", rows=rows, counts={p: sum(r.path == p for r in rows) for p in ("hot", "hybrid", "cold")}
        )


def _needs(freshness: str, records: str, *, is_complex: str = "no") -> tuple[NeedRow, ...]:
    return (
        NeedRow(need="waiting", value="no", origin="kind"),
        NeedRow(need="freshness", value=freshness, origin="config"),
        NeedRow(need="records", value=records, origin="measured"),
        NeedRow(need="complex", value=is_complex, origin="kind"),
    )


def _rows(now: int) -> tuple[PathRow, ...]:
    trend = tuple(2.0 + n % 4 for n in range(12))
    common: dict[str, Any] = {"since_us": now - 7_200 * S, "trend": trend}
    return (
        PathRow(
            name="overheating", kind="alert", path="hot", rule="trigger", runs_on=("hot",), needs=_needs("1s", "900"), budget_ms=1_000.0,
            reason="it triggers an alert or a notification, which has to be at once", p50_ms=11.0, p99_ms=84.0, count=3_600, cpu_s=6.5,
            **common,
        ),
        PathRow(
            name="daily_load", kind="report", path="cold", rule="batch", runs_on=("cold",), budget_ms=600_000.0, p50_ms=2_100.0,
            needs=_needs("1d", "1,204,000", is_complex="yes"), p99_ms=2_400.0, count=1, cpu_s=3.1,
            reason="nobody waits for it, 1,204,000 records, may be 1d old, complex", **common,
        ),
        PathRow(
            name="press_now", kind="panel", path="hot", rule="fresh", runs_on=("hot", "cold", "hybrid"), needs=_needs("2s", "2,100,000"),
            budget_ms=2_000.0, reason="needs answers of 2s, below 5s", p50_ms=900.0, p99_ms=3_800.0, count=1_800, cpu_s=1_204.0,
            moved_from="cold",
            costs=(
                PathFigures(path="hot", cpu_s_day=28_900.0, read_day=1e6, written_day=4e7, p99_ms=3_800.0),
                PathFigures(path="hybrid", cpu_s_day=1_440.0, p99_ms=410.0, is_trial=True),
            ),
            proposal=Proposal(
                path="hybrid", rule="both", since_us=now - 900 * S, expected="now 2.89e+04 CPU seconds a day, 1.44e+03 on hybrid",
                reason="needs answers of 2s, below 5s, but it looks at 2,100,000 records, and hot holds 500,000",
            ),
            moves=(
                MoveRow(
                    at_us=now - 7_200 * S, name="press_now", kind="panel", moved_from="cold", path="hot", rule="fresh",
                    reason="needs answers of 2s, below 5s", cause="config",
                ),
            ),
            **common,
        ),
        PathRow(
            name="anomalies\x1b[31m", kind="panel", path="hybrid", rule="nature", runs_on=("hot", "cold", "hybrid"), budget_ms=30_000.0,
            needs=_needs("30s", "48,000"), reason="an analysis has a first answer from hot and a better one from cold", **common,
        ),
    )  # fmt: skip
