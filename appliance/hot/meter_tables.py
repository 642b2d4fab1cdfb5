"""Latencies and costs as ``hot.sqlite`` keeps them: rows that are only added, and dropped once an hour when they are too old.

One transaction a minute: the rows of a minute lie side by side, which is a page or two. Within a span rows of one key add up, since a
minute in which the service was started again has several. Hours and days are stored beside what they were made from, for as
long as that is asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from appliance.clock import US_PER_DAY, US_PER_S
from appliance.observe.costs import Spent
from appliance.observe.histogram import Histogram
from appliance.observe.tiers import Entry, Key

_HOUR_US: Final = 3600 * US_PER_S
LATENCY_KEPT_US: Final[Mapping[int, int]] = {60: 2 * _HOUR_US, 3600: 26 * _HOUR_US}
"""Seconds of a span -> how long its rows are kept."""
COST_KEPT_US: Final[Mapping[int, int]] = {60: 2 * _HOUR_US, 3600: 9 * US_PER_DAY, 86_400: 401 * US_PER_DAY}


_SPENT: Final = "cpu_s, read, written, rows, memory, notifications, runs, watched_s"


class Reader(Protocol):
    """What reads: a connection, or a ``HotReader``."""

    def execute(self, sql: str, /) -> Any:
        """Rows."""


def save(
    db: sqlite3.Connection,
    latencies: Sequence[Entry[Histogram]],
    costs: Sequence[Entry[Spent]],
    *,
    budgets: Mapping[Key, float],
    now_us: int,
) -> None:
    """Adds rows, within the caller's transaction; drops what is too old where an hour has come to its end. ``budgets`` in ms."""
    db.executemany(
        "INSERT INTO latency (at_us, span_s, workload, stage, count, max_ms, budget_ms, buckets) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(e.since_us, e.span_s, *e.key, e.value.count, e.value.max_ms, budgets.get(e.key), e.value.body) for e in latencies],
    )
    db.executemany(
        f"INSERT INTO cost (at_us, span_s, workload, path, {_SPENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(e.since_us, e.span_s, *e.key, *_values(e.value)) for e in costs],
    )
    if any(e.span_s > 60 for e in latencies) or any(e.span_s > 60 for e in costs):
        for table, kept in (("latency", LATENCY_KEPT_US), ("cost", COST_KEPT_US)):
            for span_s, kept_us in kept.items():
                db.execute(f"DELETE FROM {table} WHERE span_s = ? AND at_us < ?", (span_s, now_us - kept_us))


def load_latencies(reader: Reader) -> list[Entry[Histogram]]:
    """All that is stored."""
    rows = reader.execute("SELECT at_us, span_s, workload, stage, max_ms, buckets FROM latency")
    return [Entry(at_us, span_s, (workload, stage), Histogram(body, max_ms)) for at_us, span_s, workload, stage, max_ms, body in rows]


def load_budgets(reader: Reader) -> dict[Key, float]:
    """By workload and stage, ms: what each was held against when it was stored last; without those that had none."""
    rows = reader.execute("SELECT workload, stage, budget_ms, max(id) FROM latency GROUP BY workload, stage")
    return {(workload, stage): budget_ms for workload, stage, budget_ms, _ in rows if budget_ms is not None}


def load_costs(reader: Reader) -> list[Entry[Spent]]:
    """All that is stored."""
    rows = reader.execute(f"SELECT at_us, span_s, workload, path, {_SPENT} FROM cost")
    return [Entry(at_us, span_s, (workload, path), Spent(*spent)) for at_us, span_s, workload, path, *spent in rows]


def _values(spent: Spent) -> tuple[float | int, ...]:
    s = spent
    return (round(s.cpu_s, 6), s.read, s.written, s.rows, s.memory, s.notifications, s.runs, round(s.watched_s, 3))
