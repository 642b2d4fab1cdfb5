"""Reads ``hot.sqlite`` without ever writing to it: for a running box next to its writer, and for a folder that nobody serves.

Each call opens its own read transaction; ``load_state`` pins manifest and batches in a single one.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from zlib import crc32

from appliance.errors import StoreDamaged, StoreTooNew
from appliance.hot import deletions
from appliance.hot import tallies as kept
from appliance.hot.encoding import decode
from appliance.hot.ledger import load_used
from appliance.hot.state import Chunk, State, StreamState
from appliance.hot.store import FILE_NAME, FORMAT_VERSION, columns_of, identity_of, unusable
from appliance.hot.view_store import load_views
from appliance.manifest import Dirty, Segment
from appliance.records import EVERYTHING, FileProgress, Schema, TimeRange
from appliance.tally import Tally, from_text

T = TypeVar("T")
R = TypeVar("R")
AHEAD: Final = 6
"""Batches that are unpacked while another one is used."""
_SEGMENT = "id, day, path, first, last, rows, ts_min, ts_max, bytes, sha256, schema_version, level"
_COLUMNS_WITH_TALLIES = 15
VIEWS_SINCE = 3
"""The format that has tables of views."""
_SPANS_FROM = 3
"""The format from which on segments may span several days and records can be deleted; an older file is read as it lies."""


@dataclass(frozen=True, slots=True)
class StreamExtra:
    """Columns of a stream's row that readers of records don't need; microseconds, None where there are none."""

    last_commit_us: int | None
    future_min: int | None
    future_max: int | None


class HotReader:
    """A read-only look at the hot store; safe from any one thread at a time."""

    def __init__(self, folder: Path, *, immutable: bool = False) -> None:
        """``immutable`` is for a disk that can't be written to and a store without a WAL: SQLite then takes no locks.

        Raises ``StoreDamaged`` when there is no such file or it can't be read, ``StoreTooNew`` for a later format.
        """
        self._path = folder / FILE_NAME
        self._db: sqlite3.Connection
        uri = f"{self._path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if immutable else "")
        try:
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA query_only=1")
            self._db.execute("PRAGMA busy_timeout=5000")
            self._version = version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.DatabaseError as e:
            self._close_early()
            raise StoreDamaged(f"can't be read: {e}", path=self._path, hint="is this the appliance's data folder?") from e
        self._columns = f"{_SEGMENT}, days, purged" if version >= _SPANS_FROM else _SEGMENT
        self._columns += ", tallies" if version >= kept.SINCE else ""
        self.has_deletions = version >= _SPANS_FROM
        """False for a file of an older appliance that nobody has brought to this one's form."""
        if version > FORMAT_VERSION:
            self._close_early()
            raise StoreTooNew(f"{self._path}: written by a later version (format {version}, this one knows {FORMAT_VERSION})")

    def close(self) -> None:
        """After it nothing can be read."""
        self._db.close()

    def _close_early(self) -> None:
        db = getattr(self, "_db", None)
        if db is not None:
            db.close()

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Everything read inside is of one instant."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def rows(self, state: StreamState, *, after_seq: int, before_seq: int, span: TimeRange = EVERYTHING) -> list[Chunk]:
        """Hot rows of a stream with ``after_seq < seq < before_seq`` out of batches that can hold a record of ``span``, in order.

        What a roll has moved meanwhile is not here any more: compare ``mark`` afterwards. ``state`` must know every version of
        the schema that these rows were written with.
        """
        return list(self.iterate(state, after_seq=after_seq, before_seq=before_seq, span=span))

    def iterate(
        self,
        state: StreamState,
        *,
        after_seq: int,
        before_seq: int = 2**63 - 1,
        span: TimeRange = EVERYTHING,
        pool: Executor | None = None,
    ) -> Iterator[Chunk]:
        """``rows``, one batch at a time; with a ``pool`` the next ones are unpacked there meanwhile."""
        with self._damage():
            found = self._db.execute(
                "SELECT first, last, ts_min, ts_max, schema_version, encoding, crc32, body FROM batch"
                " WHERE stream_id = ? AND last > ? AND first < ? AND ts_max >= ? AND ts_min < ? ORDER BY id",
                (state.id, after_seq, before_seq, _low(span.since), _high(span.until)),
            )
            for first, last, ts_min, ts_max, version, data in _ahead(found, partial(self._unpacked, state), pool):
                chunk = Chunk(first, last, data, ts_min, ts_max, data.nbytes, version).after(after_seq)
                if chunk.last >= before_seq:
                    kept = before_seq - chunk.first
                    chunk = Chunk(chunk.first, before_seq - 1, chunk.data.slice(0, kept), ts_min, ts_max, chunk.nbytes, version)
                yield chunk

    def _unpacked(self, state: StreamState, row: tuple[Any, ...]) -> tuple[Any, ...]:
        first, last, ts_min, ts_max, version, encoding, crc, body = row
        if crc32(body) != crc:
            raise StoreDamaged(
                f"the records {first} to {last} of stream {state.name!r} are not what was written",
                path=self._path,
                hint="restore a backup, or move the file away to start with the lake alone",
            )
        return first, last, ts_min, ts_max, version, decode(encoding, state.schemas[version], body)

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """A file that SQLite can't make sense of is damaged."""
        try:
            yield
        except sqlite3.DatabaseError as e:
            raise unusable(self._path, e) from e

    def stream_extra(self, state: StreamState) -> StreamExtra:
        """What only the writer needs of a stream."""
        row = self._db.execute("SELECT last_commit_us, future_min, future_max FROM stream WHERE id = ?", (state.id,)).fetchone()
        return StreamExtra(*row)

    def cursor(self, sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """For the modules of the hot path that own a table."""
        return self._db.execute(sql, parameters)

    def mark(self, state: StreamState) -> int:
        """The highest sequence of a stream that is in the lake."""
        return int(self._db.execute("SELECT mark FROM stream WHERE id = ?", (state.id,)).fetchone()[0])

    def load_state(self) -> State:
        """Every stream with schemas, manifest and dirty spans; no rows (``rows`` reads them, with ``pinned`` around both)."""
        with self._damage():
            return self._load_state()

    def _load_state(self) -> State:
        streams: dict[str, StreamState] = {}
        for stream_id, name, key, folder, identity, mark, last_seq in self._db.execute(
            "SELECT id, name, fold, folder, identity, mark, last_seq FROM stream"
        ).fetchall():
            schemas = {
                version: Schema(name, columns_of(columns), version)
                for version, columns in self._db.execute(
                    "SELECT version, columns FROM schema WHERE stream_id = ? ORDER BY version", (stream_id,)
                )
            }
            streams[key] = StreamState(
                id=stream_id,
                schema=schemas[max(schemas)],
                schemas=schemas,
                identity=identity_of(identity),
                folder=folder,
                mark=mark,
                last_seq=last_seq,
                segments=self._segments(stream_id, name, "state = 'live'"),
                lost=self._segments(stream_id, name, "state IN ('damaged', 'missing')"),
                dirty={
                    row[0]: Dirty(*row)
                    for row in self._db.execute("SELECT day, ts_min, ts_max, seq FROM dirty WHERE stream_id = ?", (stream_id,))
                },
                deletions=deletions.load(self._db, stream_id, name) if self.has_deletions else (),
            )
        if self._version < VIEWS_SINCE:
            return State(streams)
        used = {u.id: u for u in load_used(self._db.execute)}
        return State(streams, 0, load_views(self._db.execute, used), used)

    def _segments(self, stream_id: int, name: str, where: str) -> tuple[Segment, ...]:
        found = self._db.execute(f"SELECT {self._columns} FROM segment WHERE stream_id = ? AND {where} ORDER BY day, first", (stream_id,))
        return tuple(_segment(name, row) for row in found)

    def replaced(self) -> list[tuple[Segment, int]]:
        """Segments that were replaced or have expired and whose files may still be there, each with the time of that in µs."""
        found = self._db.execute(
            f"SELECT s.name, g.ended_us, {', '.join('g.' + c for c in self._columns.split(', '))}"
            " FROM segment g JOIN stream s ON s.id = g.stream_id"
            " WHERE g.state IN ('replaced', 'expired') ORDER BY g.id"
        )
        return [(_segment(row[0], row[2:]), row[1]) for row in found]

    def batch_spans(self, state: StreamState) -> list[tuple[int, int, int]]:
        """(first, last, committed µs) of each hot batch of a stream, in order."""
        found = self._db.execute("SELECT first, last, committed_us FROM batch WHERE stream_id = ? ORDER BY first", (state.id,))
        return found.fetchall()

    def tallies(self, stream_id: int) -> dict[int, Tally | None]:
        """What the segments of a stream hold together by the books, lost ones included: UTC day -> tally.

        None: not known, because something in it is from before there were tallies. A day that is not there has no record in the lake.
        """
        return kept.load(self._db.execute, stream_id) if self._version >= kept.SINCE else {}

    def batch_tallies(self, stream_id: int) -> list[kept.BatchTallies]:
        """What each hot batch of a stream held when it was committed, in the order of sequence; bodies are not read."""
        return kept.load_batches(self._db.execute, stream_id) if self._version >= kept.SINCE else []

    def hot_tallies(self, state: StreamState) -> dict[int, Tally] | None:
        """What lies above the mark by the books: UTC day -> tally; None: not known."""
        return kept.above_mark(self._db.execute, state.id, state.schemas) if self._version >= kept.SINCE else None

    def file_progress(self, digest: str, stream: str) -> FileProgress | None:
        """How far a file's content has been taken into a stream; None when it is not known."""
        row = self._db.execute(
            "SELECT digest, name, bytes_total, position_next, done FROM file WHERE digest = ? AND stream = ?", (digest, stream)
        ).fetchone()
        return None if row is None else FileProgress(row[0], row[1], row[2], row[3], bool(row[4]), stream)

    def meta(self, key: str) -> str | None:
        """A value of the table ``meta``; None where there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def execute(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Rows of one of the appliance's own SELECTs."""
        return self._db.execute(sql, parameters).fetchall()


def _ahead(rows: Iterable[T], run: Callable[[T], R], pool: Executor | None) -> Iterator[R]:
    """``run`` of each row, in their order; with a pool of ``AHEAD`` rows at once."""
    if pool is None:
        yield from map(run, rows)
        return
    waiting: deque[Future[R]] = deque()
    try:
        for row in rows:
            waiting.append(pool.submit(run, row))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _segment(stream: str, row: tuple[Any, ...]) -> Segment:
    """A row of ``_SEGMENT`` and what has come since."""
    if len(row) == _COLUMNS_WITH_TALLIES:
        row = (*row[:-1], None if row[-1] is None else from_text(row[-1]))
    return Segment(row[0], stream, *row[1:])


def _low(since: int | None) -> int:
    return -(2**63) if since is None else since


def _high(until: int | None) -> int:
    return 2**63 - 1 if until is None else until
