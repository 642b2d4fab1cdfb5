"""The first pass of analysis as it runs: how long records wait for scores, what that and its state cost, what it adds to an idle box."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from appliance.clock import SystemClock
from tests.bench.load_http import load
from tests.bench.report import Row, note
from tests.bench.service import idle, service
from tests.running import Running, wait_for

RATE: Final = 10_000
SERIES: Final = 500
LINES: Final = 100
"""In a request: a hundred requests a second."""
SECONDS: Final = 40
MORE_SERIES: Final = 1_000


def rows() -> Iterator[Row]:
    """All of it."""
    yield from scoring()
    yield from memory()
    yield from idle()


def scoring() -> Iterator[Row]:
    """``RATE`` records a second over ``SERIES`` series, one value each, with something unusual now and then."""
    with service() as running:
        _send(running, SERIES, seconds=5, at_s=0)
        before = cost(running, rows_min=5 * RATE)
        _send(running, SERIES, seconds=SECONDS, at_s=5)
        after = cost(running, rows_min=(5 + SECONDS) * RATE)
        found = {r["stage"]: r for r in picture(running, "latency")["rows"] if (r["workload"], r["window"]) == ("watch", "minute")}
    share = (after["cpu_s"] - before["cpu_s"]) / (after["rows"] - before["rows"]) * RATE
    scored = found["scored"]
    p99, p50 = scored["p99_ms"], scored["p50_ms"]
    figure = f"{p99:.0f} ms (p50 {p50:.0f}, max {scored['max_ms']:.0f})"
    yield Row(f"acknowledged until scored, {RATE:,} records/s, {SERIES} series, p99", figure, "<= 500 ms", p99 <= 500)
    yield Row("  processor time of analysis at that rate", f"{share:.1%} of a core", "<= 40 %", share <= 0.4)
    first = found.get("first pass")
    if first is not None:
        what, figure = "unusual record until its incident has a summary, p99", f"{first['p99_ms']:.0f} ms ({first['count']} rounds)"
        yield Row(what, figure, "<= 3 s", first["p99_ms"] <= 3_000)


def memory() -> Iterator[Row]:
    """Of ``MORE_SERIES`` series, all of them sending."""
    with service() as running:
        _send(running, MORE_SERIES, seconds=10, at_s=0)
        cost(running, rows_min=10 * RATE)
        status, body = running.request("GET", "/api/analysis")
        if status != 200:
            note("GET /api/analysis is not there yet")
            return
        held = json.loads(body)["memory"] / 2**20
    yield Row(f"memory of analysis, {MORE_SERIES:,} series", f"{held:.1f} MiB", "<= 64 MiB", held <= 64)


def picture(running: Running, name: str) -> Any:
    """What the service says of latency or cost."""
    status, body = running.request("GET", f"/api/{name}" + ("?since=1h" if name == "cost" else ""))
    assert status == 200, body
    return json.loads(body)


def cost(running: Running, *, rows_min: int) -> dict[str, Any]:
    """What analysis has used, once so many records were scored and counted."""

    def found() -> dict[str, Any] | None:
        of = [r for r in picture(running, "cost")["rows"] if (r["workload"], r["path"]) == ("watch", "hybrid")]
        return of[0] if of and of[0]["rows"] >= rows_min else None

    answer: dict[str, Any] = wait_for(found, what=f"{rows_min} records to be scored", deadline_s=90)
    return answer


def _send(running: Running, series: int, *, seconds: int, at_s: int) -> None:
    """The values of ``seconds`` of event time, up to about now, at ``RATE``."""
    rng = np.random.default_rng(at_s)
    per_s = RATE // series
    since_us = SystemClock().now_us()
    bodies = []
    count = 0
    for part in range(seconds * RATE // LINES):
        lines = []
        for n in range(part * LINES, (part + 1) * LINES):
            device, step = n % series, n // series
            value = 20 + device % 7 + rng.normal()
            if device == 11 and step % (15 * per_s) > 14 * per_s and at_s:
                value += 40
            lines.append(f"plant,device=d{device} value={value:.3f} {since_us + step * 1_000_000 // per_s}")
            count += 1
        bodies.append("\n".join(lines).encode())
    sent = load(f"http://127.0.0.1:{running.port}/write?db=x&precision=us", bodies, lines_each=LINES, rate_per_s=RATE, connections=8)
    note(f"{count:,} records sent: {sent}")
