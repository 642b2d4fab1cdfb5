"""The queries of a running service: each in a worker process, with its snapshot pinned here and its bytes handed on as they come.

Belongs to the event loop; pinning runs in a thread of the default executor. A query ends when its result has been read, when
it is cancelled, when its time is up, or when nobody reads it any more. Never here: DuckDB.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Final, assert_never

import msgspec

from appliance.clock import Clock
from appliance.config import QueryOptions
from appliance.errors import ApplianceError, QueryCancelled, QueryRefused
from appliance.observe.processes import Processes
from appliance.serving.explain import Part
from appliance.serving.guesses import Guesses
from appliance.serving.handed import take_over
from appliance.serving.pool import Manner, Pool, WorkerGone, WorkerProcess
from appliance.serving.protocol import (
    Ask,
    Cancel,
    Damaged,
    DamagedView,
    Data,
    Done,
    Failed,
    Found,
    Lookup,
    Pin,
    Pinned,
    Progress,
    Ready,
    Refused,
    Started,
    error_of,
    kind_of,
)
from appliance.serving.question import Question
from appliance.serving.result import Result
from appliance.serving.running import Basis, QueryStatus, RunningQuery
from appliance.serving.snapshot import Snapshot
from appliance.serving.source import StateSource, Store
from appliance.serving.transfer import given, pack
from appliance.serving.usage import Usage
from appliance.units import show_duration

log = logging.getLogger(__name__)
KILL_AFTER_S: Final = 1.0
"""A cancelled query whose process hasn't stopped by then loses its process."""
FINISHED_MAX: Final = 64
"""Queries whose end can still be looked up."""
SQL_SHOWN: Final = 500


class Queries:
    """What HTTP asks. ``leased`` names the segments that running queries read: their files must stay."""

    def __init__(
        self,
        *,
        data_dir: Path,
        options: QueryOptions,
        clock: Clock,
        store: Store,
        processes: Processes | None = None,
        threads: int | None = None,
        manner: Manner | None = None,
        on_end: Callable[[RunningQuery, float], None] = lambda _query, _elapsed_ms: None,
    ) -> None:
        """``processes`` is told of each that is started. ``threads`` of each query; None: one a core, since they give way. ``manner``:
        None for those that people wait for. ``on_end`` is told each query that has ended, however, and how long it took in ms, at once."""
        self._options = options
        self._clock = clock
        self._store = store
        started, threads = processes or Processes(clock), threads or len(os.sched_getaffinity(0))
        self._pool = Pool(data_dir=data_dir, options=options, threads=threads, processes=started, manner=manner)
        self.let_idle_go = self._pool.let_idle_go
        self._section = "query" if manner is None else manner.section
        self._guesses = Guesses()
        self._running: dict[str, RunningQuery] = {}
        self._finished: OrderedDict[str, QueryStatus] = OrderedDict()
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, question: Question, *, into: Path | None = None, on_usage: Callable[[Usage], None] | None = None) -> Result:
        """The answer in pieces, once its first rows are there. Leaving the iterator early (``aclose``) cancels the query.

        ``into`` takes the result as a file in place of pieces: read to its end the iterator gives nothing, and ``handed`` is there.
        ``on_usage`` is told once what the query has used.
        Raises ``QueryRefused`` for what is wrong with the SQL, ``QueryCancelled``, or ``RetryLater`` when too many queries wait.
        """
        if question.id in self._running:
            raise QueryRefused(f"a query with the id {question.id} is running")
        query = RunningQuery(question, self._source(question), self._clock.monotonic_ns(), into=into, on_usage=on_usage)
        self._running[question.id] = query
        self._finished.pop(question.id, None)
        try:
            await self._start(query)
        except BaseException as e:
            self._failed(query, e)
            raise
        return Result(self, query)

    def progress(self, query_id: str) -> QueryStatus | None:
        """How far a query is, or how it ended; None for one that is not known (any more)."""
        query = self._running.get(query_id)
        return self._finished.get(query_id) if query is None else self._status(query)

    def running(self) -> tuple[QueryStatus, ...]:
        """Those that are under way or wait."""
        return tuple(self._status(query) for query in self._running.values())

    def cancel(self, query_id: str, why: str = "the query was cancelled") -> bool:
        """Whether there was such a query; it ends soon."""
        query = self._running.get(query_id)
        if query is not None:
            self._cancel(query, why)
        return query is not None

    def leased(self) -> frozenset[str]:
        """Paths (relative to the data folder) of segments that must not be removed now."""
        return frozenset[str]().union(*(query.files for query in self._running.values()))

    async def close(self) -> None:
        """Cancels all queries and ends all processes."""
        for query in list(self._running.values()):
            self._cancel(query, "the appliance is stopping")
            self._end(query)
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()

    async def _start(self, query: RunningQuery) -> None:
        """Up to the first rows."""
        message: Started | Data | Done | None = None
        while message is None:
            worker = await self._pool.acquire()
            if query.cancelled is not None:
                self._pool.release(worker, worn=False)
                raise QueryCancelled(query.cancelled)
            query.worker, query.heard = worker, False
            query.waited_ms = (self._clock.monotonic_ns() - query.start_ns) / 1e6
            query.state, query.stood_s = "running", self._pool.stood_s()
            query.timers.append(asyncio.get_running_loop().call_later(self._options.time_max_s, self._time_is_up, query))
            query.source = self._source(query.question)  # the newest state: it may have waited for long
            try:
                message = await self._next(query, self._ask(query, worker))
            except WorkerGone:  # while it was idle: the question has not reached it
                query.worker = None
                self._pool.release(worker, worn=True)
        assert isinstance(message, Started), "a result starts with Started"
        query.first_ms = (self._clock.monotonic_ns() - query.start_ns) / 1e6
        query.notes = message.notes
        while not query.clean and query.worker is not None and query.worker.has_message:
            piece = await self._piece(query)
            if piece is not None:
                query.pieces.append(piece)

    def _source(self, question: Question) -> StateSource:
        """Parts of answers are for people's questions, which may be answered a little differently in the last bits of floats."""
        return StateSource(self._store, with_parts=question.cache and not question.workload)

    def _ask(self, query: RunningQuery, worker: WorkerProcess) -> Ask:
        """The question with all that can be said beforehand."""
        query.now_us = self._clock.now_us() if query.question.now_us is None else query.question.now_us
        wanted = self._guesses.wanted(query.question, now_us=query.now_us)
        snapshot = None if wanted is None else query.source.pin_at_once(wanted)
        query.guessed = snapshot is not None
        known = query.source.seen(query.question.sql)
        message = None
        if wanted is not None and snapshot is not None:
            self._note_pinned(query, snapshot, Pin(wanted, ()))
            message = given(wanted, snapshot, worker.held)  # the last step: from here on the worker is taken to have these rows
        return Ask(query.question, query.now_us, "" if query.into is None else "result", known, message)

    async def piece(self, query: RunningQuery) -> bytes | None:
        """The next bytes of a running query; None at its end."""
        if query.pieces:
            return query.pieces.pop(0)
        if query.clean:
            return None
        try:
            return await self._piece(query)
        except BaseException as e:
            self._failed(query, e)
            raise

    async def _piece(self, query: RunningQuery) -> bytes | None:
        message = await self._next(query)
        if isinstance(message, Data):
            query.bytes_sent += len(message.piece)
            return message.piece
        assert isinstance(message, Done), "a result ends with Done"
        query.explain = message.explain.with_part(Part("worker", query.waited_ms))
        query.notes, query.rows = message.explain.notes, message.explain.rows
        query.basis = replace(query.basis or Basis(query.source.state), names=message.names, varies=message.varies)
        if query.guessed:
            self._guesses.confirm(query.question)
        if query.into is not None and query.worker is not None:
            query.handed = take_over(
                query.worker.temp / "result",
                query.into,
                rows=query.rows,
                schema=message.schema,
                read=query.read,
                version=query.version,
                notes=query.notes,
                now_us=query.now_us,
            )
        query.state = "done"
        self._end(query)
        return msgspec.json.encode(query.explain) if query.question.explain else None

    async def _next(self, query: RunningQuery, ask: Ask | None = None) -> Started | Data | Done:
        """The next message that is about the result; what the worker asks for meanwhile is given to it.

        Raises ``WorkerGone`` only where a worker that had been idle never said a word about this query.
        """
        assert query.worker is not None
        try:
            if ask is not None:
                await query.worker.send(ask)
            return await self._converse(query, query.worker)
        except WorkerGone as e:
            if query.worker.is_warm and not query.heard and query.cancelled is None:
                raise
            raise self._gone(query, e) from e

    async def _converse(self, query: RunningQuery, worker: WorkerProcess) -> Started | Data | Done:
        while True:
            message = await worker.receive()
            query.heard = True
            match message:
                case Lookup() | Pin():
                    await self._give(query, worker, message)
                case Damaged():
                    await asyncio.to_thread(query.source.damaged, message.segment, message.reason)
                case DamagedView():
                    await asyncio.to_thread(query.source.damaged_view, message.path)
                case Progress():
                    query.share, query.rows = message.share, message.rows
                case Failed():
                    query.clean, query.worn = True, message.worn
                    query.used = worker.used(message.used)
                    error = error_of(message.kind, message.text)
                    raise QueryCancelled(query.cancelled) if query.cancelled is not None else error
                case Done():
                    query.clean, query.worn = True, message.worn
                    query.used = worker.used(message.used)
                    return message
                case Started() | Data():
                    self._check(query)
                    return message
                case Ready():
                    raise AssertionError("a worker is ready once")
                case _:
                    assert_never(message)

    async def _give(self, query: RunningQuery, worker: WorkerProcess, request: Lookup | Pin) -> None:
        """Answers a worker's question, or refuses it, which ends the query from that side."""
        try:
            if isinstance(request, Lookup):
                tables = await asyncio.to_thread(query.source.lookup, request.names)
                await worker.send(Found(tuple(tables)))
                return
            snapshot, descriptor, size = await asyncio.to_thread(_pinned, query.source, request)
        except ApplianceError as e:
            await worker.send(Refused(kind_of(e), str(e)))
            return
        if not request.tables and not request.views and not query.pinned:
            self._guesses.learn(query.question, request.wanted, now_us=query.now_us)
        if not query.pinned:
            query.read.clear()  # of a guess that was not what it wants
        query.guessed, query.pinned = False, True
        try:
            self._note_pinned(query, snapshot, request)
            await worker.send(Pinned(size), descriptor=descriptor)
        finally:
            os.close(descriptor)

    def _note_pinned(self, query: RunningQuery, snapshot: Snapshot, request: Pin) -> None:
        query.basis = Basis(
            query.source.state, request.wanted, tuple((v, snapshot.views[v.view, v.version]) for v in request.views), request.tables
        )
        query.files = snapshot.paths
        behind_views = {pin.stream for pin in snapshot.views.values()}  # also where their files alone answer
        query.read |= {name: query.source.last_seq(name) for name in {*snapshot.streams, *behind_views}}
        query.version = query.source.version

    def _check(self, query: RunningQuery) -> None:
        if query.cancelled is not None:
            raise QueryCancelled(query.cancelled)

    def _time_is_up(self, query: RunningQuery) -> None:
        before, query.stood_s = query.stood_s, self._pool.stood_s()
        if query.stood_s > before:
            query.timers.append(asyncio.get_running_loop().call_later(query.stood_s - before, self._time_is_up, query))
            return
        self._cancel(query, f"the query took longer than it may ({show_duration(self._options.time_max_s)}, [{self._section}] time_max)")

    def _cancel(self, query: RunningQuery, why: str) -> None:
        """Asks the worker to stop, and kills it when it doesn't."""
        if query.cancelled is not None or query.clean:
            return
        query.cancelled = why
        if query.worker is not None:
            self._spawn(self._ask_to_stop(query.worker, query.question.id))
            query.timers.append(asyncio.get_running_loop().call_later(KILL_AFTER_S, query.worker.kill))

    async def _ask_to_stop(self, worker: WorkerProcess, query_id: str) -> None:
        try:
            await worker.send(Cancel(query_id))
        except WorkerGone as e:
            log.debug("a cancelled query had ended already: %s", e)

    def _gone(self, query: RunningQuery, error: WorkerGone) -> ApplianceError:
        """What the end of its process means for a query."""
        if query.cancelled is not None:
            return QueryCancelled(query.cancelled)
        log.warning("query %s: %s", query.question.id, error)
        limit = self._options.memory_max >> 20
        return QueryRefused(f"{error}; most likely it needed more memory than it may have ({limit} MiB, [{self._section}] memory_max)")

    def _failed(self, query: RunningQuery, error: BaseException) -> None:
        if isinstance(error, ApplianceError):
            query.error = str(error)
        self._end(query)

    def _end(self, query: RunningQuery) -> None:
        """Gives worker and leases back; a worker that has not said its last word is ended with its query."""
        if self._running.pop(query.question.id, None) is None:
            return
        for timer in query.timers:
            timer.cancel()
        if query.state != "done":
            query.state = "cancelled" if query.cancelled is not None or not query.clean else "failed"
        if query.worker is not None:
            if query.used is None:
                query.used = query.worker.used(None)
            query.used = replace(query.used, rows=0 if query.explain is None else query.explain.records)
            if query.on_usage is not None:
                query.on_usage(query.used)
            if not query.clean:
                query.worker.kill()
            self._pool.release(query.worker, worn=query.worn or not query.clean)
        self._on_end(query, (self._clock.monotonic_ns() - query.start_ns) / 1e6)
        self._finished[query.question.id] = self._status(query)
        while len(self._finished) > FINISHED_MAX:
            self._finished.popitem(last=False)

    def leave(self, query: RunningQuery) -> None:
        """Nobody reads the result any more."""
        self._end(query)

    def _status(self, query: RunningQuery) -> QueryStatus:
        return QueryStatus(
            id=query.question.id,
            sql=query.question.sql[:SQL_SHOWN],
            state=query.state,
            share=query.share,
            rows=query.rows,
            bytes_sent=query.bytes_sent,
            elapsed_ms=(self._clock.monotonic_ns() - query.start_ns) / 1e6,
            notes=query.notes,
            error=query.cancelled or query.error,
            explain=query.explain,
        )

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _pinned(source: StateSource, request: Pin) -> tuple[Snapshot, int, int]:
    """A snapshot, and the descriptor and size of the memory file that holds it."""
    snapshot = source.pin(request.wanted, request.tables, request.views)
    descriptor, size = pack(snapshot)
    return snapshot, descriptor, size
