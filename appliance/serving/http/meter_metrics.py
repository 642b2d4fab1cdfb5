"""Latency and cost in Prometheus' text form: families for ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from appliance.observe.meters import CostRow, LatencyPicture

Sample = tuple[dict[str, str], float | None]
Family = tuple[str, str, str, Iterable[Sample]]
WINDOW = "minute"
"""Whoever scrapes keeps the history: the newest window is enough."""


def latency_families(picture: LatencyPicture) -> Iterator[Family]:
    """How long each stage of each workload took over the last minute, and its budget."""
    rows = [({"workload": r.workload, "stage": r.stage}, r) for r in picture.rows if r.window == WINDOW]
    seconds: list[Sample] = [
        ({**at, "quantile": q}, ms / 1e3) for at, r in rows for q, ms in (("0.5", r.p50_ms), ("0.99", r.p99_ms), ("1", r.max_ms))
    ]
    bounded = [(at, r, r.budget_ms) for at, r in rows if r.budget_ms is not None]
    yield "workload_latency_seconds", "gauge", "How long a stage of a workload took, over the last minute.", seconds
    yield "workload_budget_seconds", "gauge", "How long it may take.", [(at, budget_ms / 1e3) for at, _, budget_ms in bounded]
    yield "workload_budget_missed", "gauge", "1 while it takes longer.", [(at, float(r.is_missed)) for at, r, _ in bounded]


def cost_families(rows: Sequence[CostRow]) -> Iterator[Family]:
    """What each workload has used on each path since the start."""
    labelled = [({"workload": r.workload, "path": r.path}, r) for r in rows]
    yield "workload_cpu_seconds_total", "counter", "Processor time of a workload.", [(at, r.cpu_s) for at, r in labelled]
    yield "workload_read_bytes_total", "counter", "Bytes read, cached or not.", [(at, r.read_bytes) for at, r in labelled]
    yield "workload_written_bytes_total", "counter", "Bytes written towards the disk.", [(at, r.written_bytes) for at, r in labelled]
    yield "workload_records_total", "counter", "Records looked at.", [(at, r.rows) for at, r in labelled]
    yield "workload_memory_bytes_max", "gauge", "The most memory that it has held at once.", [(at, r.memory_bytes) for at, r in labelled]
    yield "workload_notifications_total", "counter", "Messages handed over.", [(at, r.notifications) for at, r in labelled]
    yield "workload_runs_total", "counter", "Answers and runs.", [(at, r.runs) for at, r in labelled]
