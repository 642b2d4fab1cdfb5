"""Single-line messages by UDP and TCP: sent, received, dropped, and what each costs the receiver.

python -m tests.bench.sockets [udp|tcp|both] [--rate 15000] [--seconds 10] [--connections 4] [--door null|real]

Senders run in a process of their own and keep the schedule; ``--rate 0`` sends as fast as it goes. Beside the figures stands the
limit that they are measured against: 15,000 messages a second without loss.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from appliance.box import Box
from appliance.clock import SystemClock
from appliance.config import Config, LineProtocolSource
from appliance.observe.status import SourceStatus
from appliance.records import Receipt, Submission
from appliance.sources.line_protocol import LineProtocolListener
from tests.bench import tsbs
from tests.bench.report import Row, note

GOAL_PER_S = 15_000
TICK_S = 0.001


class NullDoor:
    """Takes everything and keeps nothing."""

    is_behind = False

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:  # noqa: ARG002 - as the door's
        return Receipt(submission.rows, submission.rejects)


def serve(pipe: Connection, kind: str) -> None:
    """The receiver's process: says its ports, then, when asked, CPU seconds and its status."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(data_dir=Path(folder) / "data")
        box = Box(config)
        box.start()
        door = NullDoor() if kind == "null" else box.door
        listener = LineProtocolListener(
            LineProtocolSource(udp="127.0.0.1:0", tcp="127.0.0.1:0"), door=door, clock=SystemClock(), limits=config.limits
        )
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)  # noqa: TID251 - the loop of a bench
        thread.start()
        asyncio.run_coroutine_threadsafe(_start(listener), loop).result()
        pipe.send(listener.ports)
        while pipe.recv():
            used = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send((used.ru_utime + used.ru_stime, listener.status()))
        listener.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        box.close()


async def _start(listener: LineProtocolListener) -> None:
    listener.start()


def send(kind: str, port: int, *, count: int, rate: float, connections: int) -> float:
    """Sends ``count`` lines, one a message, and returns the seconds it took."""
    lines = [line.encode() + b"\n" for line in tsbs.lines(hosts=1_000, steps=-(-count // 1_000))][:count]
    family = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    sockets = [socket.socket(socket.AF_INET, family) for _ in range(1 if kind == "udp" else connections)]
    for sock in sockets:
        sock.connect(("127.0.0.1", port))
        if kind == "tcp":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    senders: list[Callable[[bytes], object]] = [sock.send if kind == "udp" else sock.sendall for sock in sockets]
    started = time.perf_counter()
    for number, line in enumerate(lines):
        senders[number % len(senders)](line)
        if rate and number % 16 == 0:
            ahead_s = number / rate - (time.perf_counter() - started)
            if ahead_s > TICK_S:
                threading.Event().wait(ahead_s)
    seconds = time.perf_counter() - started
    for sock in sockets:
        sock.close()
    return seconds


def rows() -> Iterator[Row]:
    """15,000 single-line messages a second by UDP and by TCP, into the real door."""
    given = argparse.Namespace(rate=float(GOAL_PER_S), seconds=10.0, connections=4, door="real")
    for kind in ("udp", "tcp"):
        count, seconds, received, dropped = run(kind, given)
        lost = count - received
        figure = f"{count / seconds:,.0f}/s sent, {received:,} in, {dropped} counted as dropped"
        yield Row(
            f"single-line {kind.upper()} messages",
            figure,
            f">= {GOAL_PER_S:,}/s without loss",
            lost == 0 and count / seconds >= GOAL_PER_S * 0.99,
        )


def run(kind: str, given: argparse.Namespace) -> tuple[int, float, int, int]:
    """Messages sent, seconds that it took, received, dropped and counted."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, given.door))
    process.start()
    port = ours.recv()[kind]
    send(kind, port, count=1_000, rate=5_000, connections=given.connections)
    _, at_start = _settled(ours, 1_000)
    ours.send(True)
    cpu_before, _ = ours.recv()
    count = int((given.rate or 50_000) * given.seconds)
    seconds = send(kind, port, count=count, rate=given.rate, connections=given.connections)
    cpu, status = _settled(ours, at_start.records + at_start.dropped + count)
    received, dropped = status.records - at_start.records, status.dropped - at_start.dropped
    cpu_us = (cpu - cpu_before) * 1e6 / max(received, 1)
    note(
        f"{kind} door={given.door} sent={count} sent_per_s={count / seconds:.0f} received={received} dropped={dropped}"
        f" unaccounted={count - received - dropped} cpu_us_per_message={cpu_us:.1f} goal_per_s={GOAL_PER_S}"
    )
    note(status.detail)
    ours.send(False)
    process.join()
    return count, seconds, received, dropped


def _settled(pipe: Connection, expected: int) -> tuple[float, SourceStatus]:
    """CPU and status once everything is accounted for, or nothing has changed for two seconds."""
    last, since = -1, time.perf_counter()
    while True:
        pipe.send(True)
        cpu, status = pipe.recv()
        known = status.records + status.dropped + status.rejected
        if known >= expected or time.perf_counter() - since > 2.0:
            return cpu, status
        if known != last:
            last, since = known, time.perf_counter()
        threading.Event().wait(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.sockets")
    parser.add_argument("kind", choices=("udp", "tcp", "both"), nargs="?", default="both")
    parser.add_argument("--rate", type=float, default=float(GOAL_PER_S))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--door", choices=("null", "real"), default="real")
    given = parser.parse_args()
    for kind in ("udp", "tcp") if given.kind == "both" else (given.kind,):
        run(kind, given)


if __name__ == "__main__":
    main()
