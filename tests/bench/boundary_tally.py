"""What keeping the tally costs: the service beside one that keeps none, in turn over the same lines, because the machine is shared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.bench.load_http import load
from tests.bench.report import Row, cpu_seconds, note
from tests.bench.service import LINES_BLOCK, pid_of
from tests.bench.tsbs import blocks
from tests.running import Running, wait_for

LINES = 100_000
TURNS = 15
AT_REST = "source = []\n"
NO_ROLL = '\n[roll]\nevery = "1h"\nrows_max = 100_000_000\n'
ROLLED = '\n[roll]\nevery = "300ms"\n[compact]\nfiles_max = 1_000\n'
KEPT, NONE = ("appliance", "run"), ("tests.bench.untallied",)
Turn = tuple[float, float]
"""Lines a second, and microseconds of the service's CPU for a line."""


def rows() -> Iterator[Row]:
    """Throughput of HTTP line protocol as the median over pairs of turns, and CPU over all; then CPU with the roll, until it is done."""
    kept, none = _turns(NO_ROLL, turns=TURNS)
    note(f"lines/s with and without, of each turn: {[f'{a[0]:,.0f} {b[0]:,.0f}' for a, b in zip(kept, none, strict=True)]}")
    cost = median(b[0] / a[0] - 1 for a, b in zip(kept, none, strict=True))
    figure = f"{cost * 100:+.1f} % ({median(t[0] for t in kept):,.0f} against {median(t[0] for t in none):,.0f}/s)"
    yield Row("keeping the tally at the door, HTTP line protocol, power-loss", figure, "<= 5 % of throughput", cost <= 0.05)
    yield _cpu("  CPU of the service for a record, door", kept, none)
    yield _cpu("  CPU of the service for a record, door and roll", *_turns(ROLLED, turns=TURNS // 2))


def _cpu(what: str, kept: list[Turn], none: list[Turn]) -> Row:
    one, other = (sum(cpu for _, cpu in turns) / len(turns) for turns in (kept, none))
    return Row(what, f"{one:.2f} us against {other:.2f}: {(one / other - 1) * 100:+.1f} %", "", None)


def _turns(config: str, *, turns: int) -> tuple[list[Turn], list[Turn]]:
    """With the tally and without, by turns over the same lines; whoever begins changes. The first pair warms up and doesn't count."""
    with _service(KEPT, config) as ours, _service(NONE, config) as other:
        found: dict[Running, list[Turn]] = {ours: [], other: []}
        for turn in range(turns + 1):
            bodies = list(blocks(hosts=100, lines=LINES, block=LINES_BLOCK, seed=turn))
            for running in (ours, other) if turn % 2 else (other, ours):
                found[running].append(_turn(running, bodies, is_rolled=config == ROLLED))
    return found[ours][1:], found[other][1:]


def _turn(running: Running, bodies: list[bytes], *, is_rolled: bool) -> Turn:
    before = cpu_seconds(pid_of(running))
    done = load(f"http://127.0.0.1:{running.port}/write?db=x", bodies, lines_each=LINES_BLOCK, connections=2)
    if is_rolled:
        wait_for(lambda: all(s["hot_rows"] == 0 for s in running.status()["streams"]), what="the roll")
    return done.per_s, (cpu_seconds(pid_of(running)) - before) / LINES * 1e6


@contextmanager
def _service(module: tuple[str, ...], config: str) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        running = Running(Path(folder) / "data", config=config, sources=AT_REST, module=module, fresh=True)
        try:
            yield running.start()
        finally:
            if running.process is not None and running.process.poll() is None:
                running.stop()
