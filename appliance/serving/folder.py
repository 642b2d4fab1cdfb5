"""A data folder that no service holds, read as it lies: SQL, last values, status. Nothing in it is changed (SQLite may make its
index of the WAL beside it, ``hot.sqlite-shm``).

Manifest and hot batches are read in one transaction of SQLite. A WAL database on a disk that can't be written to opens only as
``immutable``, and then SQLite ignores the WAL, with the newest records in it: so where a WAL is there and can't be
opened, both files are copied to a temporary folder and read there.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from appliance import __version__
from appliance.clock import Clock, SystemClock
from appliance.cold.beside import bytes_beside
from appliance.errors import StoreDamaged, UsageRefused
from appliance.hot.reader import HotReader
from appliance.hot.state import State, StreamState
from appliance.hot.store import FILE_NAME
from appliance.hot.stored_latest import latest_values
from appliance.manifest import Segment
from appliance.observe.health import level_of
from appliance.observe.status import LakeStatus, LatencyStatus, Status, StoreStatus, StreamStatus
from appliance.serving.ahead import ahead_of
from appliance.serving.alert_rows import stored_counts
from appliance.serving.source import StateSource, Store
from appliance.serving.state_tables import TABLES, lost_problems

log = logging.getLogger(__name__)
HOT_BYTES_MAX: Final = 1 << 30
"""Hot rows of one query: the folder of a box that could not roll for days still answers."""


@contextmanager
def open_folder(folder: Path) -> Iterator[tuple[HotReader, State]]:
    """The folder at one instant. Raises ``StoreDamaged``, ``StoreTooNew``, or ``UsageRefused`` where there is no data folder."""
    if not (folder / FILE_NAME).is_file():
        raise UsageRefused(f"{folder} is no data folder: there is no {FILE_NAME} in it; name one with --data-dir")
    with ExitStack() as stack:
        reader = stack.enter_context(_reader(folder))
        stack.enter_context(reader.pinned())
        yield reader, reader.load_state()


@contextmanager
def folder_source(folder: Path, *, on_damaged: Callable[[Segment, str], None]) -> Iterator[StateSource]:
    """A ``SnapshotProvider`` over the folder."""
    with open_folder(folder) as (reader, state):

        @contextmanager
        def same_reader() -> Iterator[HotReader]:
            yield reader

        yield StateSource(
            Store(
                state=lambda: state,
                reader=same_reader,
                latest=lambda stream: latest_values(reader, stream),
                tables=TABLES,
                hot_bytes_max=HOT_BYTES_MAX,
                damaged=on_damaged,
            )
        )


def latest_rows(folder: Path, stream: str) -> list[dict[str, Any]]:
    """``latest_values`` as JSON values. Raises ``UsageRefused`` for an unknown stream."""
    from appliance.serving.formats import json_rows

    with open_folder(folder) as (reader, state):
        found = state.get(stream)
        if found is None:
            raise UsageRefused(f"there is no stream {stream!r} in {folder}")
        return json_rows(latest_values(reader, found))


def folder_status(folder: Path, *, clock: Clock | None = None) -> Status:
    """The one picture of the box, as far as the folder tells it."""
    now_us = (clock or SystemClock()).now_us()
    with open_folder(folder) as (reader, state):
        streams = tuple(_stream_status(reader, s) for _, s in sorted(state.streams.items()))
        waiting = int(str(reader.execute("SELECT count(*) FROM dead_letter WHERE replayed_us IS NULL")[0][0]))
        firing, pending = stored_counts(reader)
        lost = lost_problems(state, since_us=now_us)
        deletions = sum(len(s.deletions) for s in state.streams.values())
        disk = os.statvfs(folder)
        beside = bytes_beside(folder, state.streams.values())
        ahead = ahead_of(state, None, room_bytes=disk.f_bavail * disk.f_frsize, now_us=now_us, beside=beside)
    return Status(
        as_of_us=now_us,
        node="",
        version=__version__,
        data_dir=str(folder.absolute()),
        pid=0,
        started_us=now_us,
        health=level_of(lost),
        state="offline",
        streams=streams,
        store=_store_status(folder),
        lake=LakeStatus(
            segments=sum(s.segments for s in streams),
            rows=sum(s.cold_rows for s in streams),
            bytes=sum(s.bytes_cold for s in streams),
            lost_segments=len(lost),
            last_roll_us=None,
            next_roll_us=None,
            rolling=False,
            compacting=None,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            disk_total_bytes=disk.f_blocks * disk.f_frsize,
            bytes_per_day=ahead.bytes_per_day,
            full_us=ahead.full_us,
            trim_us=ahead.trim_us,
            eater=ahead.stream,
            deletions=deletions,
            index_bytes=sum(beside.values()),
        ),
        ingest=LatencyStatus(),
        rate=0.0,
        history=(),
        history_s=0,
        sources=(),
        dead_letters=waiting,
        dead_letters_new=0,
        last_dead_letter=None,
        problems=lost,
        memory_bytes=0,
        cpu_share=0.0,
        queries_running=0,
        alerts_firing=firing,
        alerts_pending=pending,
    )


def _stream_status(reader: HotReader, s: StreamState) -> StreamStatus:
    newest = reader.execute("SELECT max(ts_max) FROM batch WHERE stream_id = ?", (s.id,))[0][0]
    times = [*([int(str(newest))] if newest is not None else []), *(g.ts_max for g in s.segments)]
    return StreamStatus(
        name=s.name,
        rate=0.0,
        records=s.last_seq,
        hot_rows=s.hot_rows,
        cold_rows=s.cold_rows,
        segments=len(s.segments),
        bytes_cold=sum(g.bytes for g in s.segments),
        bytes_ring=0,
        mark=s.mark,
        last_seq=s.last_seq,
        last_ts_us=max(times, default=None),
        last_arrival_us=reader.stream_extra(s).last_commit_us,
        dirty_days=len(s.dirty),
        columns=len(s.schema.columns) + 1,
        series=latest_values(reader, s).num_rows,
    )


def _store_status(folder: Path) -> StoreStatus:
    def size(name: str) -> int:
        try:
            return (folder / name).stat().st_size
        except FileNotFoundError:
            return 0

    return StoreStatus(
        ring_bytes=0,
        ring_bytes_max=0,
        ring_rows=0,
        sqlite_bytes=size(FILE_NAME),
        wal_bytes=size(f"{FILE_NAME}-wal"),
        durability="",
        commits=0,
        commit_ms_p99=None,
        queue_bytes=0,
        queue_bytes_max=0,
    )


@contextmanager
def _reader(folder: Path) -> Iterator[HotReader]:
    """A reader of the folder's hot store, or of a copy where the folder can't be written to and a WAL is there."""
    with ExitStack() as stack:
        reader = _open(folder, stack)
        try:
            yield reader
        finally:
            reader.close()


def _open(folder: Path, stack: ExitStack) -> HotReader:
    try:
        return HotReader(folder)
    except StoreDamaged:
        if os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY:
            raise
    wal = folder / f"{FILE_NAME}-wal"
    if not wal.is_file() or wal.stat().st_size == 0:
        log.debug("%s can't be written to: %s is opened as immutable", folder, FILE_NAME)
        return HotReader(folder, immutable=True)
    copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appliance-")))
    log.debug("%s can't be written to: %s and its WAL are read from a copy in %s", folder, FILE_NAME, copy)
    try:
        for name in (FILE_NAME, wal.name):
            shutil.copyfile(folder / name, copy / name)
    except OSError as e:
        raise StoreDamaged(f"can't be copied: {e.strerror}", path=folder / FILE_NAME, hint="is there room in the temporary folder?") from e
    return HotReader(copy)
