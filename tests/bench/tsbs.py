"""Lines of the shape of the Time Series Benchmark Suite's "cpu-only" case: 10 tags, 10 integer fields, about 329 bytes a line.

One line per host per 10 s, each field a random walk between 0 and 100. The same arguments give the same bytes.

    python -m tests.bench.tsbs HOSTS STEPS [--seed N] [--block N] [--out DIR]

Without ``--out`` the lines go to stdout; with it to DIR/00000.lp, DIR/00001.lp, …, a block each.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np

START_NS = 1_451_606_400 * 10**9
"""2016-01-01."""
STEP_NS = 10 * 10**9
FIELDS = ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
_ZONES = {
    "us-east-1": "abe",
    "us-west-1": "ab",
    "us-west-2": "abc",
    "eu-west-1": "abc",
    "eu-central-1": "ab",
    "ap-southeast-1": "ab",
    "ap-southeast-2": "ab",
    "ap-northeast-1": "ac",
    "sa-east-1": "abc",
}
_SYSTEMS = ("Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10")


def blocks(*, hosts: int, lines: int, block: int = 5_000, seed: int = 1) -> Iterator[bytes]:
    """The first ``lines`` lines of ``hosts`` in the order of time, ``block`` lines at a time (the last may be shorter)."""
    endless = _lines(hosts, seed)
    for start in range(0, lines, block):
        yield b"".join(islice(endless, min(block, lines - start)))


def bodies(*, lines_total: int, lines_each: int, hosts: int = 100, seed: int = 1) -> list[bytes]:
    """The same as request bodies, all made before any is sent."""
    return list(blocks(hosts=hosts, lines=lines_total, block=lines_each, seed=seed))


def lines(hosts: int, steps: int, seed: int = 1) -> Iterator[str]:
    """The lines of ``hosts`` over ``steps`` times, one by one, without their newlines."""
    return (line.decode().rstrip("\n") for line in islice(_lines(hosts, seed), hosts * steps))


def _lines(hosts: int, seed: int) -> Iterator[bytes]:
    """Line after line, without end."""
    heads = _heads(hosts, random.Random(seed))
    cells = [[b"usage_%b=%di" % (field.encode(), value) for value in range(101)] for field in FIELDS]
    normal = np.random.default_rng(seed)
    state = normal.uniform(0, 100, (hosts, len(FIELDS)))
    for step in count():
        state = np.clip(state + normal.normal(0, 1, state.shape), 0, 100)
        tail = b" %d\n" % (START_NS + step * STEP_NS)
        for head, numbers in zip(heads, state.astype(int).tolist(), strict=True):
            yield head + b",".join([texts[number] for texts, number in zip(cells, numbers, strict=True)]) + tail


def _heads(hosts: int, choose: random.Random) -> list[bytes]:
    """Measurement and tags of each host, with the space after them."""
    heads = []
    for host in range(hosts):
        region = choose.choice(sorted(_ZONES))
        tags = {
            "hostname": f"host_{host}",
            "region": region,
            "datacenter": region + choose.choice(_ZONES[region]),
            "rack": choose.randrange(100),
            "os": choose.choice(_SYSTEMS),
            "arch": choose.choice(("x64", "x86")),
            "team": choose.choice(("SF", "NYC", "LON", "CHI")),
            "service": choose.randrange(20),
            "service_version": choose.randrange(2),
            "service_environment": choose.choice(("production", "staging", "test")),
        }
        heads.append(("cpu," + ",".join(f"{key}={value}" for key, value in tags.items()) + " ").encode())
    return heads


def main(arguments: list[str] | None = None) -> None:
    """The command above."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.tsbs", description="Lines as of the Time Series Benchmark Suite, cpu-only."
    )
    parser.add_argument("hosts", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--block", type=int, default=5_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
    for number, block in enumerate(blocks(hosts=given.hosts, lines=given.hosts * given.steps, block=given.block, seed=given.seed)):
        if given.out:
            (given.out / f"{number:05d}.lp").write_bytes(block)
        else:
            sys.stdout.buffer.write(block)


if __name__ == "__main__":
    main()
