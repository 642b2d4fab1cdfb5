"""The hot store: one SQLite file that makes committed rows durable and holds the manifest.

``HotStore`` is the only connection that writes or checkpoints; the door's writer thread owns it and nobody else calls it.
It holds no truth in memory: each method is one statement or a few inside the transaction that the owner has begun.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from zlib import crc32

import pyarrow as pa

from appliance.clock import Clock, SystemClock
from appliance.errors import RetryLater, StoreDamaged, StoreTooNew
from appliance.hot import tallies
from appliance.hot.chain import Chain
from appliance.hot.encoding import encode
from appliance.manifest import Dirty, Segment
from appliance.records import Column, FileProgress, Kind, Reject, Schema, fold
from appliance.tally import Tallies, to_text

FORMAT_VERSION = 5
"""``PRAGMA user_version`` of the file; a higher one is from a later appliance and is refused."""
WAL_BYTES_KEPT = 16 * 1024 * 1024
"""The WAL file is cut back to this after a checkpoint (measured: 0 doubles the bytes that are written)."""
WAL_PAGES_CHECKPOINT = 1000
"""About so many pages after which ``checkpoint_if_due`` has something to do."""
FILE_NAME = "hot.sqlite"
CLEAN = "clean_shutdown"
PAGE_BYTES = 4096
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_VERSION_AT = slice(60, 64)
"""Where the header has ``user_version`` (https://www.sqlite.org/fileformat.html, 1.3.16)."""
_LETTER_BYTES = 200
_SEGMENT = ("day", "path", "first", "last", "rows", "ts_min", "ts_max", "bytes", "sha256", "schema_version", "level", "days", "purged")
"""What the table of segments holds as ``Segment`` has it."""
_PAGES_A_COMMIT = 4
"""Beside the rows themselves: the pages of the streams' and other small tables."""


class Fate(Enum):
    """What a failed transaction means. In each case nothing of it is there, but in the last nobody knows."""

    PASSING = "passing"
    """The disk is full, or somebody else holds a lock: the same will work later."""
    REFUSED = "refused"
    """SQLite can't take these values, now or later; the file is as it was."""
    UNKNOWN = "unknown"
    """The disk failed (a sync above all) or the file is damaged: write nothing any more, end, and recover."""


_PASSING = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,  # the folder is mounted read-only; when the file was moved away the code is another
        sqlite3.SQLITE_IOERR_WRITE,  # quota, limit of a file's size, read-only mount: a page was not written, so nothing is there
        sqlite3.SQLITE_IOERR_SHMSIZE,  # no room for the index of the WAL
    }
)
_REFUSED = frozenset(
    {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE}
)


def fate_of(error: sqlite3.Error) -> Fate:
    """By the extended error code; an error of the module itself has none and refuses the values."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code in _PASSING or code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Fate.PASSING
    return Fate.REFUSED if code & 0xFF in _REFUSED else Fate.UNKNOWN


class HotStore:
    """The write connection. One owner: the door's writer thread."""

    def __init__(self, folder: Path, *, durability: str, clock: Clock | None = None) -> None:
        """Opens or creates ``folder/hot.sqlite``; ``clock`` (None: the machine's) dates the evidence.

        Raises ``StoreTooNew``, ``StoreDamaged`` or ``RetryLater``; nothing is touched then.
        """
        self.path = folder / FILE_NAME
        had_wal = _has_wal(self.path)
        _prepare(self.path)
        self._pages = 0
        self._is_noted_open = False
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
            for pragma in (
                "journal_mode=WAL",
                f"synchronous={'FULL' if durability == 'power-loss' else 'NORMAL'}",
                "secure_delete=OFF",
                f"journal_size_limit={WAL_BYTES_KEPT}",
                f"wal_autocheckpoint={8 * WAL_PAGES_CHECKPOINT}",
                "busy_timeout=5000",
                "cache_size=-4000",
                "temp_store=MEMORY",
            ):
                self._db.execute(f"PRAGMA {pragma}")
            clean = self.get_meta(CLEAN)
            self.chain = Chain(self._db, clock or SystemClock())
            """The evidence of what happens to the store."""
        except sqlite3.DatabaseError as e:
            raise unusable(self.path, e) from e
        self.was_clean = clean == "1"
        """Whether the last process ended in order."""
        self.lost_wal = clean == "0" and not had_wal
        """Whether the write-ahead log is gone that a process which did not end in order must have left. With it the newest commits
        are gone, unless a program that opened the file since has moved them into it (each does so when it is the last to close it)."""

    @property
    def connection(self) -> sqlite3.Connection:
        """For reading at start and for the state tables of the hot path; the owner's thread only."""
        return self._db

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable when it has been left without an error. The first one notes that the file is in use."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_noted_open:
                self.set_meta(CLEAN, "0")
            yield
            self.chain.write()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self.chain.rolled_back()
            raise
        self.chain.committed()
        self._is_noted_open = True
        self._pages += _PAGES_A_COMMIT

    def note_open(self) -> None:
        """Notes on disk that the file is in use, WAL or no WAL, so that an end out of order is noticed in any case.

        On a full disk nothing happens: the first transaction that finds room does it.
        """
        try:
            with self.transaction():
                pass
            self._checkpoint("PASSIVE")
        except sqlite3.Error as e:
            if fate_of(e) is not Fate.PASSING:
                raise unusable(self.path, e) from e

    def checkpoint_if_due(self) -> None:
        """Moves the WAL into the file once it has grown, outside of any commit that somebody waits for.

        SQLite would do it by itself within a commit and say nothing of a disk that fails; here that raises ``sqlite3.Error``.
        """
        if self._pages < WAL_PAGES_CHECKPOINT:
            return
        try:
            self._checkpoint("PASSIVE")
        except sqlite3.Error as e:
            if fate_of(e) is not Fate.PASSING:
                raise

    def _checkpoint(self, mode: str) -> None:
        self._pages = 0
        self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()

    def boot(self, boot_id: str) -> int:
        """The row of this boot of the machine, made when it is new; within the owner's transaction."""
        self._db.execute("INSERT INTO boot (boot_id) VALUES (?) ON CONFLICT DO NOTHING", (boot_id,))
        return int(self._db.execute("SELECT id FROM boot WHERE boot_id = ?", (boot_id,)).fetchone()[0])

    def add_stream(self, *, stream_id: int, name: str, folder: str, identity: tuple[str, ...] | None, now_us: int) -> None:
        self._db.execute(
            "INSERT INTO stream (id, name, fold, folder, identity, created_us) VALUES (?, ?, ?, ?, ?, ?)",
            (stream_id, name, fold(name), folder, json.dumps(identity) if identity is not None else None, now_us),
        )

    def add_schema(self, stream_id: int, schema: Schema) -> None:
        columns = json.dumps([[c.name, c.kind] for c in schema.columns])
        self._db.execute("INSERT INTO schema (stream_id, version, columns) VALUES (?, ?, ?)", (stream_id, schema.version, columns))

    def add_batch(
        self,
        stream_id: int,
        schema: Schema,
        data: pa.RecordBatch,
        *,
        first: int,
        ts_min: int,
        ts_max: int,
        boot: int,
        uptime_us: int,
        now_us: int,
        batch_tallies: Tallies | None = None,
    ) -> int:
        """Stores rows with the sequences from ``first`` on and returns the size of their body in bytes. ``batch_tallies``: theirs, None:
        not known.
        """
        encoding, message = encode(schema, data)
        body = memoryview(message)
        last = first + data.num_rows - 1
        self._db.execute(
            "INSERT INTO batch"
            " (stream_id, first, last, ts_min, ts_max, schema_version, encoding, boot, uptime_us, committed_us, crc32, tally, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                stream_id,
                first,
                last,
                ts_min,
                ts_max,
                schema.version,
                encoding,
                boot,
                uptime_us,
                now_us,
                crc32(body),
                tallies.of_batch(batch_tallies, ts_min=ts_min),
                body,
            ),
        )
        self._db.execute("UPDATE stream SET last_seq = ?, last_commit_us = ? WHERE id = ?", (last, now_us, stream_id))
        self._pages += len(body) // PAGE_BYTES + 1
        return len(body)

    def set_future(self, stream_id: int, *, future_min: int, future_max: int) -> None:
        self._db.execute("UPDATE stream SET future_min = ?, future_max = ? WHERE id = ?", (future_min, future_max, stream_id))

    def mark_dirty(self, stream_id: int, spans: Iterable[Dirty]) -> None:
        """Widens the dirty spans of the days that ``spans`` name."""
        self._db.executemany(
            "INSERT INTO dirty (stream_id, day, ts_min, ts_max, seq) VALUES (?, ?, ?, ?, ?) ON CONFLICT (stream_id, day) DO UPDATE SET"
            " ts_min = min(ts_min, excluded.ts_min), ts_max = max(ts_max, excluded.ts_max), seq = max(seq, excluded.seq)",
            [(stream_id, d.day, d.ts_min, d.ts_max, d.seq) for d in spans],
        )

    def clear_dirty(self, stream_id: int, day: int, *, up_to_seq: int) -> None:
        """The day is clean again, unless something newer than ``up_to_seq`` has made it dirty meanwhile."""
        self._db.execute("DELETE FROM dirty WHERE stream_id = ? AND day = ? AND seq <= ?", (stream_id, day, up_to_seq))

    def add_rejects(self, rejects: Sequence[Reject], *, source: str, format_: str, now_us: int) -> None:
        self._db.executemany(
            "INSERT INTO dead_letter (at_us, source, stream, format, reason, line, raw) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (now_us, _text(source), None if r.stream is None else _text(r.stream), format_, _text(r.reason), r.line, r.raw)
                for r in rejects
            ],
        )
        self._pages += sum(len(r.raw) + _LETTER_BYTES for r in rejects) // PAGE_BYTES

    def mark_replayed(self, ids: Sequence[int], *, now_us: int) -> None:
        self._db.executemany("UPDATE dead_letter SET replayed_us = ? WHERE id = ?", [(now_us, i) for i in ids])

    def set_progress(self, progress: FileProgress, *, records: int, rejected: int, now_us: int) -> None:
        self._db.execute(
            "INSERT INTO file (digest, stream, name, bytes_total, position_next, done, records, rejected, changed_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest, stream) DO UPDATE SET name = excluded.name,"
            " position_next = excluded.position_next, done = excluded.done, changed_us = excluded.changed_us,"
            " records = records + excluded.records, rejected = rejected + excluded.rejected",
            (
                progress.digest,
                _text(progress.stream),
                _text(progress.name),
                progress.bytes_total,
                progress.position_next,
                int(progress.done),
                records,
                rejected,
                now_us,
            ),
        )

    def add_segments(self, stream_id: int, segments: Iterable[Segment], *, now_us: int) -> list[Segment]:
        """Registers files that lie in the lake and returns them with their ids."""
        added = []
        for s in segments:
            cursor = self._db.execute(
                f"INSERT INTO segment ({', '.join(_SEGMENT)}, stream_id, tallies, created_us) VALUES ({'?, ' * len(_SEGMENT)}?, ?, ?)",
                (*(getattr(s, name) for name in _SEGMENT), stream_id, None if s.tallies is None else to_text(s.tallies), now_us),
            )
            assert cursor.lastrowid is not None
            added.append(replace(s, id=cursor.lastrowid))
        self.chain.added(added)
        return added

    def end_segments(self, ids: Iterable[int], *, state: str, reason: str | None, now_us: int) -> None:
        """Takes segments out of the live set: ``replaced`` by a compaction, ``expired``, or ``damaged`` or ``missing``."""
        gone = list(ids)
        self.chain.ending(gone, state=state, reason=reason)
        self._db.executemany(
            "UPDATE segment SET state = ?, reason = ?, ended_us = ? WHERE id = ?", [(state, reason, now_us, i) for i in gone]
        )

    def forget_segments(self, ids: Iterable[int]) -> None:
        """Removes the entries of replaced and expired segments whose files are gone."""
        self._db.executemany("DELETE FROM segment WHERE id = ? AND state IN ('replaced', 'expired')", [(i,) for i in ids])

    def raise_mark(self, stream_id: int, mark: int) -> None:
        """Records up to ``mark`` are in the lake from now on; their hot batches go, but for one that reaches beyond the mark."""
        self.chain.marking(stream_id, mark)
        self._db.execute("UPDATE stream SET mark = ? WHERE id = ? AND mark < ?", (mark, stream_id, mark))
        self._db.execute("DELETE FROM batch WHERE stream_id = ? AND last <= ?", (stream_id, mark))

    def set_meta(self, key: str, value: str) -> None:
        self._db.execute("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))

    def get_meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def quick_check(self) -> str | None:
        """None when the file is whole, else the first thing that is wrong with it."""
        try:
            found = str(self._db.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as e:
            return str(e)
        return None if found == "ok" else found

    def close(self, *, clean: bool = False) -> None:
        """Closes the file. ``clean``: notes that everything ended in order and moves the WAL into the file, unless the disk is full."""
        if clean:
            try:
                with self.transaction():
                    self.set_meta(CLEAN, "1")
                self._checkpoint("TRUNCATE")
            except sqlite3.Error as e:
                if fate_of(e) is not Fate.PASSING:
                    raise unusable(self.path, e) from e
        self._db.close()


def columns_of(text: str) -> tuple[Column, ...]:
    """The columns that ``schema.columns`` names, as JSON pairs of name and kind."""
    return tuple(Column(name, Kind(kind)) for name, kind in json.loads(text))


def identity_of(text: str | None) -> tuple[str, ...] | None:
    """What ``stream.identity`` holds: JSON, or nothing where no two records are the same one."""
    return None if text is None else tuple(json.loads(text))


def _text(given: str) -> str:
    """Names from outside may hold what is no text (a file's name of any bytes), which SQLite does not take."""
    return given.encode("utf-8", "backslashreplace").decode("utf-8")


def _prepare(path: Path) -> None:
    """Makes the file when there is none and migrates an older one; a later one is refused untouched."""
    if path.is_symlink():
        raise StoreDamaged("is a symbolic link, which the appliance does not follow", path=path, hint="put the file itself there")
    fresh = not path.exists()
    try:
        if not fresh and _version(path) == FORMAT_VERSION:
            return
        from appliance.hot.migrations import migrate

        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if fresh:
                connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN IMMEDIATE")  # one sync of the disk in place of one a step, and never a file half-way
            migrate(connection)
            connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as e:
        raise unusable(path, e) from e


def _version(path: Path) -> int:
    """The file's format; 0 of one that is not SQLite's. Looking touches nothing: no connection that could move a WAL into the file."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    version = int.from_bytes(header[_VERSION_AT], "big") if header.startswith(_MAGIC) else 0
    if _has_wal(path):
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > FORMAT_VERSION:
        raise StoreTooNew(f"{path}: written by a later version (format {version}, this one knows {FORMAT_VERSION}); install that version")
    return version


def _has_wal(path: Path) -> bool:
    wal = path.with_name(f"{path.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def unusable(path: Path, error: sqlite3.Error) -> StoreDamaged | RetryLater:
    """What to tell a person of an error of SQLite."""
    if fate_of(error) is Fate.PASSING:
        return RetryLater(f"{path} can't be written: {error}; make room, or end what holds it", after_s=5)
    return StoreDamaged(f"can't be used: {error}", path=path, hint="restore a backup, or move it away to start with the lake alone")
