"""Alerts while batch work wants both cores: from the acknowledgement of a record to the webhook that has it, with batch and without.

500 devices, 20,000 records a second over HTTP, 100 rules; two jobs at a time, a program that spins on every core and a query that
sorts and aggregates without an end. Batch is held by nothing but its priority: no budget is set.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.bench.alert_load import Arrivals, delays_ms, sending
from tests.bench.alert_rules import LOUD, rules
from tests.bench.report import Row, note, percentile
from tests.running import Running, pause, wait_for

DEVICES, RULES, BATCHES_PER_S = 500, 100, 40
WARM_S = 15
SPIN = "n=$(nproc); while [ $n -gt 0 ]; do (while :; do :; done) & n=$((n-1)); done; wait"
BATCH = f'''
[batch]
jobs_max = 2
threads = 64
time_max = "1h"

[workload.spins]
kind = "job"
command = ["sh", "-c", "{SPIN}"]

[workload.sorts]
kind = "job"
sql = """SELECT hash(a.range * b.range) % 1000 AS k, count(*) AS n, sum(sqrt(a.range + b.range)) AS s
         FROM range(1000000) a, range(1000000) b GROUP BY ALL ORDER BY s"""
table = "never"
'''
LOUD_NAMES = tuple(name for name, _ in LOUD)


def rows() -> Iterator[Row]:
    """Twice BENCH_SECONDS (60)."""
    seconds = int(os.environ.get("BENCH_SECONDS", "60"))
    note(f"{os.cpu_count()} shared cores, load {os.getloadavg()[0]:.1f} before")
    arrivals = Arrivals()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        config = f"{BATCH}\n{rules(RULES)}\n{arrivals.channel}"
        running = Running(Path(folder) / "data", config=config, sources="source = []\n", fresh=True)
        try:
            running.start()
            with sending(running.port, devices=DEVICES, per_s=BATCHES_PER_S) as plant:
                pause(WARM_S)
                quiet = len(plant.acked), len(plant.acks_ms)
                pause(seconds)
                loud = len(plant.acked), len(plant.acks_ms)
                _saturate(running)
                busy_before = psutil.cpu_times()
                pause(seconds)
                busy_after = psutil.cpu_times()
                ended = len(plant.acked), len(plant.acks_ms)
                step, cold = running.status()["ladder"], _cores(running)
            pause(1)
            spare = (busy_after.idle - busy_before.idle) / seconds
            note(f"beside batch {spare:.2f} cores were idle, batch used {cold:.2f}; step {step['step']} {step['why']}")
            yield from told("without batch", plant.acked[quiet[0] : loud[0]], plant.acks_ms[quiet[1] : loud[1]], arrivals, None)
            yield from told(
                "while batch saturates all cores", plant.acked[loud[0] : ended[0]], plant.acks_ms[loud[1] : ended[1]], arrivals, 250
            )
        finally:
            if running.is_up:
                running.stop()
            arrivals.close()


def _saturate(running: Running) -> None:
    """Both jobs are under way, and use what there is."""
    for name in ("spins", "sorts"):
        status, said = running.request("POST", "/api/jobs/run", body=f'{{"name": "{name}"}}'.encode())
        assert status == 200, said
    wait_for(lambda: running.status()["jobs_running"] == 2 and _cores(running) > 0.1, what="both jobs to work")
    pause(3)


def _cores(running: Running) -> float:
    """What the processes of the cold path use."""
    found: float = next(b["cpu"] for b in running.status()["budgets"] if b["path"] == "cold")
    return found


def told(what: str, acked: list[tuple[str, float]], acks_ms: list[float], arrivals: Arrivals, most_ms: float | None) -> Iterator[Row]:
    """How long alerts took; ``most_ms``: what is asked for, None where it is only to compare."""
    delays, missing = delays_ms(acked, arrivals, LOUD_NAMES)
    p99 = percentile(delays, 0.99)
    yield Row(
        f"acknowledged -> webhook, {what}, p99",
        f"{p99:.0f} ms (p50 {percentile(delays, 0.5):.0f}, max {max(delays):.0f}; {len(delays)}, {missing} missing)",
        f"<= {most_ms:g} ms" if most_ms is not None else "to compare",
        None if most_ms is None else p99 <= most_ms and not missing,
    )
    note(f"{what}: sent -> acknowledged p50 {percentile(acks_ms, 0.5):.0f}, p99 {percentile(acks_ms, 0.99):.0f} ms")
