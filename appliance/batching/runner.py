"""What a run asks for, done in processes of the lowest priority and within the limits of the run: queries and programs.

Belongs to the event loop. Results never pass through the service: a worker writes them into its own folder, and they are taken over
by name. Processes are shared by runs with the same limits and end when nobody has needed them for a while.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.batching.program import Program
from appliance.batching.work import Limits
from appliance.clock import Clock
from appliance.errors import ApplianceError, QueryCancelled, QueryRefused
from appliance.observe.processes import Processes as Started
from appliance.options import QueryOptions
from appliance.records import EVERYTHING, TimeRange
from appliance.serving.handed import Handed
from appliance.serving.pool import TEMP, Manner
from appliance.serving.queries import Queries
from appliance.serving.question import Question
from appliance.serving.source import Store
from appliance.serving.usage import Usage

IDLE_S: Final = 20.0
"""A process that has had nothing to do for so long is ended."""
TABLE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A result that is handed over as a table: larger ones are for files."""
LOOK_EVERY_S: Final = 0.5
"""How often a query is asked how far it is."""
Tell = Callable[[float | None, str], None]


class Processes:
    """The query processes of batch work, by limits. Made once a service."""

    def __init__(self, *, data_dir: Path, clock: Clock, store: Store, jobs_max: int, started: Started | None = None) -> None:
        """The pool of the service's other queries has been made: it empties the folder of what is temporary. ``started`` is told of each
        process; None: nobody is."""
        self.data_dir = data_dir
        self._clock = clock
        self._store = store
        self._jobs_max = jobs_max
        self.started = started or Started(clock)
        self._queries: dict[Limits, Queries] = {}
        self._numbers = itertools.count(1)

    def queries(self, limits: Limits) -> Queries:
        """Those that run with these limits."""
        if limits not in self._queries:
            self._queries[limits] = Queries(
                data_dir=self.data_dir,
                options=QueryOptions(workers_max=self._jobs_max, memory_max=limits.memory_max, time_max_s=limits.time_max_s, idle_s=IDLE_S),
                clock=self._clock,
                store=self._store,
                processes=self.started,
                threads=limits.threads,
                manner=Manner(
                    f"batch{len(self._queries)}",
                    "batch",
                    is_batch=limits.gives_way,
                    path="cold" if limits.gives_way else "hybrid",
                    temp_bytes_max=limits.disk_bytes_max,
                ),
            )
        return self._queries[limits]

    def next_number(self) -> int:
        """Tells queries and files of this service apart."""
        return next(self._numbers)

    def leased(self) -> frozenset[str]:
        """Files (relative to the data folder) that running queries read: they must stay."""
        return frozenset[str]().union(*(queries.leased() for queries in list(self._queries.values())))

    def stood_s(self) -> float:
        """For how long batch work has been held still since the start, all together."""
        return self.started.stood_s("cold")

    def let_idle_go(self) -> None:
        """Ends the processes that wait for work."""
        for queries in self._queries.values():
            queries.let_idle_go()

    async def close(self) -> None:
        """Ends all queries and all processes."""
        await asyncio.gather(*(queries.close() for queries in self._queries.values()))


class LimitedRunner:
    """The ``Runner`` of one run."""

    def __init__(self, processes: Processes, limits: Limits, *, run_id: int, tell: Tell) -> None:
        """``tell`` hears how far a query is."""
        self._processes = processes
        self._limits = limits
        self._run_id = run_id
        self._tell = tell
        self._under_way: set[str] = set()
        self._programs: set[Program] = set()
        self._files: list[Path] = []
        self._stopped: ApplianceError | None = None
        self.usage = Usage()
        """What the run has used so far."""

    async def table(self, sql: str, *, span: TimeRange = EVERYTHING, rows_max: int = 100_000) -> pa.Table:
        """A small result. Raises ``QueryRefused`` for wrong SQL, or more rows or bytes; ``QueryCancelled``."""
        question = self._question(sql, "arrow", span)
        body = bytearray()
        try:
            result = await self._queries.run(question, on_usage=self._used)
            try:
                async for piece in result:
                    body += piece
                    if len(body) > TABLE_BYTES_MAX:
                        raise QueryRefused(f"the result is larger than {TABLE_BYTES_MAX >> 20} MiB: ask for less at once")
            finally:
                await result.aclose()
        except QueryCancelled as e:
            raise self._stopped or e from None
        finally:
            self._under_way.discard(question.id)
        found = pa.ipc.open_stream(pa.py_buffer(bytes(body))).read_all()
        if found.num_rows > rows_max:
            raise QueryRefused(f"the result has {found.num_rows:,} rows, more than {rows_max:,}: ask for less at once")
        return found

    async def file(self, sql: str, *, format: str, span: TimeRange = EVERYTHING) -> Handed:
        """A result of any size as a file below ``tmp``. Raises like ``table``, and ``RetryLater`` where the disk is full."""
        question = self._question(sql, format, span)
        into = self._processes.data_dir / TEMP / f"result-{self._run_id}-{self._processes.next_number()}.{format}"
        self._files.append(into)
        watch = asyncio.get_running_loop().create_task(self._watch(question.id))
        try:
            result = await self._queries.run(question, into=into, on_usage=self._used)
            try:
                async for _ in result:
                    raise AssertionError("a result that goes to a file gives no pieces")
            finally:
                await result.aclose()
        except QueryCancelled as e:
            raise self._stopped or e from None
        finally:
            watch.cancel()
            self._under_way.discard(question.id)
        handed = result.handed
        assert handed is not None, "a result that has been read to its end is there"
        return handed

    async def program(self, command: Sequence[str], *, input: bytes = b"") -> bytes:
        """A program's output, at most 16 MiB; it runs in the data folder. Raises ``JobFailed`` with its last words."""
        if self._stopped is not None:
            raise self._stopped
        program = Program(command, folder=self._processes.data_dir, limits=self._limits, started=self._processes.started)
        self._programs.add(program)
        try:
            return await program.run(input)
        finally:
            self._programs.discard(program)
            self._used(program.usage)

    def stop(self, why: ApplianceError) -> None:
        """Ends what is under way, and refuses what comes; each raises ``why``."""
        self._stopped = self._stopped or why
        for query_id in self._under_way:
            self._queries.cancel(query_id)
        for program in self._programs:
            program.stop(self._stopped)

    def close(self) -> None:
        """Removes results that nobody has moved to their place."""
        for file in self._files:
            file.unlink(missing_ok=True)

    @property
    def _queries(self) -> Queries:
        return self._processes.queries(self._limits)

    def _question(self, sql: str, format_: str, span: TimeRange) -> Question:
        if self._stopped is not None:
            raise self._stopped
        question = Question(
            sql=sql,
            id=f"run-{self._run_id}-{self._processes.next_number()}",
            since_us=span.since,
            until_us=span.until,
            format=format_,
        )
        self._under_way.add(question.id)
        return question

    def _used(self, usage: Usage) -> None:
        self.usage += usage

    async def _watch(self, query_id: str) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            found = self._queries.progress(query_id)
            if found is not None and found.state == "running":
                self._tell(found.share, f"{found.rows:,} rows" if found.rows else "reading")
