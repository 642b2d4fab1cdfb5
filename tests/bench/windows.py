"""What windows cost: small rounds of many keys as they come live, and long rounds of few keys as a rehearsal has them.

    python -m tests.bench.windows

Figures are processor time of this thread, because the machine is shared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from appliance.hot.stream.values import I64, Vector
from appliance.hot.stream.windows.aggregates import Aggregate, Function
from appliance.hot.stream.windows.sessions import SessionPanes
from appliance.hot.stream.windows.table import PaneTable
from tests.bench.report import Row, percentile, show

SECOND_US = 1_000_000
BEGIN_US = 1_700_000_000 * SECOND_US
LATENESS_US = SECOND_US
LIVE_KEYS, LIVE_ROWS, LIVE_ROUNDS_A_SECOND, LIVE_SECONDS = 500, 400, 50, 70
BULK_KEYS, BULK_ROWS, BULK_ROUND = 10, 1_000_000, 100_000
LIVE_LIMIT_US = 150.0
BULK_LIMIT = 3e6
USUAL = (Aggregate(Function.AVG, 0), Aggregate(Function.COUNT_ALL))


@dataclass(frozen=True, slots=True)
class Part:
    """The arguments of one ``take``."""

    ids: I64
    ts: I64
    seqs: I64
    vectors: tuple[Vector, ...]
    watermark: I64

    def into(self, table: PaneTable | SessionPanes) -> int:
        """Points that it makes."""
        return len(table.take(self.ids, self.ts, self.seqs, self.vectors, self.watermark, watermark_us=int(self.watermark[-1])))


def part(ids: I64, ts: I64, first_seq: int, rng: np.random.Generator) -> Part:
    """Rows with values."""
    vector = Vector(rng.normal(20.0, 3.0, len(ids)), np.ones(len(ids), np.bool_))
    return Part(ids, ts, np.arange(first_seq, first_seq + len(ids)), (vector,), np.maximum.accumulate(ts) - LATENESS_US)


def live(seconds: int = LIVE_SECONDS) -> list[Part]:
    """Rounds of a fiftieth of a second: each with 400 of 500 keys."""
    rng = np.random.default_rng(1)
    out = []
    for number in range(seconds * LIVE_ROUNDS_A_SECOND):
        ids = rng.permutation(LIVE_KEYS)[:LIVE_ROWS].astype(np.int64)
        ts = (
            BEGIN_US + number * (SECOND_US // LIVE_ROUNDS_A_SECOND) + np.sort(rng.integers(0, SECOND_US // LIVE_ROUNDS_A_SECOND, LIVE_ROWS))
        )
        out.append(part(ids, ts, number * LIVE_ROWS, rng))
    return out


def bulk(step_us: int = SECOND_US, rows: int = BULK_ROWS) -> list[Part]:
    """Long rounds: each key has a row every ``step_us``."""
    rng = np.random.default_rng(2)
    out = []
    for first in range(0, rows, BULK_ROUND):
        number = np.arange(first, first + BULK_ROUND)
        ts = BEGIN_US + number // BULK_KEYS * step_us + number % BULK_KEYS * 1_000
        out.append(part(number % BULK_KEYS, ts, first, rng))
    return out


def live_us(table: PaneTable | SessionPanes, parts: Sequence[Part]) -> list[float]:
    """µs of each round once windows are full."""
    out = []
    for one in parts:
        started = time.thread_time()
        one.into(table)
        out.append((time.thread_time() - started) * 1e6)
    return out[len(out) * 6 // 7 :]


def bulk_rate(make: type[PaneTable] | None, parts: Sequence[Part], *, aggregates: Sequence[Aggregate], pane_us: int, panes: int) -> float:
    """Rows a second, the best of three."""
    best = 0.0
    for _ in range(3):
        table = (make or PaneTable)(pane_us=pane_us, panes=panes, aggregates=aggregates)
        started = time.thread_time()
        for one in parts:
            one.into(table)
        best = max(best, sum(len(one.ids) for one in parts) / (time.thread_time() - started))
    return best


def rows() -> Iterator[Row]:
    """A row for each case."""
    parts = live()
    every = (
        *USUAL,
        *(Aggregate(f, 0) for f in (Function.MIN, Function.MAX, Function.FIRST, Function.LAST, Function.STDDEV, Function.RATE)),
    )
    cases: tuple[tuple[str, Sequence[Aggregate], int, int], ...] = (
        ("avg, count; 60 panes of 1s", USUAL, 1, 60),
        ("avg, count; 30 panes of 10s", USUAL, 10, 30),
        ("min, max, first, last, stddev, rate besides; 60 panes of 1s", every, 1, 60),
        ("quantile; 60 panes of 1s", (Aggregate(Function.QUANTILE, 0, 0.9),), 1, 60),
    )
    for what, aggregates, pane_s, panes in cases:
        some = parts[: 12 * LIVE_ROUNDS_A_SECOND] if aggregates[0].function is Function.QUANTILE else parts
        cost = live_us(
            PaneTable(pane_us=pane_s * SECOND_US, panes=panes, aggregates=aggregates, lateness_panes=2, lateness_us=LATENESS_US), some
        )
        mean = sum(cost) / len(cost)
        figure = f"{mean:.0f} µs a round; p99 {percentile(cost, 0.99):.0f} µs"
        asked, holds = (f"<= {LIVE_LIMIT_US:.0f} µs", mean <= LIVE_LIMIT_US) if aggregates is USUAL else ("no limit", None)
        yield Row(f"windows live: {what}", figure, asked, holds)
    cost = live_us(SessionPanes(gap_us=5 * SECOND_US, aggregates=USUAL), parts[: 10 * LIVE_ROUNDS_A_SECOND])
    yield Row("windows live: sessions; avg, count", f"{sum(cost) / len(cost):.0f} µs a round", "no limit", None)
    for what, step_s, aggregates, pane_s, panes in (
        ("avg; a row a second, 60 panes of 5s", 1, USUAL[:1], 5, 60),
        ("avg; a row a second, 60 panes of 1s", 1, USUAL[:1], 1, 60),
        ("avg; a row every 10min, 60 panes of 1min", 600, USUAL[:1], 60, 60),
        ("all of the above; a row a second, 60 panes of 5s", 1, every, 5, 60),
        ("quantile; a row a second, 60 panes of 5s", 1, (Aggregate(Function.QUANTILE, 0, 0.9),), 5, 60),
        ("distinct; a row a second, 60 panes of 5s", 1, (Aggregate(Function.DISTINCT, 0),), 5, 60),
    ):
        some = bulk(step_s * SECOND_US, BULK_ROWS if aggregates == USUAL[:1] else BULK_ROWS // 5)
        rate = bulk_rate(None, some, aggregates=aggregates, pane_us=pane_s * SECOND_US, panes=panes)
        asked, holds = (f">= {BULK_LIMIT / 1e6:.0f} million/s", rate >= BULK_LIMIT) if aggregates == USUAL[:1] else ("no limit", None)
        yield Row(f"windows in bulk: {what}", f"{rate / 1e6:.2f} million rows/s", asked, holds)


if __name__ == "__main__":
    show(rows())
