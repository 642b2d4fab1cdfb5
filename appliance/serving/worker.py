"""The process in which SQL from outside runs: ``python -m appliance.serving.worker OPTIONS``, started by the service's pool.

It holds nothing but two empty databases, is caged before it opens them (address space, no writing but to its own temporary
folder, gone with its parent), and answers one question after another over its socket. Two threads: this one asks DuckDB;
the listener receives, interrupts and reports progress. The service ends it by closing the socket, or with SIGKILL.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.clock import SystemClock
from appliance.errors import ApplianceError, QueryCancelled
from appliance.manifest import Segment
from appliance.serving import limits
from appliance.serving.protocol import (
    Ask,
    Cancel,
    Channel,
    Damaged,
    DamagedView,
    Data,
    Done,
    Failed,
    Found,
    Lookup,
    Message,
    Pin,
    Pinned,
    Progress,
    Ready,
    Refused,
    Started,
    ToWorker,
    close_quietly,
    error_of,
    frame,
    kind_of,
)
from appliance.serving.snapshot import Snapshot, TableInfo, Wanted, WantedView
from appliance.serving.usage import own_usage

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
HELD_BYTES_MAX: Final = 64 * 1024
TICK_S: Final = 0.1
"""How often a running query is looked at: progress, and interrupt again while it is being cancelled."""


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the service tells a worker, as JSON on its command line."""

    descriptor: int
    """Of the socket."""
    parent_pid: int
    data_dir: str
    temp_dir: str
    """An existing folder of this worker alone."""
    temp_bytes_max: int
    memory_max: int
    threads: int
    is_batch: bool = False
    """Nobody waits for the answers."""
    log_level: int = logging.WARNING


def main(options: WorkerOptions) -> None:
    """Lives until the socket is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=options.log_level, format="%(levelname)s query worker: %(message)s", stream=sys.stderr)
    limits.die_with_parent(options.parent_pid)
    limits.go_first()
    limits.write_only_below([Path(options.temp_dir)])  # before any thread of DuckDB exists: a thread has the rights of its start
    limits.without_unused()
    if options.is_batch:
        limits.give_way()
    worker = Worker(options)
    (limits.give_way_wholly if options.is_batch else limits.give_way)()  # only now: somebody waits for the first answer
    worker.run()


class Worker:
    """One engine and one conversation with the service."""

    def __init__(self, options: WorkerOptions) -> None:
        import pyarrow as pa

        from appliance.serving.engine import Engine
        from appliance.serving.formats import load_writers, open_database

        pa.set_memory_pool(pa.system_memory_pool())  # mimalloc would reserve a gigabyte of the address space at once
        self._channel = Channel(socket.socket(fileno=options.descriptor))
        self._temp = Path(options.temp_dir)
        self._clock = SystemClock()
        self._engine = Engine(
            root=Path(options.data_dir),
            temp=Path(options.temp_dir),
            temp_bytes_max=options.temp_bytes_max,
            memory_max=options.memory_max,
            threads=options.threads,
            clock=self._clock,
            is_batch=options.is_batch,
        )
        self._engine.warm()
        self._encoding = open_database()
        if options.is_batch:
            load_writers()  # after a large query there may be no room for them any more
        self._space = limits.AddressSpace(memory_max=options.memory_max)
        self._space.allow()
        self._inbox: queue.SimpleQueue[tuple[ToWorker, int | None]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._held: list[bytes] = []
        """Messages that wait for the next one, or for the listener's look: a short answer is one write then."""
        self._query_id: str | None = None
        """The query under way. Set by the listener, which sees the question first; taken back before the last word is sent."""
        self._cancelled = False
        self._is_over = False
        """The last word about the question at hand has been said."""
        self._rows = 0
        self.chunks: dict[int, pa.RecordBatch] = {}
        """Hot rows that stay for the questions that follow, by number."""

    def run(self) -> None:
        """Answers until the service closes the socket, which ends the process from the listener."""
        threading.Thread(target=self._listen, name="listener", daemon=True).start()  # noqa: TID251 - the owner of this thread
        self._send(Ready())
        while True:
            message, descriptor = self._inbox.get()
            close_quietly(descriptor)
            if isinstance(message, Ask):
                self._answer(message)
                self._space.allow()

    def _answer(self, ask: Ask) -> None:
        """Sends the result and the last word about it."""
        self._is_over = False
        try:
            if ask.file:
                self._end(self._run_to_file(ask))
            else:
                self._run(ask)
        except ApplianceError as e:
            self._end(Failed(kind_of(e), str(e), self._is_worn))
        except MemoryError:
            self._end(Failed("refused", "the query needs more memory than it may have", True))
        except Exception:
            log.exception("a query failed in a way that nobody thought of: %s", ask.question.sql[:500])
            self._end(Failed("refused", "the query failed inside the appliance; its log says more", True))

    def _end(self, last: Done | Failed) -> None:
        """Sends the last word about a query. Where it was said already, what went wrong since has worn the process out: it goes."""
        if self._is_over:
            log.error("a query could not be tidied up after: %s", last)
            os._exit(1)
        self._is_over = True
        self._query_id = None
        self._cancelled = False
        self._send(msgspec.structs.replace(last, used=own_usage()))

    def _run(self, ask: Ask) -> None:
        """The last word is said before the result is tidied up after: nobody has to wait for that."""
        from appliance.serving.writing import write_answer

        with self._engine.answer(ask.question, _Service(self, ask), now_us=ask.now_us) as answer:
            explain = write_answer(
                answer,
                ask.question,
                lambda piece: self._send(Data(piece), soon=True),
                self._encoding,
                on_start=lambda: self._send(Started(answer.notes), soon=True),
                on_rows=self._note_rows,
            )
            self._end(Done(explain, self._is_worn, names=answer.names, varies=answer.varies))
        if self._is_worn:
            os._exit(0)  # whoever asks next is given another process

    def _run_to_file(self, ask: Ask) -> Done:
        """The result goes to a file of this process's own folder, which is synced before anybody hears of it."""
        from appliance.serving.formats import distinct_schema
        from appliance.serving.writing import write_file

        place = self._temp / ask.file
        try:
            with self._engine.answer(ask.question, _Service(self, ask), now_us=ask.now_us) as answer:
                self._send(Started(answer.notes))
                explain = write_file(answer, ask.question, place, self._encoding, on_rows=self._note_rows)
                schema = distinct_schema(answer.schema).serialize().to_pybytes()
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return Done(explain, self._is_worn, schema)

    def _note_rows(self, rows: int) -> None:
        self._rows = rows

    @property
    def _is_worn(self) -> bool:
        return self._engine.is_worn or self._space.is_worn

    def ask(self, message: Message) -> tuple[ToWorker, int | None]:
        """Sends a request and waits for its answer. Raises ``QueryCancelled`` or what the service refuses with."""
        self._send(message)
        answer, descriptor = self._inbox.get()
        while isinstance(answer, Cancel) and not self._cancelled:  # of an earlier query
            answer, descriptor = self._inbox.get()
        if isinstance(answer, Refused):
            close_quietly(descriptor)
            raise error_of(answer.kind, answer.text)
        if isinstance(answer, Cancel):
            raise QueryCancelled("the query was cancelled")
        if isinstance(answer, Pinned):
            self._space.allow(extra_bytes=2 * answer.size)  # mapped, and as the table that DuckDB scans
        return answer, descriptor

    def tell(self, message: Message) -> None:
        """Sends what needs no answer."""
        self._send(message)

    def _send(self, message: Message, *, soon: bool = False) -> None:
        """``soon``: little of it may wait for what comes next."""
        with self._sending:
            self._held.append(frame(message))
            if not soon or sum(map(len, self._held)) > HELD_BYTES_MAX:
                self._flush()

    def _flush(self) -> None:
        """Whoever calls it holds ``_sending``."""
        frames, self._held = b"".join(self._held), []
        try:
            self._channel.send(frames)
        except ConnectionError:
            os._exit(0)  # the service has gone

    def _listen(self) -> None:
        """Receives; ends the process when the service has gone."""
        while True:
            if not self._channel.has_message:
                ready, _, _ = select.select([self._channel], [], [], TICK_S if self._query_id is not None else None)
                if not ready:
                    self._tick()
                    continue
            try:
                message, descriptor = self._channel.receive()
            except EOFError:
                os._exit(0)
            if isinstance(message, Ask):
                self._rows = 0
                self._query_id = message.question.id
            elif isinstance(message, Cancel):
                if message.query_id != self._query_id:
                    continue
                self._cancelled = True
                self._tick()
            self._inbox.put((message, descriptor))  # a Cancel wakes a thread that waits for the service

    def _tick(self) -> None:
        """Interrupts what is cancelled; else tells how far the query is, unless a piece of the result is on its way."""
        if self._cancelled:
            self._engine.interrupt()
        elif self._query_id is not None and self._sending.acquire(blocking=False):
            try:
                self._held.append(frame(Progress(self._engine.progress(), self._rows)))
                self._flush()
            finally:
                self._sending.release()


class _Service:
    """The ``SnapshotProvider`` at the other end of the socket."""

    def __init__(self, worker: Worker, ask: Ask) -> None:
        from appliance.serving.transfer import take_in

        self._worker = worker
        self._known = {table.name.lower(): table for table in ask.known}
        self._given = ask.given
        if ask.given is not None:
            take_in(worker.chunks, ask.given)

    def lookup(self, names: Sequence[str]) -> Sequence[TableInfo]:
        if all(name.lower() in self._known for name in names):
            return [self._known[name.lower()] for name in names]
        answer, _ = self._worker.ask(Lookup(tuple(names)))
        assert isinstance(answer, Found), "the service answered something else"
        return answer.tables

    def pin(self, wanted: Sequence[Wanted], tables: Sequence[str], views: Sequence[WantedView] = ()) -> Snapshot:
        from appliance.serving.transfer import unpack, unpack_given

        given, self._given = self._given, None
        if given is not None and given.wanted == tuple(wanted) and not tables and not views:
            return unpack_given(given, self._worker.chunks)
        answer, descriptor = self._worker.ask(Pin(tuple(wanted), tuple(tables), tuple(views)))
        assert isinstance(answer, Pinned), "the service answered something else"
        assert descriptor is not None, "a snapshot came without its rows"
        return unpack(descriptor, answer.size)

    def damaged(self, segment: Segment, reason: str) -> None:
        self._worker.tell(Damaged(segment, reason))

    def damaged_view(self, path: str) -> None:
        self._worker.tell(DamagedView(path))


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=WorkerOptions))
