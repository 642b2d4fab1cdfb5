"""The queries of the Time Series Benchmark Suite's "cpu-only" case over HTTP, ours and InfluxDB 1.6's in turn, over the same lines.

    python -m tests.bench.tsbs_queries [--hosts N] [--days N] [--only NAME]

100 hosts, a line every 10 s for 3 days. The questions are those of TSBS with hosts and times drawn at random; both sides answer JSON.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from appliance.clock import US_PER_S
from tests.bench import tsbs
from tests.bench.peers import influxdb
from tests.bench.report import Row, note, show
from tests.running import Running, wait_for

STEP_S = 10
START_US = tsbs.START_NS // 1_000
HOUR_US = 3_600 * US_PER_S
METRICS = tuple(f"usage_{field}" for field in tsbs.FIELDS)
BLOCK_LINES = 5_000
CONFIG = """
[roll]
every = "2s"
"""


@dataclass(frozen=True, slots=True)
class Query:
    """One kind of question."""

    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What is asked, how often, and what is to be reached: a multiple of InfluxDB's time, or milliseconds."""

    name: str
    make: Callable[[random.Random, World], Query]
    rounds: int
    factor_max: float
    limit_ms: float | None = None


@dataclass(frozen=True, slots=True)
class World:
    """The data that is there."""

    hosts: int
    days: int

    @property
    def end_us(self) -> int:
        return START_US + self.days * 86_400 * US_PER_S


def group_by(metrics: int, hosts: int, hours: int, step: str, seconds: int) -> Callable[[random.Random, World], Query]:
    """Maxima of some metrics of some hosts over some hours, by minute or hour."""

    def make(rng: random.Random, world: World) -> Query:
        names = [f"host_{n}" for n in rng.sample(range(world.hosts), hosts)]
        low, high = _span(rng, world, hours)
        fields = METRICS[:metrics]
        any_of = " OR ".join(f"hostname = '{n}'" for n in names)
        return Query(
            f"SELECT time_bucket(INTERVAL '{seconds} seconds', ts) AS t, {', '.join(f'max({f}) AS {f}' for f in fields)} FROM cpu"
            f" WHERE hostname IN ({', '.join(repr(n) for n in names)}) AND ts >= {_ours(low)} AND ts < {_ours(high)} GROUP BY t ORDER BY t",
            f"SELECT {', '.join(f'max({f})' for f in fields)} FROM cpu WHERE ({any_of})"
            f" AND time >= {low}u AND time < {high}u GROUP BY time({step})",
        )

    return make


def double_group_by(metrics: int) -> Callable[[random.Random, World], Query]:
    """Means of metrics by hour and host over twelve hours."""

    def make(rng: random.Random, world: World) -> Query:
        low, high = _span(rng, world, 12)
        fields = METRICS[:metrics]
        return Query(
            f"SELECT time_bucket(INTERVAL '1 hour', ts) AS t, hostname, {', '.join(f'avg({f}) AS {f}' for f in fields)} FROM cpu"
            f" WHERE ts >= {_ours(low)} AND ts < {_ours(high)} GROUP BY t, hostname ORDER BY t, hostname",
            f"SELECT {', '.join(f'mean({f})' for f in fields)} FROM cpu"
            f" WHERE time >= {low}u AND time < {high}u GROUP BY time(1h), hostname",
        )

    return make


def high_cpu(*, hosts: int | None) -> Callable[[random.Random, World], Query]:
    """Every record above a threshold in twelve hours."""

    def make(rng: random.Random, world: World) -> Query:
        low, high = _span(rng, world, 12)
        name = f"host_{rng.randrange(world.hosts)}"
        ours, theirs = (f" AND hostname = '{name}'",) * 2 if hosts is not None else ("", "")
        return Query(
            f"SELECT * FROM cpu WHERE usage_user > 90.0 AND ts >= {_ours(low)} AND ts < {_ours(high)}{ours}",
            f"SELECT * FROM cpu WHERE usage_user > 90.0 AND time >= {low}u AND time < {high}u{theirs}",
        )

    return make


def last_point(_rng: random.Random, _world: World) -> Query:
    """The last record of each host, which is kept."""
    return Query("", "SELECT * FROM cpu GROUP BY hostname ORDER BY time DESC LIMIT 1")


def order_by_limit(rng: random.Random, world: World) -> Query:
    """The last five minutes' maxima before a time."""
    _, high = _span(rng, world, 1)
    return Query(
        f"SELECT time_bucket(INTERVAL '1 minute', ts) AS t, max(usage_user) FROM cpu WHERE ts < {_ours(high)}"
        " GROUP BY t ORDER BY t DESC LIMIT 5",
        f"SELECT max(usage_user) FROM cpu WHERE time < {high}u GROUP BY time(1m) ORDER BY time DESC LIMIT 5",
    )


KINDS = (
    Kind("single-groupby-1-1-1", group_by(1, 1, 1, "1m", 60), 60, 4.0),
    Kind("single-groupby-1-8-1", group_by(1, 8, 1, "1m", 60), 60, 4.0),
    Kind("single-groupby-5-8-1", group_by(5, 8, 1, "1m", 60), 60, 4.0),
    Kind("cpu-max-all-8", group_by(10, 8, 8, "1h", 3600), 30, 1.0),
    Kind("double-groupby-1", double_group_by(1), 12, 0.25),
    Kind("double-groupby-all", double_group_by(10), 6, 0.25),
    Kind("high-cpu-1", high_cpu(hosts=1), 30, 4.0),
    Kind("high-cpu-all", high_cpu(hosts=None), 6, 0.25),
    Kind("lastpoint", last_point, 60, 1e9, limit_ms=3.0),
    Kind("groupby-orderby-limit", order_by_limit, 30, 1.0),
)


def rows(*, hosts: int = 100, days: int = 3, only: str = "") -> Iterator[Row]:
    """Median times of both, and their ratio."""
    world = World(hosts, days)
    with tempfile.TemporaryDirectory(prefix="bench") as name, influxdb(Path(name)) as url:
        peer = None if url is None else urlsplit(url).port
        running = Running(Path(name) / "data", config=CONFIG, sources="source = []\n", fresh=True)
        try:
            running.start()
            at = time.perf_counter()
            _load(running, world, peer)
            segments = running.query("SELECT segments FROM _streams WHERE name = 'cpu'")[0]["segments"]
            note(f"{hosts * days * 8_640:,} lines into both in {time.perf_counter() - at:.0f} s; {segments} segments in our lake")
            for kind in KINDS:
                if only in kind.name:
                    yield _measured(kind, world, running.port, peer)
        finally:
            running.stop()


def _measured(kind: Kind, world: World, port: int, peer: int | None) -> Row:
    rng = random.Random(kind.name)
    ours, theirs = http.client.HTTPConnection("127.0.0.1", port), http.client.HTTPConnection("127.0.0.1", peer or 1)
    spent: tuple[list[float], list[float]] = ([], [])
    for number in range(kind.rounds + 2):
        query = kind.make(rng, world)
        path = (
            "/api/v3/query_sql?" + urlencode({"q": query.ours, "format": "json", "cache": "false"})
            if query.ours
            else "/api/latest?stream=cpu"
        )
        sides = [(ours, path, spent[0])]
        if peer is not None:
            sides.append((theirs, "/query?" + urlencode({"db": "x", "q": query.theirs, "epoch": "u"}), spent[1]))
        bodies = []
        for connection, path, times in sides:
            at = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            bodies.append(answer.read())
            if number >= 2:
                times.append((time.perf_counter() - at) * 1e3)
            assert answer.status == 200, bodies[-1]
        if number == 0 and peer is not None:
            _compare(kind.name, *bodies)
    mine, other = statistics.median(spent[0]), statistics.median(spent[1]) if peer is not None else None
    asked = f"<= {kind.limit_ms:g} ms" if kind.limit_ms is not None else f"<= {kind.factor_max:g} x InfluxDB 1.6"
    beside = f" ({other:.1f} ms here: {mine / other:.2f} x)" if other is not None else " (not installed)"
    holds = mine <= kind.limit_ms if kind.limit_ms is not None else None if other is None else mine <= kind.factor_max * other
    return Row(f"TSBS {kind.name}, {world.hosts} hosts x {world.days} days", f"{mine:.1f} ms", asked + beside, holds)


def _compare(name: str, ours: bytes, theirs: bytes) -> None:
    """The same number of answers, as far as both count alike: InfluxDB gives empty groups too."""
    found = json.loads(ours)
    series: Sequence[dict[str, Any]] = json.loads(theirs)["results"][0].get("series", [])
    other = [value for one in series for value in one["values"] if any(v is not None for v in value[1:])]
    if len(found) != len(other):
        note(f"{name}: {len(found)} rows here, {len(other)} there")


def _load(running: Running, world: World, peer: int | None) -> None:
    """The same lines to both; returns when all of ours have crossed to the lake."""
    lines = world.hosts * world.days * 86_400 // STEP_S
    sides = [http.client.HTTPConnection("127.0.0.1", port) for port in (running.port, peer) if port is not None]
    for block in tsbs.blocks(hosts=world.hosts, lines=lines, block=BLOCK_LINES):
        for side in sides:
            side.request("POST", "/write?db=x", body=block)
            answer = side.getresponse()
            answer.read()
            assert answer.status == 204, answer.status
    wait_for(lambda: not running.query("SELECT hot_rows FROM _streams WHERE name = 'cpu'")[0]["hot_rows"], what="the roll")


def _span(rng: random.Random, world: World, hours: int) -> tuple[int, int]:
    low = rng.randrange(START_US, world.end_us - hours * HOUR_US) // US_PER_S * US_PER_S
    return low, low + hours * HOUR_US


def _ours(us: int) -> str:
    return f"make_timestamp({us})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    show(rows(hosts=given.hosts, days=given.days, only=given.only))


if __name__ == "__main__":
    main()
