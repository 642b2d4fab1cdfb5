"""``_latency`` and ``_cost``: what is stored of latencies and costs, as rows; the newest minute of a running service is not in it yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.hot.meter_tables import load_budgets, load_costs, load_latencies
from appliance.hot.reader import HotReader
from appliance.observe.costs import Spent, total
from appliance.observe.histogram import Histogram, united
from appliance.observe.latencies import WINDOWS, figures_of
from appliance.observe.tiers import Entry, Key

LATENCY: Final = (
    ("workload", "VARCHAR"),
    ("stage", "VARCHAR"),
    ("window", "VARCHAR"),
    ("p50_ms", "DOUBLE"),
    ("p99_ms", "DOUBLE"),
    ("max_ms", "DOUBLE"),
    ("count", "BIGINT"),
    ("budget_ms", "DOUBLE"),
    ("missed", "BOOLEAN"),
    ("until", "TIMESTAMP"),
)
COST: Final = (
    ("begin", "TIMESTAMP"),
    ("span_s", "BIGINT"),
    ("workload", "VARCHAR"),
    ("path", "VARCHAR"),
    ("cpu_s", "DOUBLE"),
    ("read_bytes", "BIGINT"),
    ("written_bytes", "BIGINT"),
    ("rows", "BIGINT"),
    ("memory_bytes", "BIGINT"),
    ("notifications", "BIGINT"),
    ("runs", "BIGINT"),
    ("watched_s", "DOUBLE"),
)
_HOUR_US: Final = 3600 * US_PER_S


def latency_rows(reader: HotReader) -> Sequence[Sequence[Any]]:
    """One row a workload, stage and window."""
    return stored_latency(load_latencies(reader), load_budgets(reader))


def stored_latency(entries: Sequence[Entry[Histogram]], budgets: Mapping[Key, float]) -> list[tuple[Any, ...]]:
    """See ``latency_rows``. Windows end with the newest stored span (``until``); the last minute is the newest stored one."""
    until_us = max((e.since_us + e.span_s * US_PER_S for e in entries), default=0)
    rows: list[tuple[Any, ...]] = []
    for window, span_s in WINDOWS.items():
        since_us = until_us - span_s * US_PER_S
        found: dict[Key, list[Histogram]] = {}
        for e in _minutes(entries) if window != "day" else _once(entries):
            if e.since_us >= since_us:
                found.setdefault(e.key, []).append(e.value)
        for key, values in found.items():
            f, budget_ms = figures_of(united(values)), budgets.get(key)
            missed = None if budget_ms is None else f.p99_ms > budget_ms
            rows.append((*key, window, f.p50_ms, f.p99_ms, f.max_ms, f.count, budget_ms, missed, until_us))
    return sorted(rows, key=lambda r: (r[0], r[1]))


def cost_rows(reader: HotReader) -> Sequence[Sequence[Any]]:
    """One row a span, workload and path, the oldest first. No two rows are about the same time, so sums over rows are right: of a day
    whose hours are no longer known there is only the day, of an hour that is over only the hour."""
    return stored_costs(load_costs(reader))


def stored_costs(entries: Sequence[Entry[Spent]]) -> list[tuple[Any, ...]]:
    """See ``cost_rows``."""
    found: dict[tuple[int, int, str, str], list[Spent]] = {}
    for e in _once(entries):
        found.setdefault((e.since_us, e.span_s, *e.key), []).append(e.value)
    rows = []
    for key, values in sorted(found.items()):
        s = total(values)
        rows.append((*key, s.cpu_s, s.read, s.written, s.rows, s.memory, s.notifications, s.runs, s.watched_s))
    return rows


def _minutes(entries: Iterable[Entry[Any]]) -> list[Entry[Any]]:
    return [e for e in entries if e.span_s == 60]


def _once(entries: Sequence[Entry[Any]]) -> list[Entry[Any]]:
    """Spans that cover each time once: days up to that of the first hour that is known, hours, and minutes of hours that are not."""
    first_hour_us = min((e.since_us for e in entries if e.span_s == 3600), default=-(2**62))
    days = {e.since_us for e in entries if e.span_s == 86_400 and e.since_us <= first_hour_us}
    hours = {e.since_us for e in entries if e.span_s == 3600}

    def is_taken(e: Entry[Any]) -> bool:
        if e.span_s == 86_400:
            return e.since_us in days
        return e.since_us - e.since_us % US_PER_DAY not in days and (e.span_s == 3600 or e.since_us - e.since_us % _HOUR_US not in hours)

    return [e for e in entries if is_taken(e)]
