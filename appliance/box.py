"""One data folder, opened for writing: hot store, books, ring, writer and door, wired in the order of the flow.

Used by the service and by the commands that write without one (``ingest``, ``deadletter replay``). Opening recovers whatever
the last process left: hot batches come back into ring, series and last values.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.clock import Clock, SystemClock
from appliance.config import Config, StreamOptions
from appliance.door.book import StreamBook
from appliance.door.commit import Committer, replay_hot, restore_book
from appliance.door.door import Door
from appliance.door.lake_commits import commit_deletion
from appliance.door.twins import FutureSpan
from appliance.door.writer import Writer
from appliance.errors import StoreBusy, StoreDamaged
from appliance.hot import deletions, latest_table
from appliance.hot.owned import owned
from appliance.hot.reader import HotReader
from appliance.hot.ring import Ring, measured
from appliance.hot.series import LastValues, SeriesTable, fit
from appliance.hot.state import ALL_TAGS, State, StreamState
from appliance.hot.store import HotStore
from appliance.manifest import Deletion, Segment
from appliance.observe.costs import Costs
from appliance.observe.ladder import Ladder
from appliance.observe.processes import Processes
from appliance.records import FileProgress, fold

log = logging.getLogger(__name__)
LOCK_NAME = "appliance.lock"
RECOVER_THREADS: Final = 2
"""That unpack hot batches at a start, while a third one takes them in."""
_LOST_WAL = (
    "the last process did not end in order, and the write-ahead log that it left is missing. Unless another program opened the file"
    " since and moved the log into it, the newest records are lost; compare with what the senders have"
)


def no_step(name: str) -> None:
    """What a running box does at each named step: nothing."""


def no_word(error: BaseException) -> None:
    """For commands, which learn of a fatal error from what they submit."""


class Box:
    """An open data folder. ``door`` takes records, ``state`` is what there is now."""

    ladder: Ladder
    """How far the box is degraded; whoever works in it keeps to that."""
    processes: Processes
    """Those that work for the box; whoever starts one says so."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        step: Callable[[str], None] = no_step,
        on_fatal: Callable[[BaseException], None] = no_word,
    ) -> None:
        """Takes the folder's lock and recovers. Raises ``StoreBusy``, ``StoreDamaged``, ``StoreTooNew`` or ``RetryLater``.

        ``on_fatal`` is told, in the writer's thread, of an error after which the process must end without closing the box.
        """
        self.config = config
        self.clock = clock or SystemClock()
        self.folder = config.data_dir
        self.ladder, self.processes = Ladder(), Processes(self.clock)
        with ExitStack() as undo:
            self._lock: int | None = lock_folder(self.folder)
            undo.callback(os.close, self._lock)
            self.store = HotStore(self.folder, durability=config.hot.durability, clock=self.clock)
            undo.callback(self.store.close)
            self.was_clean = self.store.was_clean
            """Whether the last process ended in order."""
            self.lost_wal = self.store.lost_wal
            """Whether the newest commits may be gone with a write-ahead log that is not there (see ``HotStore``)."""
            self.ring = Ring(bytes_max=config.hot.ring_bytes_max)
            books, found = _recover(self.folder, self.ring)
            self.store.note_open()
            undo.pop_all()
        if self.lost_wal:
            log.error("%s: %s", self.store.path, _LOST_WAL)
        _compare_identities(books, config.streams)
        self.committer = Committer(
            self.store,
            books,
            self.ring,
            clock=self.clock,
            limits=config.limits,
            streams=config.streams,
            step=step,
            used=found.used.values(),
            views=found.views,
        )
        self.door = Door(
            folder=self.folder,
            clock=self.clock,
            inflight_bytes_max=config.hot.inflight_bytes_max,
            disk_free_min=config.limits.disk_free_min,
        )
        self.latencies, self.costs = self.door.latencies, Costs()
        """What workloads take and cost; whoever carries one out notes it."""
        self.writer = Writer(
            self.committer,
            clock=self.clock,
            commit_every_s=config.hot.commit_every_s,
            on_fatal=on_fatal,
            on_commit=self.door.committed,
            on_done=self.door.done,
        )

    def start(self) -> None:
        """Starts the writer and opens the door."""
        self.start_writer()
        self.open_door()

    def start_writer(self) -> None:
        """From now on the write connection can be used through the writer; records are not taken yet."""
        self.writer.start()

    def open_door(self) -> None:
        """From now on records are taken."""
        self.door.open(self.writer)

    @property
    def state(self) -> State:
        """The newest picture; immutable."""
        return self.writer.state

    def reader(self) -> HotReader:
        """A new read-only look at the hot store, for one thread."""
        return HotReader(self.folder)

    def set_aside(self, key: str, segment: Segment, *, state: str, reason: str) -> None:
        """Takes a segment out of the live set (``missing`` or ``damaged``); before or after ``start``, from any other thread."""
        self.writer.call(lambda committer: committer.set_aside(key, segment, state=state, reason=reason)).result()

    def commit_roll(self, key: str, segments: Sequence[Segment], *, mark: int) -> None:
        """A roll's end, from any other thread: last values first, a few at a time between the commits of records, then the roll itself."""
        while self.writer.call(lambda committer: committer.save_last(key, mark=mark)).result():
            continue
        self.writer.call(lambda committer: committer.commit_roll(key, segments, mark=mark)).result()

    def delete(self, deletion: Deletion, *, records: int | None = None) -> Deletion:
        """Writes a deletion down, durably; nobody sees its records from then on. Raises ``UsageRefused`` where it makes no sense."""
        return self.writer.call(partial(commit_deletion, deletion=deletion, records=records)).result()

    def last_values(self, stream: str) -> pa.Table:
        """The last record of each series (``Schema.lake``); waits for the writer, so not for the event loop. Raises ``KeyError``."""
        return self.writer.call(lambda committer: committer.last_values(fold(stream)), at_once=True).result()

    def file_progress(self, digest: str, stream: str) -> FileProgress | None:
        """How far a file's content has been taken into a stream; None when it is not known."""
        reader = self.reader()
        try:
            return reader.file_progress(digest, stream)
        finally:
            reader.close()

    def close(self) -> None:
        """Commits what waits, notes the clean end, closes the file and gives the lock back. Closing again does nothing.

        After a fatal error it does nothing: what is on disk is for the next process to recover.
        """
        if self._lock is None:
            return
        self.writer.close()
        if self.writer.failed is not None:
            return
        self.store.close(clean=True)
        os.close(self._lock)
        self._lock = None


@contextmanager
def open_box(config: Config) -> Iterator[Box]:
    """A box without a service around it; another process that holds the folder makes it raise ``StoreBusy``."""
    box = Box(config)
    box.start()
    try:
        yield box
    finally:
        box.close()


def lock_folder(folder: Path) -> int:
    """The folder's lock, held until the descriptor is closed or the process ends; makes the folder when there is none."""
    try:
        _make_folder(folder)
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as e:
        hint = "give it to this user, or use another --data-dir"
        raise StoreDamaged(f"can't be used as data folder: {e.strerror}", path=folder, hint=hint) from e
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        what = f"another appliance (process {holder}) holds this folder"
        raise StoreBusy(f"{folder}: {what}; stop it first, or use another --data-dir") from e
    with suppress(OSError):  # on a full disk the number of the process is missing, the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _make_folder(folder: Path) -> None:
    """The folder and its entry in its parent, synced also when somebody else has just made it."""
    new = [p for p in (folder, *folder.parents) if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in new or [folder]:
        descriptor = os.open(made.absolute().parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _compare_identities(books: Mapping[str, StreamBook], streams: Mapping[str, StreamOptions]) -> None:
    """Says where the config asks for another identity than a stream was created with: that one stays."""
    for name, options in streams.items():
        book = books.get(fold(name))
        if book is None or options.identity is None:
            continue
        wanted = None if options.identity == "none" else tuple(options.identity)
        if wanted != book.identity:
            log.warning(
                "stream %r keeps the identity that it was created with, %s; the config's takes no effect", name, book.identity or "none"
            )


def _recover(folder: Path, ring: Ring) -> tuple[dict[str, StreamBook], State]:
    """The books as the last commit left them, with ring, series and last values filled from the hot batches; and the stored state."""
    reader = HotReader(folder)
    try:
        found = reader.load_state()
        with ThreadPoolExecutor(RECOVER_THREADS, thread_name_prefix="recover") as pool:
            return {key: _recover_stream(reader, state, ring, pool) for key, state in found.streams.items()}, found
    finally:
        reader.close()


def _recover_stream(reader: HotReader, state: StreamState, ring: Ring, pool: Executor) -> StreamBook:
    schema = state.schema
    extra = reader.stream_extra(state)
    book = StreamBook(
        state.id,
        schema,
        dict(state.schemas),
        state.identity,
        state.folder,
        LastValues(schema, merge_fields=state.identity is not None),
        mark=state.mark,
        last_seq=state.last_seq,
        last_commit_us=extra.last_commit_us,
        places=SeriesTable.empty() if state.identity not in (None, ALL_TAGS) else None,
        future=None if extra.future_min is None or extra.future_max is None else FutureSpan(extra.future_min, extra.future_max),
        segments=state.segments,
        lost=state.lost,
        dirty=dict(state.dirty),
        deletions=state.deletions,
    )
    saved = latest_table.load(reader.cursor, schema, state.folder)
    is_followed = not deletions.without_latest(reader.cursor, state.id)
    restore_book(book, saved=saved, reach=latest_table.load_reach(reader.cursor, state.folder), is_followed=is_followed)
    committed = {last: committed_us for _, last, committed_us in reader.batch_spans(state)}
    for chunk in reader.iterate(state, after_seq=state.mark, pool=pool):
        data = owned([fit(chunk.data, schema)])
        if any(held.last + 1 != chunk.first for held in ring.chunks(state.id)[-1:]):
            ring.forget(state.id)  # a batch is missing before it: the ring has no gaps, the store may, and reconciliation tells
        replay_hot(book, schema, chunk, data, committed_us=committed[chunk.last])
        ring.push(state.id, measured(chunk.first, data, ts_min=chunk.ts_min, ts_max=chunk.ts_max, schema_version=schema.version))
        ring.evict()
    if any(held.last != state.last_seq for held in ring.chunks(state.id)[-1:]):
        ring.forget(state.id)
    return book
