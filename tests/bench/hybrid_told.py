"""From a machine that becomes unusual to the incident, and to its refined answer, as somebody sees them who follows ``/api/events``.

Twenty machines, a record a second each, as they come. One after the other goes ten times as high; the clock runs from the acknowledgement
of its first high record. How long the deep pass takes over a long history is another bench's.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.clock import US_PER_S, SystemClock
from tests.bench.report import Row, note, percentile
from tests.http.sse import EventReader
from tests.running import Running, pause

MACHINES = 20
LEARN_S = 600
"""History, written at once before the measurement."""
HIGH_S, CALM_S = 8, 20
FIRST_S, REFINED_P50_S, REFINED_P99_S = 3.0, 10.0, 30.0


def config_of(streams: int) -> str:
    """An analysis for each stream: an incident is over only after minutes, and what is unusual meanwhile would join it."""
    return "".join(f'[workload.plant{n}]\nkind = "analysis"\nstreams = ["plant{n}"]\n' for n in range(streams))


def rows() -> Iterator[Row]:
    """BENCH_INCIDENTS (8) of half a minute each."""
    count = int(os.environ.get("BENCH_INCIDENTS", "8"))
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        running = Running(Path(folder) / "data", config=config_of(count), sources="source = []\n", fresh=True)
        try:
            running.start()
            with following(running) as told, Plant(running, streams=count) as plant:
                firsts, refined = measured(plant, told, count)
        finally:
            running.stop()
    note(f"incidents: {len(firsts)} of {count}, refined: {len(refined)}; first {_all(firsts)} s, refined {_all(refined)} s")
    yield told_row("unusual record acknowledged → incident pushed, p99", firsts, 0.99, FIRST_S, count)
    yield told_row("incident pushed → refined answer pushed, p50", refined, 0.5, REFINED_P50_S, count)
    yield told_row("  p99", refined, 0.99, REFINED_P99_S, count)


def measured(plant: Plant, told: list[tuple[float, str, dict[str, Any]]], count: int) -> tuple[list[float], list[float]]:
    """Seconds from the acknowledgement of the first unusual record to the incident, and from there to its refined answer; incidents that
    nobody was told of are left out."""
    firsts, refined = [], []
    pause(CALM_S)
    for number in range(count):
        seen = len(told)
        began = plant.raise_one(number)
        opened = _first(told, seen, number, "incident", "open", deadline_s=HIGH_S + CALM_S)
        pause(max(0.0, began + HIGH_S - time.perf_counter()))
        plant.calm()
        if opened is None:
            continue
        firsts.append(opened[0] - began)
        answered = _first(told, seen, number, "answer", "deep", deadline_s=2 * REFINED_P99_S)
        if answered is not None:
            refined.append(answered[0] - opened[0])
        pause(CALM_S)
    return firsts, refined


def _first(
    told: list[tuple[float, str, dict[str, Any]]], seen: int, number: int, name: str, what: str, *, deadline_s: float
) -> tuple[float, Any] | None:
    end = time.perf_counter() + deadline_s
    while time.perf_counter() < end:
        for at, event, data in told[seen:]:
            by = data["incident"]["state"] if name == "incident" else data.get("answer", {}).get("by")
            if event == name and by == what and data["incident"]["workload"] == f"plant{number}":
                return at, data
        pause(0.02)
    return None


@contextmanager
def following(running: Running) -> Iterator[list[tuple[float, str, dict[str, Any]]]]:
    """What is told of the analysis, with the moment at which it came."""
    told: list[tuple[float, str, dict[str, Any]]] = []
    reader = EventReader(running, "?topics=analysis")
    reader.sock.settimeout(None)

    def read() -> None:
        while True:
            try:
                found = reader.next()
            except (OSError, EOFError, ValueError):
                return
            if found.event:
                told.append((time.perf_counter(), found.event, found.data))

    thread = threading.Thread(target=read, daemon=True)  # noqa: TID251 - who follows
    thread.start()
    try:
        yield told
    finally:
        reader.sock.shutdown(2)
        thread.join(10)


class Plant:
    """Machines that report each second; one of them may be high."""

    def __init__(self, running: Running, *, streams: int, machines: int = MACHINES) -> None:
        self._running = running
        self._machines, self._streams = machines, streams
        self._random = random.Random(11)
        self._high: int | None = None
        self._ending = threading.Event()
        self._raised = threading.Event()
        self._began = 0.0
        self._thread = threading.Thread(target=self._run)  # noqa: TID251 - the machines

    def __enter__(self) -> Plant:
        now_s = SystemClock().now_us() // US_PER_S
        connection = self._connection()
        for at_s in range(now_s - LEARN_S, now_s, 100):
            self._write(connection, [(at_s + n) * US_PER_S for n in range(100)])
        connection.close()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def raise_one(self, machine: int) -> float:
        """From its next record on it is high; the moment at which the first of them was acknowledged."""
        self._raised.clear()
        self._high = machine
        self._raised.wait()
        return self._began

    def calm(self) -> None:
        self._high = None

    def _run(self) -> None:
        connection = self._connection()
        while not self._ending.wait(1.0 - SystemClock().now_us() % US_PER_S / US_PER_S):
            high = self._high
            self._write(connection, [SystemClock().now_us()])
            if high is not None and not self._raised.is_set():
                self._began = time.perf_counter()
                self._raised.set()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._running.port, timeout=30)

    def _write(self, connection: http.client.HTTPConnection, times_us: list[int]) -> None:
        high, lines = self._high, []
        for at_us in times_us:
            for machine in range(self._machines):
                usual = 20 + machine + self._random.gauss(0, 0.5)
                lines.append(
                    f"plant{machine % self._streams},machine=m{machine} power={usual * 10 if machine == high else usual:.3f} {at_us}"
                )
        connection.request("POST", "/write?db=x&precision=us", body="\n".join(lines))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204, answer.status


def told_row(what: str, found: list[float], share: float, limit_s: float, count: int) -> Row:
    if len(found) < count:
        return Row(what, f"{len(found)} of {count} told", f"<= {limit_s:g} s", False)
    value = percentile(found, share)
    return Row(what, f"{value:.2f} s", f"<= {limit_s:g} s", value <= limit_s)


def _all(found: list[float]) -> str:
    return json.dumps([round(one, 2) for one in found])
