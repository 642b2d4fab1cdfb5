"""Line protocol over HTTP with durability ``power-loss``, beside InfluxDB 1.6 and VictoriaMetrics in the same run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.load_http import load
from tests.bench.peers import influxdb, victoria_metrics
from tests.bench.report import Row, note
from tests.bench.service import LINES_BLOCK, service
from tests.bench.tsbs import blocks

LINES = 500_000
ROUNDS = 3


def line_protocol() -> Iterator[Row]:
    """The best of three rounds of each, in turn, because the machine is shared."""
    ours: list[float] = []
    influx: list[float] = []
    victoria: list[float] = []
    for turn in range(ROUNDS):
        bodies = list(blocks(hosts=100, lines=LINES, block=LINES_BLOCK, seed=turn))
        with service() as running:
            ours.append(_rate(bodies, f"http://127.0.0.1:{running.port}/write?db=x"))
        with tempfile.TemporaryDirectory(prefix="bench") as folder, influxdb(Path(folder)) as url:
            if url is not None:
                influx.append(_rate(bodies, url))
        with tempfile.TemporaryDirectory(prefix="bench") as folder, victoria_metrics(Path(folder)) as url:
            if url is not None:
                victoria.append(_rate(bodies, url))
        note(f"round {turn + 1}: ours {ours[-1]:,.0f} lines/s, InfluxDB {influx[-1:]}, VictoriaMetrics {victoria[-1:]}")
    best = max(ours)
    what = "line protocol over HTTP, power-loss, 2 connections, 5,000 lines a request"
    if influx:
        ratio = best / max(influx)
        yield Row(what, f"{best:,.0f} lines/s", f">= 1.3 x InfluxDB 1.6 ({max(influx):,.0f}): {ratio:.2f} x", ratio >= 1.3)
    else:
        yield Row(what, f"{best:,.0f} lines/s", "InfluxDB 1.6 is not installed", None)
    if victoria:
        yield Row(
            "the same, aim", f"{best:,.0f} lines/s", f"VictoriaMetrics, unsynced ({max(victoria):,.0f}): {best / max(victoria):.2f} x", None
        )


def _rate(bodies: list[bytes], url: str) -> float:
    """Lines a second up to the last acknowledgement."""
    return load(url, bodies, lines_each=LINES_BLOCK, connections=2).per_s
