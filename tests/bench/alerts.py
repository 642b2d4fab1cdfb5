"""The table of alerts: from the acknowledgement of a record to the fire that is stored and to the webhook that has it, and what it costs.

Everything runs through the real service over HTTP: 500 devices, 40 batches a second of a line for each, 100 rules. The long run
takes ten minutes, or as many seconds as BENCH_SECONDS says.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from appliance.clock import SystemClock
from tests.bench.alert_load import Arrivals, Plant, delays_ms, picture, sending
from tests.bench.alert_rules import LOUD, bodies, hot_line, name_of, rules
from tests.bench.load_http import load
from tests.bench.report import Row, cpu_seconds, note, percentile, resident_mb
from tests.bench.service import pid_of
from tests.bench.tsbs import blocks
from tests.running import ROOT, Running, environment, pause, wait_for

DEVICES, RULES, BATCHES_PER_S = 500, 100, 40
RECORDS_PER_S = DEVICES * BATCHES_PER_S
WARM_S = 15
"""Until windows and caches are as they stay."""
POLL_S = 10
LAKE_RECORDS = 3_000_000
SCAN = "SELECT hostname, avg(usage_user), max(usage_system), stddev(usage_idle) FROM cpu GROUP BY hostname"
REHEARSED = """
[workload.rehearsed]
kind = "alert"
stream = "cpu"
by = ["hostname"]
over = "10min"
when = "avg(usage_user) > 97"
clear = "avg(usage_user) < 90"
"""
NO_SOURCES = "source = []\n"
LOUD_NAMES = tuple(name for name, _ in LOUD)


def rows() -> Iterator[Row]:
    """All of it; the long run takes BENCH_SECONDS (600)."""
    yield from _table(int(os.environ.get("BENCH_SECONDS", "600")))


def rows_short() -> Iterator[Row]:
    """The same with a run of a minute."""
    yield from _table(60)


def _table(seconds: int) -> Iterator[Row]:
    note(f"two shared cores, load {os.getloadavg()[0]:.1f} before; {RECORDS_PER_S:,} records/s over HTTP in batches of {DEVICES}")
    plain = _without_rules(min(seconds, 60))
    yield from live(seconds, plain)
    yield from ingest()
    yield from many()
    yield from beside_scans(min(seconds, 120))


@contextmanager
def _told(config: str, *, sources: str = NO_SOURCES) -> Iterator[tuple[Running, Arrivals]]:
    """A service with these rules whose channel is a webhook here."""
    arrivals = Arrivals()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        running = Running(Path(folder) / "data", config=f"{config}\n{arrivals.channel}", sources=sources, fresh=True)
        try:
            yield running.start(), arrivals
        finally:
            if running.process is not None and running.process.poll() is None:
                running.stop()
            arrivals.close()


# --- what it costs when there are no rules ------------------------------------------------------------------------------


def _without_rules(seconds: int) -> float:
    """The share of a core that the same records take without rules."""
    with _told("") as (running, _), sending(running.port, devices=DEVICES, per_s=BATCHES_PER_S) as plant:
        pause(5)
        cost = _Cost(running, plant)
        pause(seconds)
        share = cost.share()
    note(f"without rules {share * 100:.0f} % of a core, acknowledged p99 {percentile(plant.acks_ms, 0.99):.0f} ms")
    return share


class _Cost:
    """What the service takes from now on: of a core at the rate that is asked for, also where the machine is too busy to keep that rate."""

    def __init__(self, running: Running, plant: Plant) -> None:
        self._pid, self._plant = pid_of(running), plant
        self._cpu_s, self._records = cpu_seconds(self._pid), plant.records

    def share(self) -> float:
        """So far."""
        return (cpu_seconds(self._pid) - self._cpu_s) / max(1, self._plant.records - self._records) * RECORDS_PER_S


# --- the run with a hundred rules ---------------------------------------------------------------------------------------


@dataclass
class Stages:
    """The worst of what the service itself said, minute by minute."""

    worst: dict[str, dict[str, float]] = field(default_factory=dict)
    cost_us_per_s: float = 0.0

    def look(self, port: int) -> None:
        found = picture(port)
        for stage in found["stages"]:
            have = self.worst.setdefault(stage["stage"], {"p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0, "count": 0})
            for name in have:
                have[name] = max(have[name], stage[name])
        self.cost_us_per_s = max(self.cost_us_per_s, sum(rule["cost_us_per_s"] for rule in found["rules"]))


def live(seconds: int, plain: float) -> Iterator[Row]:
    """``plain`` is the share of a core without rules."""
    stages = Stages()
    with _told(rules(RULES)) as (running, arrivals):
        with sending(running.port, devices=DEVICES, per_s=BATCHES_PER_S) as plant:
            pause(WARM_S)
            cost, at = _Cost(running, plant), time.perf_counter()
            while time.perf_counter() - at < seconds:
                pause(min(POLL_S, seconds))
                stages.look(running.port)
            share = cost.share()
            silenced, durable = _silence(running)
            memory = resident_mb(pid_of(running), children=False)
        pause(1)
        delays, missing = delays_ms(plant.acked, arrivals, LOUD_NAMES)
    note(f"{plant.records:,} records; {len(delays)} fires told, {missing} not; load {os.getloadavg()[0]:.1f}; resident {memory:.0f} MB")
    note(f"acknowledged after p50 {percentile(plant.acks_ms, 0.5):.0f}, p99 {percentile(plant.acks_ms, 0.99):.0f} ms")
    note("stages: " + "; ".join(f"{n} {s['p50_ms']:.0f}/{s['p99_ms']:.0f}/{s['max_ms']:.0f} ms" for n, s in stages.worst.items()))
    yield from _live_rows(stages, delays, missing, seconds)
    yield Row(
        f"cost of {RULES} rules (service {share * 100:.0f} %, without rules {plain * 100:.0f} %)",
        f"{(share - plain) * 100:.0f} % of a core (evaluating takes {stages.cost_us_per_s / 1e4:.0f} % of the time)",
        "<= 35 % of a core",
        share - plain <= 0.35,
    )
    yield Row(
        "silence made -> answered, and durable by then",
        f"p50 {percentile(silenced, 0.5):.0f}, p99 {percentile(silenced, 0.99):.0f} ms; {durable} of {len(silenced)}",
        "durable before the command returns",
        durable == len(silenced),
    )


def _live_rows(stages: Stages, delays: Sequence[float], missing: int, seconds: int) -> Iterator[Row]:
    of = stages.worst["committed"]
    what = f"acknowledged -> firing committed, {RULES} rules on {DEVICES} keys, worst minute of {seconds} s"
    yield Row(f"{what}, p50", f"{of['p50_ms']:.1f} ms", "<= 20 ms", of["p50_ms"] <= 20)
    yield Row("  p99", f"{of['p99_ms']:.1f} ms", "<= 100 ms", of["p99_ms"] <= 100)
    yield Row("  max", f"{of['max_ms']:.1f} ms", "<= 1 s", of["max_ms"] <= 1000)
    p99 = percentile(delays, 0.99)
    yield Row(
        "acknowledged -> webhook received on loopback, p99",
        f"{p99:.0f} ms (p50 {percentile(delays, 0.5):.0f}, max {max(delays):.0f}; {len(delays)})",
        "<= 250 ms",
        p99 <= 250 and not missing,
    )


def _silence(running: Running, count: int = 50) -> tuple[list[float], int]:
    """Milliseconds of each, and how many stood in the store when the answer came."""
    spent, durable = [], 0
    for number in range(count):
        asked = {"matchers": [f"device=none{number}"], "until": "1h", "author": "bench", "comment": "bench"}
        at = time.perf_counter()
        status, said = running.request("POST", "/api/alerts/silence", body=json.dumps(asked).encode())
        spent.append((time.perf_counter() - at) * 1e3)
        assert status == 200, said
        made = json.loads(said)["id"]
        with sqlite3.connect(f"file:{running.folder / 'hot.sqlite'}?mode=ro", uri=True) as db:
            durable += db.execute("SELECT count(*) FROM silence WHERE id = ?", (made,)).fetchone()[0]
        db.close()
        pause(0.05)
    return spent, durable


# --- how fast records come in at most -----------------------------------------------------------------------------------


def ingest(rounds: int = 5) -> Iterator[Row]:
    """Two services in turn, one with rules; each flood is waited for until the rules have seen it.

    Two connections, each with its own devices: what a device sends comes in its order.
    """
    each, batches = 5_000, 100
    found: dict[str, list[float]] = {"with": [], "without": []}
    with _told(rules(RULES)) as (ruled, _), _told("") as (plain, _):
        for number in range(rounds + 1):
            sent = _batches(number, batches, each)
            for which, running in (("without", plain), ("with", ruled))[:: 1 if number % 2 else -1]:
                before = cpu_seconds(pid_of(running))
                per_s = _flood(running, sent, each)
                at = time.perf_counter()
                _until_idle(running)
                cost = (cpu_seconds(pid_of(running)) - before) / (batches * each) * 1e6
                idle_s = time.perf_counter() - at
                note(f"ingest {which} rules: {per_s:,.0f} records/s, idle {idle_s:.1f} s later, {cost:.1f} µs of a core a record")
                found[which].append(per_s)
    ours, theirs = (sorted(found[which][1:])[rounds // 2] for which in ("with", "without"))
    yield Row(
        f"ingest over HTTP with {RULES} rules",
        f"{ours:,.0f} records/s, {(1 - ours / theirs) * 100:.0f} % slower",
        f"<= 15 % slower than without ({theirs:,.0f} records/s)",
        ours >= 0.85 * theirs,
    )


def _flood(running: Running, lanes: Sequence[Sequence[bytes]], each: int) -> float:
    """Records a second until all are acknowledged."""
    url = f"http://127.0.0.1:{running.port}/write?db=x&precision=us"
    started = time.perf_counter()
    with ThreadPoolExecutor(len(lanes)) as pool:
        done = list(pool.map(lambda sent: load(url, sent, lines_each=each, connections=1), lanes))
    return sum(one.records for one in done) / (time.perf_counter() - started)


def _batches(number: int, batches: int, each: int, lanes: int = 2) -> list[list[bytes]]:
    """For each lane batches with as many rows of each of its devices as fit, 50 ms of event time apart."""
    made = [body.splitlines(keepends=True) for body in bodies(DEVICES)]
    rows = each * lanes // DEVICES
    begin_us = SystemClock().now_us() - 3_000 * 1_000_000 + number * (batches // lanes) * rows * 50_000
    found: list[list[bytes]] = [[] for _ in range(lanes)]
    for lane in range(lanes):
        mine = [b"".join(lines[lane::lanes]) for lines in made]
        for batch in range(batches // lanes):
            steps = range(batch * rows, (batch + 1) * rows)
            found[lane].append(b"".join(mine[s % len(mine)].replace(b"@", str(begin_us + s * 50_000).encode()) for s in steps))
    return found


def _until_idle(running: Running) -> None:
    def idle() -> bool:
        before = cpu_seconds(pid_of(running))
        pause(1)
        return cpu_seconds(pid_of(running)) - before < 0.1

    wait_for(idle, what="the service to be idle", deadline_s=300)


# --- many rules on many keys --------------------------------------------------------------------------------------------


def many(rule_count: int = 1_000, devices: int = 1_000, steps: int = 120) -> Iterator[Row]:
    """Two minutes of event time as fast as they go, some devices hot at their end: those and no others fire."""
    hot = range(0, devices, 37)
    with _told(rules(rule_count)) as (running, _):
        made = bodies(devices)
        begin_us = SystemClock().now_us() - steps * 1_000_000
        at = time.perf_counter()
        for step in range(steps):
            body = made[step % len(made)] if step < steps - 1 else b"".join(_last(made[0], hot))
            status, said = running.request(
                "POST", "/write?db=x&precision=us", body=body.replace(b"@", str(begin_us + step * 1_000_000).encode())
            )
            assert status == 204, said
        expected = {(rule, name_of(d)) for rule in LOUD_NAMES for d in hot}

        def firing() -> set[tuple[str, str]]:
            return {(a["rule"], a["key"]["device"]) for a in picture(running.port)["alerts"] if a["phase"] == "firing"}

        wait_for(lambda: firing() >= expected, what="all that is hot to fire", deadline_s=300)
        spent = time.perf_counter() - at
        found = firing()
        _until_idle(running)
        memory = resident_mb(pid_of(running), children=False)
    yield Row(
        f"{rule_count:,} rules x {devices:,} keys: resident memory; right",
        f"{memory:.0f} MB; {len(found & expected)} of {len(expected)}, {len(found - expected)} wrong",
        f"bounded; never wrong ({steps * devices / spent:,.0f} records/s)",
        found == expected,
    )


def _last(body: bytes, hot: range) -> Iterator[bytes]:
    for device, line in enumerate(body.splitlines(keepends=True)):
        yield hot_line(device) if device in hot else line


# --- beside scans of the lake, and rehearsed over it --------------------------------------------------------------------


def beside_scans(seconds: int) -> Iterator[Row]:
    """The webhook's delay while a client scans a lake of some millions of records in a loop; then a rule rehearsed over that lake."""
    with _told(f'[roll]\nevery = "5s"\nrows_max = 200_000\n{rules(RULES)}') as (running, arrivals):
        sent = list(blocks(hosts=100, lines=LAKE_RECORDS, block=10_000))
        load(f"http://127.0.0.1:{running.port}/write?db=x", sent, lines_each=10_000, connections=1)  # what a host sends comes in its order
        wait_for(lambda: all(s["hot_rows"] == 0 for s in running.status()["streams"]), what="the last roll", deadline_s=120)
        wait_for(lambda: running.status()["lake"]["compacting"] is None, what="compaction", deadline_s=300)
        with sending(running.port, devices=DEVICES, per_s=BATCHES_PER_S) as plant:
            pause(WARM_S)
            with _scans(running.port) as scans:
                pause(seconds)
        pause(1)
        since = [(device, at) for device, at in plant.acked if at >= scans.begun]
        delays, missing = delays_ms(since, arrivals, LOUD_NAMES)
        each_ms = percentile(scans.spent_s, 0.5) * 1e3
        note(f"{len(scans.spent_s)} scans of {LAKE_RECORDS:,} records, median {each_ms:.0f} ms; {missing} not told")
        p99 = percentile(delays, 0.99)
        yield Row(
            "  the same while a client scans the whole lake in a loop, p99",
            f"{p99:.0f} ms (p50 {percentile(delays, 0.5):.0f}, max {max(delays):.0f}; {len(delays)})",
            "<= 500 ms",
            p99 <= 500 and not missing,
        )
        running.stop()
        yield from _rehearsed(running)


class _Scans:
    def __init__(self, port: int) -> None:
        self.begun = time.perf_counter()
        self.spent_s: list[float] = []
        self._port = port
        self._stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)  # noqa: TID251 - the client of a bench

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        while not self._stopping:
            at = time.perf_counter()
            connection.request("GET", "/api/v3/query_sql?" + urlencode({"q": SCAN, "format": "json", "cache": "false"}))
            answer = connection.getresponse()
            said: Any = answer.read()
            assert answer.status == 200, said
            self.spent_s.append(time.perf_counter() - at)

    def stop(self) -> None:
        self._stopping = True
        self.thread.join()


@contextmanager
def _scans(port: int) -> Iterator[_Scans]:
    scans = _Scans(port)
    scans.thread.start()
    try:
        yield scans
    finally:
        scans.stop()


def _rehearsed(running: Running) -> Iterator[Row]:
    file = running.folder.parent / "rehearsed.toml"
    file.write_text(REHEARSED)
    command = [
        sys.executable,
        "-m",
        "appliance",
        "alerts",
        "rehearse",
        "rehearsed",
        "--data-dir",
        str(running.folder),
        "--config",
        str(file),
    ]
    best, whole, said = 0.0, 0.0, ""
    for _ in range(3):
        at = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment())
        spent = time.perf_counter() - at
        found = re.search(r"([\d,]+) records in ([\d.]+) s", done.stderr)
        assert found is not None, done.stderr
        count, seconds = int(found[1].replace(",", "")), float(found[2])
        if count / seconds > best:
            best, whole, said = count / seconds, count / spent, done.stdout.splitlines()[1][:100]
    note(f"rehearsed: {said}")
    yield Row(
        f"rehearsal of one rule over {LAKE_RECORDS:,} records",
        f"{best:,.0f} records/s ({whole:,.0f} with the start)",
        ">= 1,000,000 records/s",
        best >= 1e6,
    )
