"""A part of a pass as a process of its own: ``main`` reads an ``Order`` as JSON and prints a ``Report`` as JSON.

It opens the folder read-only, at one instant, beside the service that may write to it. What keeps it from looking is said in a line on
stderr, with status 1. DuckDB is loaded only by a check that asks something.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import pyarrow as pa

from appliance.clock import SystemClock
from appliance.errors import ApplianceError
from appliance.reconcile.engine import CHECKS
from appliance.reconcile.folder import pass_folder
from appliance.reconcile.order import Order, Report
from appliance.reconcile.passing import Pass
from appliance.tally import to_text

PAUSE_EACH_S: Final = 0.05
"""A throttled pass works for about so long between two pauses."""
QUERY_BYTES_MAX: Final = 192 << 20


def main() -> None:
    """See the module."""
    pa.set_memory_pool(pa.system_memory_pool())  # mimalloc would reserve a gigabyte of the address space at once
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        report = carry_out(order)
    except (ApplianceError, OSError) as e:
        sys.exit(str(e))
    sys.stdout.buffer.write(msgspec.json.encode(report))


def carry_out(order: Order) -> Report:
    """Raises as ``open_folder``."""
    folder = Path(order.data_dir)
    checks = [c for c in CHECKS if c.in_process and (c.by_file or c.by_part or not order.files_only)]
    with folder_query(folder) as query:
        done = pass_folder(
            folder,
            order.scope,
            now_us=order.now_us,
            checks=checks,
            since_us=order.since_us,
            only=None if order.paths is None else frozenset(order.paths),
            pause=Throttle(order.busy_share).pause,
            query=query,
        )
    return report_of(done)


def report_of(done: Pass) -> Report:
    """A pass as it is handed on."""
    seen, result = done.seen, done.result
    return Report(
        findings=result.findings,
        whole=tuple(sorted(result.whole)),
        by_file=tuple(sorted(result.by_file)),
        paths=tuple(sorted(result.paths)),
        right=tuple(seen.right),
        unknown=tuple((i, to_text(t)) for i, t in seen.unknown.items()),
        records=seen.records,
        segments=seen.segments,
        bytes=seen.bytes,
    )


class Throttle:
    """Waits so that only a share of the time is worked; any thread may call it."""

    def __init__(self, busy_share: float) -> None:
        self._share = busy_share
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._since_ns = self._clock.monotonic_ns()

    def pause(self, _bytes: int) -> None:
        """Called between two pieces of work."""
        if self._share >= 1.0:
            return
        with self._lock:
            busy_s = (self._clock.monotonic_ns() - self._since_ns) / 1e9
            if busy_s >= PAUSE_EACH_S:
                threading.Event().wait(busy_s * (1.0 - self._share) / self._share)
                self._since_ns = self._clock.monotonic_ns()


@contextmanager
def folder_query(folder: Path) -> Iterator[Callable[[str], pa.Table]]:
    """SQL over the folder, each question at an instant of its own. Raises what the engine raises."""
    engines: list[Any] = []

    with TemporaryDirectory(prefix="appliance-") as temp:

        def query(sql: str) -> pa.Table:
            from appliance.serving.engine import Engine
            from appliance.serving.folder import folder_source
            from appliance.serving.question import Question

            clock = SystemClock()
            if not engines:
                place = Path(temp)
                engines.append(Engine(root=folder, temp=place, temp_bytes_max=1 << 30, memory_max=QUERY_BYTES_MAX, threads=1, clock=clock))
            with (
                folder_source(folder, on_damaged=lambda _segment, _reason: None) as source,
                engines[0].answer(Question(sql=sql, id="reconcile"), source, now_us=clock.now_us()) as answer,
            ):
                return pa.Table.from_batches(list(answer.batches()), answer.schema)

        try:
            yield query
        finally:
            for engine in engines:
                engine.close()
