"""One data folder, opened for writing: hot store, books, ring, writer and door, wired in the order of the flow.

Used by the service and by the commands that write without one (``ingest``, ``deadletter replay``). Opening recovers whatever
the last process left: hot batches come back into ring, series and last values.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from appliance.clock import Clock, SystemClock
from appliance.config import Config
from appliance.door.book import StreamBook
from appliance.door.commit import Committer, replay_hot, restore_book
from appliance.door.door import Door
from appliance.door.twins import FutureSpan
from appliance.door.writer import Writer
from appliance.errors import StoreBusy
from appliance.hot import latest_table
from appliance.hot.reader import HotReader
from appliance.hot.ring import Ring, measured
from appliance.hot.series import LastValues, SeriesTable, fit
from appliance.hot.state import ALL_TAGS, State, StreamState
from appliance.hot.store import HotStore
from appliance.manifest import Segment
from appliance.records import FileProgress, fold

LOCK_NAME = "appliance.lock"
CLEAN = "clean_shutdown"


def no_step(name: str) -> None:
    """What a running box does at each named step: nothing."""


class Box:
    """An open data folder. ``door`` takes records, ``state`` is what there is now."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        step: Callable[[str], None] = no_step,
        on_fatal: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """Takes the folder's lock and recovers. Raises ``StoreBusy``, ``StoreDamaged`` or ``StoreTooNew``."""
        self.config = config
        self.clock = clock or SystemClock()
        self.folder = config.data_dir
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.folder)
        self.store = HotStore(self.folder, durability=config.hot.durability)
        self.was_clean = self.store.get_meta(CLEAN) == "1"
        """Whether the last process ended in order."""
        with self.store.transaction():
            self.store.set_meta(CLEAN, "0")
        ring = Ring(bytes_max=config.hot.ring_bytes_max)
        books = _recover(self.folder, ring, now_us=self.clock.now_us())
        self.ring = ring
        self.committer = Committer(
            self.store,
            books,
            ring,
            clock=self.clock,
            limits=config.limits,
            streams=config.streams,
            boot=self.store.boot(self.clock.boot_id()),
            step=step,
        )
        self.door = Door(
            folder=self.folder,
            clock=self.clock,
            inflight_bytes_max=config.hot.inflight_bytes_max,
            disk_free_min=config.limits.disk_free_min,
        )
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

    def last_values(self, stream: str) -> pa.Table:
        """The last record of each series (``Schema.lake``); waits for the writer, so not for the event loop. Raises ``KeyError``."""
        return self.writer.call(lambda committer: committer.last_values(fold(stream))).result()

    def file_progress(self, digest: str, stream: str) -> FileProgress | None:
        """How far a file's content has been taken into a stream; None when it is not known."""
        reader = self.reader()
        try:
            return reader.file_progress(digest, stream)
        finally:
            reader.close()

    def close(self) -> None:
        """Commits what waits, notes the clean end, closes the file and gives the lock back."""
        self.writer.close()
        with self.store.transaction():
            self.store.set_meta(CLEAN, "1")
        self.store.close()
        os.close(self._lock)


@contextmanager
def open_box(config: Config) -> Iterator[Box]:
    """A box without a service around it; another process that holds the folder makes it raise ``StoreBusy``."""
    box = Box(config)
    box.start()
    try:
        yield box
    finally:
        box.close()


def _lock(folder: Path) -> int:
    """The folder's lock, held until the descriptor is closed or the process ends."""
    descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreBusy(f"{folder}: another appliance (process {holder}) holds this folder; stop it first, or use another --data-dir") from e
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _recover(folder: Path, ring: Ring, *, now_us: int) -> dict[str, StreamBook]:
    """The books as the last commit left them, with ring, series and last values filled from the hot batches."""
    reader = HotReader(folder)
    try:
        return {key: _recover_stream(reader, state, ring, now_us=now_us) for key, state in reader.load_state().streams.items()}
    finally:
        reader.close()


def _recover_stream(reader: HotReader, state: StreamState, ring: Ring, *, now_us: int) -> StreamBook:
    schema = state.schema
    created = reader.stream_extra(state)
    book = StreamBook(
        state.id,
        schema,
        dict(state.schemas),
        state.identity,
        state.folder,
        LastValues(schema, merge_fields=state.identity is not None),
        mark=state.mark,
        last_seq=state.last_seq,
        last_commit_us=created.last_commit_us,
        places=SeriesTable.empty() if state.identity not in (None, ALL_TAGS) else None,
        future=None if created.future_min is None or created.future_max is None else FutureSpan(created.future_min, created.future_max),
        segments=state.segments,
        lost=state.lost,
        dirty=dict(state.dirty),
    )
    restore_book(book, saved=latest_table.load(reader.cursor, schema, state.folder), now_us=now_us)
    for chunk in reader.iterate(state, after_seq=state.mark):
        data = fit(chunk.data, schema)
        replay_hot(book, schema, chunk, data, now_us=now_us)
        ring.push(state.id, measured(chunk.first, data, ts_min=chunk.ts_min, ts_max=chunk.ts_max, schema_version=schema.version))
        ring.evict()
    return book
