"""Alerts while all of the lake is compared, pass after pass: from the acknowledgement of a record to the webhook that has it.

    python -m tests.bench boundary-reconciling

As ``boundary_saturated``: 500 devices, 20,000 records a second over HTTP, 100 rules; beside them full passes over ten million records
that somebody asks for one after the other, which nothing throttles but the priority of their process.
"""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.bench.alert_load import Arrivals, sending
from tests.bench.alert_rules import rules
from tests.bench.boundary_reconcile import make_lake
from tests.bench.boundary_saturated import BATCHES_PER_S, DEVICES, RULES, WARM_S, told
from tests.bench.report import Row, note
from tests.running import Running, pause, wait_for

CONFIG = "[compact]\nenabled = false\n"
ASKED_MS = 250.0
PASS_S_MAX = 300.0


def rows() -> Iterator[Row]:
    """Twice BENCH_SECONDS (60)."""
    seconds = int(os.environ.get("BENCH_SECONDS", "60"))
    arrivals = Arrivals()
    with tempfile.TemporaryDirectory(prefix="bench") as home:
        folder = Path(home) / "data"
        records = make_lake(folder)
        running = Running(folder, config=f"{CONFIG}\n{rules(RULES)}\n{arrivals.channel}", sources="source = []\n", fresh=True)
        try:
            running.start()
            with sending(running.port, devices=DEVICES, per_s=BATCHES_PER_S) as plant:
                pause(WARM_S)
                quiet = len(plant.acked), len(plant.acks_ms)
                pause(seconds)
                loud = len(plant.acked), len(plant.acks_ms)
                passes = Passes(running)
                wait_for(lambda: passes.is_under_way, what="the first pass to begin")
                pause(seconds)
                ended = len(plant.acked), len(plant.acks_ms)
                passes.stop()
            pause(1)
            note(f"{len(passes.seconds)} full passes of {records:,} records and more, {min(passes.seconds):.1f} s at least")
            yield from told("without a pass", plant.acked[quiet[0] : loud[0]], plant.acks_ms[quiet[1] : loud[1]], arrivals, None)
            during = plant.acked[loud[0] : ended[0]], plant.acks_ms[loud[1] : ended[1]]
            yield from told("during full reconciliation", *during, arrivals, ASKED_MS)
        finally:
            if running.is_up:
                running.stop()
            arrivals.close()


class Passes:
    """Full passes, one after the other, until ``stop``."""

    def __init__(self, running: Running) -> None:
        self.seconds: list[float] = []
        """What each that is over took."""
        self._running = running
        self._stopping = False
        self._thread = threading.Thread(target=self._ask, daemon=True)  # noqa: TID251 - a client of a bench
        self._thread.start()

    @property
    def is_under_way(self) -> bool:
        """Whether one is at its work."""
        status, body = self._running.request("GET", "/api/consistency")
        assert status == 200, body
        return any(p["kind"] == "full" and p["state"] == "running" for p in json.loads(body)["passes"])

    def stop(self) -> None:
        """Ends with the one under way."""
        self._stopping = True
        self._thread.join()
        assert self.seconds, "no pass has come to its end"

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._running.port, timeout=PASS_S_MAX)
        while not self._stopping:
            connection.request("POST", "/api/reconcile", body=b'{"full": true}')
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            self.seconds += [p["took_s"] for p in json.loads(body)["passes"] if p["kind"] == "full"]
        connection.close()
