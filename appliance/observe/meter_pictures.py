"""From latencies and costs to what surfaces show. Pure, but for the meters that are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from appliance.clock import US_PER_DAY
from appliance.observe.costs import INGEST, Costs, Spent
from appliance.observe.latencies import WINDOWS, Latencies
from appliance.observe.meters import CostPicture, CostRow, LatencyPicture, LatencyRow, Wear
from appliance.observe.tiers import Key
from appliance.paths.needs import PATHS

DAYS_A_YEAR: Final = 365.25
MEASURED_MIN_S: Final = 60.0
"""What is measured for less than this is taken to be of this: a rate over seconds says nothing."""


def latency_picture(latencies: Latencies, budgets: Mapping[Key, float], paths: Mapping[str, str], *, now_us: int) -> LatencyPicture:
    """``budgets`` in ms by workload and stage; ``paths`` of the workloads of the config."""
    rows = []
    for window in WINDOWS:
        for (workload, stage), f in latencies.figures(window, now_us=now_us).items():
            budget_ms = budgets.get((workload, stage))
            rows.append(
                LatencyRow(
                    workload=workload,
                    path=paths.get(workload, ""),
                    stage=stage,
                    window=window,
                    p50_ms=round(f.p50_ms, 3),
                    p99_ms=round(f.p99_ms, 3),
                    max_ms=round(f.max_ms, 3),
                    count=f.count,
                    budget_ms=budget_ms,
                    is_missed=budget_ms is not None and f.p99_ms > budget_ms,
                )
            )
    order: list[str] = list(WINDOWS)
    return LatencyPicture(at_us=now_us, rows=tuple(sorted(rows, key=lambda r: (r.workload, r.stage, order.index(r.window)))))


def cost_picture(
    costs: Costs, *, since_us: int, now_us: int, disk: Mapping[Key, int], memory: Mapping[str, int], endurance_bytes: int | None
) -> CostPicture:
    """``disk``: bytes held now by workload and path; ``memory``: by path, what it holds now beside what its workloads have held."""
    spent = costs.spent(since_us=since_us, now_us=now_us)
    measured_s = max(MEASURED_MIN_S, spent.get((INGEST, "hot"), Spent()).watched_s)
    keys = dict.fromkeys([*spent, *disk])
    rows = [cost_row(key, spent.get(key, Spent()), measured_s=measured_s, disk_bytes=disk.get(key, 0)) for key in keys]
    return CostPicture(
        at_us=now_us,
        since_us=since_us,
        measured_s=measured_s,
        paths=tuple(_path(path, rows, measured_s, memory.get(path, 0)) for path in PATHS),
        rows=tuple(sorted(rows, key=lambda r: (-r.cpu_s, -r.disk_bytes, r.workload))),
        wear=wear_of(sum(s.written for s in spent.values()), measured_s, endurance_bytes),
    )


def wear_of(written_bytes: int, measured_s: float, endurance_bytes: int | None) -> Wear:
    """How long a card lasts that is written like this."""
    a_day = round(written_bytes * 86_400 / measured_s)
    years = None if endurance_bytes is None or not a_day else endurance_bytes / a_day / DAYS_A_YEAR
    return Wear(bytes_per_day=a_day, measured_s=measured_s, endurance_bytes=endurance_bytes, years_left=years)


def default_since_us(now_us: int) -> int:
    """Where nobody says: the last day."""
    return now_us - US_PER_DAY


def cost_row(key: Key, spent: Spent, *, measured_s: float, disk_bytes: int) -> CostRow:
    """One workload on one path; ``measured_s`` 0: nothing is said of a day."""
    return CostRow(
        workload=key[0],
        path=key[1],
        cpu_s=round(spent.cpu_s, 4),
        cpu_s_day=round(spent.cpu_s * 86_400 / measured_s, 2) if measured_s else 0.0,
        read_bytes=spent.read,
        written_bytes=spent.written,
        rows=spent.rows,
        memory_bytes=spent.memory,
        disk_bytes=disk_bytes,
        notifications=spent.notifications,
        runs=spent.runs,
    )


def _path(path: str, rows: list[CostRow], measured_s: float, memory_bytes: int) -> CostRow:
    of = [r for r in rows if r.path == path]
    cpu_s = sum(r.cpu_s for r in of)
    return CostRow(
        path=path,
        cpu_s=round(cpu_s, 4),
        cpu_s_day=round(cpu_s * 86_400 / measured_s, 2),
        read_bytes=sum(r.read_bytes for r in of),
        written_bytes=sum(r.written_bytes for r in of),
        rows=sum(r.rows for r in of),
        memory_bytes=max((memory_bytes, *(r.memory_bytes for r in of))),
        disk_bytes=sum(r.disk_bytes for r in of),
        notifications=sum(r.notifications for r in of),
        runs=sum(r.runs for r in of),
    )
