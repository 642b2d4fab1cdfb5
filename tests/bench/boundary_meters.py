"""What the bookkeeping of latency and cost takes: a busy minute's notes, looks and rows, made as fast as they can be.

The minute is that of a full box: 500 submissions a second, 100 rules on one stream in 50 rounds a second, 20 alerts a second that are
told, 50 queries a second, a look every 5 s, one transaction of rows.
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from appliance.clock import US_PER_S
from appliance.hot.meter_tables import save
from appliance.hot.migrations import meters
from appliance.observe.budgets import verdicts
from appliance.observe.costs import INGEST, QUERIES, Costs, Spent
from appliance.observe.latencies import ALERTS, Latencies
from appliance.serving.usage import own_usage
from tests.bench.report import Row

RULES = tuple(f"rule-{n}" for n in range(100))
MINUTES = 10
START_US = 1_760_000_000 * US_PER_S
BUDGETS = {(rule, stage): 1_000.0 for rule in RULES for stage in ("evaluated", "committed", "handed over")}


def rows() -> Iterator[Row]:
    """Two rows: the share of a core, and the bytes of the hot store that a day of it adds up to."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        file = Path(folder) / "meters.sqlite"
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            meters(Database(db))
            latencies, costs = Latencies(), Costs()
            before = time.process_time()
            for minute in range(MINUTES):
                _minute(latencies, costs, START_US + minute * 60 * US_PER_S)
                now_us = START_US + (minute + 1) * 60 * US_PER_S
                db.execute("BEGIN")
                save(db, latencies.unsaved(now_us), costs.unsaved(now_us), budgets=BUDGETS, now_us=now_us)
                db.execute("COMMIT")
            share = (time.process_time() - before) / (MINUTES * 60)
        size = file.stat().st_size
    yield Row(
        "bookkeeping of latency and cost, 100 rules, 500 submissions and 50 queries a second",
        f"{share:.2%} of a core",
        "<= 2 %",
        share <= 0.02,
    )
    held = _held()
    a_day = size / MINUTES * 1440
    yield Row("what it writes into the hot store at that load", f"{a_day / 1e6:.0f} MB a day", "", None)
    yield Row("memory that it holds after a day at that load", f"{held / 1e6:.1f} MB", "<= 12 MB", held <= 12e6)


def _minute(latencies: Latencies, costs: Costs, begin_us: int) -> None:
    spread = itertools.cycle([3.0, 5.0, 8.0, 14.0, 21.0, 60.0])
    for second in range(60):
        at_us = begin_us + second * US_PER_S
        for _ in range(500):
            ms = next(spread)
            latencies.note(INGEST, "acknowledged", ms, at_us=at_us)
            latencies.note(INGEST, "visible", ms, at_us=at_us)
        for _ in range(50):
            latencies.note(ALERTS, "evaluated", 2.0, at_us=at_us)
            latencies.note_all(RULES, "evaluated", next(spread), at_us=at_us)
        for n in range(20):
            latencies.note_all((ALERTS, RULES[n]), "committed", next(spread), at_us=at_us)
            latencies.note_all((ALERTS, RULES[n]), "handed over", next(spread), at_us=at_us)
            costs.note(RULES[n], "hot", Spent(notifications=1), at_us=at_us)
        for _ in range(50):
            used = own_usage()  # in the query's process
            for stage in ("waited", "first row", "done"):
                latencies.note(QUERIES, stage, next(spread), at_us=at_us)
            costs.note(QUERIES, "hybrid", Spent(used.cpu_s, used.read_bytes, used.disk_bytes, 1000, used.memory_bytes, runs=1), at_us=at_us)
        if second % 5 == 0:
            for rule in RULES:
                costs.note(rule, "hot", Spent(0.001, rows=500), at_us=at_us)
            costs.note(INGEST, "hot", Spent(1.0, watched_s=5.0), at_us=at_us)
            verdicts(BUDGETS, latencies.histograms("minute", now_us=at_us))


def _held() -> int:
    """Bytes held after a day in which each rule has had a few durations in every minute: those of a tenth of the rules, times ten."""
    tracemalloc.start()
    try:
        latencies = Latencies()
        for minute in range(1_441):
            at_us = START_US + minute * 60 * US_PER_S
            for ms in (1.0, 3.0, 9.0, 30.0):
                for stage in ("evaluated", "committed", "handed over"):
                    latencies.note_all(RULES[::10], stage, ms + minute % 7, at_us=at_us)
        latencies.unsaved(START_US + 1_441 * 60 * US_PER_S)
        return tracemalloc.get_traced_memory()[0] * 10
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    from tests.bench.report import show

    show(rows())
