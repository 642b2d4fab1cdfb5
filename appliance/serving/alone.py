"""Answers a question from the folder alone, in the calling process: what the command line does where no service runs.

The process is caged like a worker (address space), so it should be one that ends soon. The engine runs in a thread, so that
the caller's can watch the clock and the keyboard.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from appliance.clock import Clock
from appliance.hot.store import FILE_NAME
from appliance.manifest import Segment
from appliance.serving.explain import Explain, Part
from appliance.serving.limits import AddressSpace, without_unused
from appliance.serving.question import Question

TICK_S: Final = 0.25
UNPACKED: Final = 16
"""How many times larger hot rows are in memory than in the file, at most."""
STOP_MAX_S: Final = 1.0
"""Time in which an interrupted query has to end; after it the process can only be ended."""


class NotStopped(Exception):
    """An interrupted query goes on: the process has to end to end it."""


def answer_alone(
    question: Question,
    *,
    folder: Path,
    memory_max: int,
    threads: int,
    clock: Clock,
    write: Callable[[bytes], None],
    on_tick: Callable[[float | None], None],
) -> Explain:
    """Writes the result of ``question`` over ``folder`` and returns how it was answered.

    ``on_tick`` is told several times a second what part of the work is done (None: not known). A KeyboardInterrupt ends the
    query. Raises ``QueryRefused``, ``StoreDamaged``, ``StoreTooNew``, ``UsageRefused``; ``NotStopped`` instead of a
    KeyboardInterrupt where the query doesn't end.
    """
    without_unused()
    import pyarrow as pa

    from appliance.serving.engine import Engine
    from appliance.serving.folder import HOT_BYTES_MAX, folder_source
    from appliance.serving.formats import open_database
    from appliance.serving.writing import write_answer

    pa.set_memory_pool(pa.system_memory_pool())
    start_ns = clock.monotonic_ns()
    with ExitStack() as stack:
        temp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appliance-query-")))
        source = stack.enter_context(folder_source(folder, on_damaged=_only_noted))
        database = stack.enter_context(open_database())
        room = shutil.disk_usage(temp).free // 2
        engine = Engine(root=folder, temp=temp, temp_bytes_max=room, memory_max=memory_max, threads=threads, clock=clock)
        stack.callback(engine.close)
        engine.warm()
        AddressSpace(memory_max=memory_max).allow(extra_bytes=min(HOT_BYTES_MAX, _unpacked_bytes(folder)))
        started_ms = (clock.monotonic_ns() - start_ns) / 1e6

        def run() -> Explain:
            with engine.answer(question, source, now_us=clock.now_us()) as answer:
                return write_answer(answer, question, write, database)

        explain = _watched(run, engine.interrupt, engine.progress, on_tick)
    return explain.with_part(Part("start", started_ms))


def _watched(
    run: Callable[[], Explain], interrupt: Callable[[], None], progress: Callable[[], float | None], on_tick: Callable[[float | None], None]
) -> Explain:
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="query")
    future = pool.submit(run)
    try:
        while not wait([future], timeout=TICK_S).done:
            on_tick(progress())
        return future.result()
    except KeyboardInterrupt:
        _stop(future, interrupt)
        raise
    finally:
        pool.shutdown(wait=future.done(), cancel_futures=True)


def _stop(future: Future[Explain], interrupt: Callable[[], None]) -> None:
    for _ in range(round(STOP_MAX_S / TICK_S)):
        interrupt()
        if wait([future], timeout=TICK_S).done:
            return
    raise NotStopped


def _only_noted(segment: Segment, reason: str) -> None:
    """The folder is not changed; the answer's note says it."""


def _unpacked_bytes(folder: Path) -> int:
    """Room for hot rows, which are decoded in this very process."""
    files = (folder / FILE_NAME, folder / f"{FILE_NAME}-wal")
    return UNPACKED * sum(f.stat().st_size for f in files if f.is_file())
