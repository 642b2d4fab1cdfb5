"""``GET /metrics``: the status in Prometheus' text form, so that whoever scrapes the box sees what its own screen shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from appliance.clock import US_PER_S
from appliance.observe.health import LEVELS, health_of
from appliance.observe.status import Status
from appliance.serving.http.cache_metrics import cache_families
from appliance.serving.http.desk import Counts, Desk
from appliance.serving.http.meter_metrics import Family, Sample, cost_families, latency_families
from appliance.serving.push import Hub

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Labels = dict[str, str]


async def metrics(desk: Desk, _request: Request) -> Response:
    """Every figure of the status, and what HTTP itself has counted."""
    context = desk.ready()
    cached = None if context.cache is None else await asyncio.to_thread(context.cache)
    meters = [*latency_families(await asyncio.to_thread(context.meters.latency)), *cost_families(context.meters.totals())]
    meters += cache_families(cached)
    held = {"held_bytes": desk.budget.used, "held_bytes_max": desk.budget.bytes_max}
    text = exposition(await desk.status(), desk.counts, context.hub, meters, **held)
    return Response(text, media_type=MEDIA_TYPE)


def exposition(status: Status, counts: Counts, hub: Hub, meters: Iterable[Family] = (), *, held_bytes: int, held_bytes_max: int) -> str:
    """The text form, version 0.0.4. A figure that is None is left out; names carry the unit. ``meters`` are further families."""
    lines: list[str] = []
    for name, kind, told, samples in chain(_families(status, counts, hub, held_bytes, held_bytes_max), meters):
        rows = [f"appliance_{name}{_labels(labels)} {_number(value)}" for labels, value in samples if value is not None]
        if rows:
            lines += [f"# HELP appliance_{name} {told}", f"# TYPE appliance_{name} {kind}", *rows]
    return "\n".join(lines) + "\n"


def _families(status: Status, counts: Counts, hub: Hub, held_bytes: int, held_bytes_max: int) -> Iterator[Family]:
    yield "info", "gauge", "Version and node.", [({"version": status.version, "node": status.node}, 1)]
    yield "start_time_seconds", "gauge", "When the process started.", [({}, status.started_us / US_PER_S)]
    health = health_of(status)
    yield "health", "gauge", "0 OK, 1 WARN, 2 CRIT.", [({}, LEVELS.index(health.level))]
    yield "problems", "gauge", "Things that are degraded now.", [({}, len(health.reasons))]
    yield (
        "problems_by_level",
        "gauge",
        "The same by level.",
        [({"level": level}, sum(p.level == level for p in health.reasons)) for level in LEVELS[1:]],
    )
    yield "ladder_step", "gauge", "How far the box is degraded, 0 to 4.", [({"name": health.ladder.name}, health.ladder.step)]
    yield from _budget_families(status)
    yield "memory_bytes", "gauge", "Resident memory.", [({}, status.memory_bytes)]
    yield "cpu_share", "gauge", "Share of one core.", [({}, status.cpu_share)]
    yield "queries_running", "gauge", "Queries that run now.", [({}, status.queries_running)]
    yield "dead_letters", "gauge", "Records that were refused and are kept.", [({}, status.dead_letters)]
    yield "alerts_firing", "gauge", "Alerts that fire now.", [({}, status.alerts_firing)]
    yield "alerts_pending", "gauge", "Alerts whose condition holds, not yet for long enough.", [({}, status.alerts_pending)]
    yield "jobs_waiting", "gauge", "Runs of batch work that wait.", [({}, status.jobs_waiting)]
    yield "jobs_running", "gauge", "Runs of batch work under way.", [({}, status.jobs_running)]
    yield "jobs_failed_total", "counter", "Runs of batch work that have failed for good.", [({}, status.jobs_failed)]
    yield from _ingest_families(status)
    yield from _store_families(status)
    yield from _stream_families(status)
    yield from _source_families(status)
    yield from _http_families(counts, held_bytes, held_bytes_max)
    yield "push_subscribers", "gauge", "Readers that follow events or records.", [({}, hub.subscribers)]
    yield "push_subscribers_max", "gauge", "Limit of that.", [({}, hub.subscribers_max)]
    yield "push_missed_total", "counter", "Events that a slow reader was not sent at once.", [({}, hub.missed)]


def _budget_families(status: Status) -> Iterator[Family]:
    paths = [({"path": b.path}, b) for b in status.budgets]
    yield "path_cpu", "gauge", "Cores that the processes of a path use.", [(at, b.cpu) for at, b in paths]
    yield "path_cpu_max", "gauge", "Limit of that.", [(at, b.cpu_max) for at, b in paths]
    yield "path_memory_bytes", "gauge", "Resident memory of the processes of a path.", [(at, b.memory_bytes) for at, b in paths]
    yield "path_io_bytes_per_second", "gauge", "What they read from the disk and write to it.", [(at, b.io_bytes_per_s) for at, b in paths]
    yield "path_io_bytes_per_second_max", "gauge", "Limit of that.", [(at, b.io_bytes_per_s_max) for at, b in paths]
    yield "path_processes", "gauge", "Processes of a path.", [(at, b.processes) for at, b in paths]
    yield "path_held", "gauge", "1 while a path is held back.", [(at, float(bool(b.held))) for at, b in paths]


def _ingest_families(status: Status) -> Iterator[Family]:
    quantiles = [("0.5", status.ingest.p50_ms), ("0.99", status.ingest.p99_ms), ("1", status.ingest.max_ms)]
    samples: list[Sample] = [({"quantile": q}, None if ms is None else ms / 1e3) for q, ms in quantiles]
    yield "ingest_latency_seconds", "gauge", "Received to acknowledged, over the last minute.", samples
    yield "ingest_rate", "gauge", "Records a second.", [({}, status.rate)]


def _store_families(status: Status) -> Iterator[Family]:
    store, lake = status.store, status.lake
    yield "ring_bytes", "gauge", "Memory of the ring.", [({}, store.ring_bytes)]
    yield "ring_bytes_max", "gauge", "Limit of the ring.", [({}, store.ring_bytes_max)]
    yield "ring_rows", "gauge", "Rows in the ring.", [({}, store.ring_rows)]
    yield "hot_store_bytes", "gauge", "Size of hot.sqlite.", [({}, store.sqlite_bytes)]
    yield "wal_bytes", "gauge", "Size of its write-ahead log.", [({}, store.wal_bytes)]
    yield "commits_total", "counter", "Commits since the start.", [({}, store.commits)]
    yield "commit_seconds_p99", "gauge", "Time of a commit.", [({}, None if store.commit_ms_p99 is None else store.commit_ms_p99 / 1e3)]
    yield "queue_bytes", "gauge", "Bytes that wait for the writer.", [({}, store.queue_bytes)]
    yield "queue_bytes_max", "gauge", "Limit of what may wait.", [({}, store.queue_bytes_max)]
    yield "lake_segments", "gauge", "Live segments.", [({}, lake.segments)]
    yield "lake_rows", "gauge", "Rows in live segments.", [({}, lake.rows)]
    yield "lake_bytes", "gauge", "Size of live segments.", [({}, lake.bytes)]
    yield "search_index_bytes", "gauge", "Size of search indexes.", [({}, lake.index_bytes)]
    yield "lake_lost_segments", "gauge", "Segments that are missing or damaged.", [({}, lake.lost_segments)]
    yield "disk_free_bytes", "gauge", "Free space of the data folder's disk.", [({}, lake.disk_free_bytes)]
    yield "disk_total_bytes", "gauge", "Size of the data folder's disk.", [({}, lake.disk_total_bytes)]


def _stream_families(status: Status) -> Iterator[Family]:
    streams = [({"stream": s.name}, s) for s in status.streams]
    yield "stream_records_total", "counter", "Records accepted, repeats included.", [(at, s.records) for at, s in streams]
    yield "stream_rate", "gauge", "Records a second.", [(at, s.rate) for at, s in streams]
    yield "stream_hot_rows", "gauge", "Rows not yet in the lake.", [(at, s.hot_rows) for at, s in streams]
    yield "stream_cold_rows", "gauge", "Rows in live segments.", [(at, s.cold_rows) for at, s in streams]
    yield "stream_cold_bytes", "gauge", "Size of live segments.", [(at, s.bytes_cold) for at, s in streams]
    yield "stream_series", "gauge", "Different sets of tag values.", [(at, s.series) for at, s in streams]
    last: list[Sample] = [(at, None if s.last_ts_us is None else s.last_ts_us / US_PER_S) for at, s in streams]
    yield "stream_last_timestamp_seconds", "gauge", "Event time of the newest record.", last


def _source_families(status: Status) -> Iterator[Family]:
    sources = [({"source": s.name, "kind": s.kind}, s) for s in status.sources]
    yield "source_records_total", "counter", "Records that a source has brought.", [(at, s.records) for at, s in sources]
    yield "source_rejected_total", "counter", "Records of it that were refused.", [(at, s.rejected) for at, s in sources]
    yield "source_dropped_total", "counter", "Datagrams dropped before they could be read.", [(at, s.dropped) for at, s in sources]
    yield "source_up", "gauge", "1 unless the source has failed.", [(at, float(s.state != "failed")) for at, s in sources]


def _http_families(counts: Counts, held_bytes: int, held_bytes_max: int) -> Iterator[Family]:
    answered: list[Sample] = [({"path": path, "status": str(code)}, n) for (path, code), n in sorted(counts.by_path.items())]
    yield "http_requests_total", "counter", "Requests answered; status 0 was not.", answered
    yield "http_clients_gone_total", "counter", "Requests whose client left before they were whole.", [({}, counts.gone)]
    yield "http_body_bytes_total", "counter", "Bytes of line protocol received, as sent.", [({}, counts.body_bytes)]
    yield "http_held_bytes", "gauge", "Bodies received and not yet answered.", [({}, held_bytes)]
    yield "http_held_bytes_max", "gauge", "Limit of that.", [({}, held_bytes_max)]


def _labels(labels: Labels) -> str:
    """Label values with backslash, quote and newline escaped, as the format has it; other control characters become spaces."""
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return "".join(c if c.isprintable() else " " for c in escaped)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
