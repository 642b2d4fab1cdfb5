"""What reading line protocol costs, by line: like lines, mixed shapes, single lines, and two threads at once.

    python -m tests.bench.lp_codec

The peer in the same run is the exact route, which goes line by line. The limit is what blocks of 20 columns took by way of PyArrow's
CSV reader: 5 to 7 µs a line.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from appliance.sources.codecs.line_protocol import Parsed, Precision, parse, parse_exact
from tests.bench import tsbs
from tests.bench.report import Row, show

ROUNDS = 15
LINES = 5_000
LIMIT_US = 7.0


def fields(kind: str, names: str) -> dict[str, str]:
    """Each of ``names`` with its type."""
    return dict.fromkeys(names.split(), kind)


SHAPES: Sequence[tuple[str, int, str, dict[str, str]]] = (
    ("cpu", 5, "cpu=cpu{}", fields("f", "guest guest_nice idle iowait irq nice softirq steal system user")),
    (
        "mem",
        1,
        "",
        fields("i", "active available buffered cached commit_limit free inactive mapped shared slab total used")
        | fields("f", "used_percent"),
    ),
    (
        "disk",
        3,
        "device=sda{},fstype=ext4,mode=rw,path=/mnt/{}",
        fields("i", "free inodes_free inodes_total inodes_used used") | fields("f", "used_percent"),
    ),
    (
        "diskio",
        3,
        "name=sda{}",
        fields("i", "io_time iops_in_progress read_bytes read_time reads weighted_io_time write_bytes write_time writes"),
    ),
    ("net", 3, "interface=eth{}", fields("i", "bytes_recv bytes_sent drop_in drop_out err_in err_out packets_recv packets_sent")),
    ("kernel", 1, "", fields("i", "boot_time context_switches entropy_avail interrupts processes_forked")),
    ("processes", 1, "", fields("i", "blocked dead idle paging running sleeping stopped total total_threads unknown zombies")),
    ("swap", 1, "", fields("i", "free total used") | fields("f", "used_percent")),
    ("system", 1, "", fields("f", "load1 load15 load5") | fields("i", "n_cpus n_users")),
    ("system", 1, "", fields("i", "uptime") | fields("s", "uptime_format")),
    ("temp", 2, "sensor=coretemp_core_{}", fields("f", "temp")),
    ("service", 2, "unit=app{}.service", fields("b", "active") | fields("i", "restarts") | fields("s", "note")),
)
"""Measurement, instances, tags, fields with their types: what an agent on a machine sends."""


def mixed(count: int, seed: int = 1) -> bytes:
    """``count`` lines as an agent sends them: each next line another measurement, 12 shapes over and over."""
    rng = random.Random(seed)
    values: dict[str, Callable[[], str]] = {
        "f": lambda: repr(rng.uniform(0, 100)),
        "i": lambda: f"{rng.randrange(10 ** rng.randrange(1, 12))}i",
        "s": lambda: '"up 12 days,  3:04"',
        "b": lambda: rng.choice(("true", "false")),
    }
    out: list[str] = []
    step = 0
    while len(out) < count:
        step += 1
        for name, instances, tags, kinds in SHAPES:
            for instance in range(instances):
                own = "," + tags.format(instance, instance) if tags else ""
                cells = ",".join(f"{key}={values[kind]()}" for key, kind in kinds.items())
                out.append(f"{name},host=gateway-7{own} {cells} {1_700_000_000_000_000_000 + step * 10**10}")
    return ("\n".join(out[:count]) + "\n").encode()


def best_us(work: Callable[[], object], lines: int, clock: Callable[[], float] = time.thread_time) -> float:
    """The best of some rounds, in µs a line; of this thread's processor time unless told otherwise, because the machine is shared."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = clock()
        work()
        best = min(best, clock() - started)
    return best / lines * 1e6


def read(body: bytes, reader: Callable[..., Parsed] = parse) -> Parsed:
    """One body as the sources read it."""
    return reader(body, precision=Precision.NS, now_us=0)


def rows() -> Iterator[Row]:
    """A row for each case."""
    plain, agent = next(tsbs.blocks(hosts=1_000, lines=LINES)), mixed(LINES)
    peers = {"TSBS": best_us(partial(read, plain, parse_exact), LINES), "mixed": best_us(partial(read, agent, parse_exact), LINES)}
    cases = (
        ("TSBS", f"TSBS lines, {LINES:,} at once", plain, LINES),
        ("TSBS", "TSBS lines, 100 at once", next(tsbs.blocks(hosts=100, lines=100)), 100),
        ("mixed", f"an agent's lines of {len(SHAPES)} shapes, {LINES:,} at once", agent, LINES),
        ("mixed", f"an agent's lines of {len(SHAPES)} shapes, 1,000 at once", mixed(1_000), 1_000),
    )
    for kind, what, body, lines in cases:
        cost = best_us(partial(read, body), lines)
        asked = f"<= {LIMIT_US:.0f} µs; line by line {peers[kind]:.1f} µs"
        yield Row(f"line protocol: {what}", f"{cost:.2f} µs/line", asked, cost <= LIMIT_US if body is plain else None)
    for what, body in (
        ("one TSBS line", next(tsbs.blocks(hosts=1, lines=1))),
        ("one small line", b"room,sensor=a temperature=21.5 1700000000000000000\n"),
    ):
        yield Row(f"line protocol: {what}", f"{best_us(partial(many, body, 500), 500):.0f} µs", "no limit", None)
    with ThreadPoolExecutor(2) as pool:
        one, two = (best_us(partial(in_threads, pool, plain, number), LINES * 8 * number, time.perf_counter) for number in (1, 2))
    yield Row("line protocol: TSBS lines on two threads at once", f"{two:.2f} µs/line over both", f"one thread {one:.2f} µs", None)


def many(body: bytes, times: int) -> None:
    """The same body again and again, as a sender of single lines makes it."""
    for _ in range(times):
        read(body)


def in_threads(pool: ThreadPoolExecutor, body: bytes, number: int) -> None:
    """Eight bodies on each of ``number`` threads."""
    for done in [pool.submit(many, body, 8) for _ in range(number)]:
        done.result()


if __name__ == "__main__":
    show(rows())
