"""The hot store: one SQLite file that makes committed rows durable and holds the manifest.

``HotStore`` is the only connection that writes or checkpoints; the door's writer thread owns it and nobody else calls it.
It holds no truth in memory: each method is one statement or a few inside the transaction that the owner has begun.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from appliance.errors import StoreDamaged, StoreTooNew
from appliance.hot.encoding import encode
from appliance.manifest import Dirty, Segment
from appliance.records import Column, FileProgress, Kind, Reject, Schema, fold

FORMAT_VERSION = 1
"""``PRAGMA user_version`` of the file; a higher one is from a later appliance and is refused."""
WAL_BYTES_KEPT = 16 * 1024 * 1024
"""The WAL file is cut back to this after a checkpoint (measured: 0 doubles the bytes that are written)."""
WAL_PAGES_CHECKPOINT = 1000
FILE_NAME = "hot.sqlite"


class HotStore:
    """The write connection. One owner: the door's writer thread."""

    def __init__(self, folder: Path, *, durability: str) -> None:
        """Opens or creates ``folder/hot.sqlite``. Raises ``StoreTooNew`` or ``StoreDamaged``; touches nothing then."""
        self.path = folder / FILE_NAME
        _prepare(self.path)
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
            for pragma in (
                "journal_mode=WAL",
                f"synchronous={'FULL' if durability == 'power-loss' else 'NORMAL'}",
                "secure_delete=OFF",
                f"journal_size_limit={WAL_BYTES_KEPT}",
                f"wal_autocheckpoint={WAL_PAGES_CHECKPOINT}",
                "busy_timeout=5000",
                "cache_size=-4000",
                "temp_store=MEMORY",
            ):
                self._db.execute(f"PRAGMA {pragma}")
        except sqlite3.DatabaseError as e:
            raise _damaged(self.path, e) from e

    @property
    def connection(self) -> sqlite3.Connection:
        """For reading at start and for the state tables of the hot path; the owner's thread only."""
        return self._db

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable when it has been left without an error."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def boot(self, boot_id: str) -> int:
        """The row of this boot of the machine, made when it is new."""
        with self.transaction():
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
    ) -> int:
        """Stores rows with the sequences from ``first`` on and returns the size of their body in bytes."""
        encoding, body = encode(schema, data)
        last = first + data.num_rows - 1
        self._db.execute(
            "INSERT INTO batch (stream_id, first, last, ts_min, ts_max, schema_version, encoding, boot, uptime_us, committed_us, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (stream_id, first, last, ts_min, ts_max, schema.version, encoding, boot, uptime_us, now_us, memoryview(body)),
        )
        self._db.execute("UPDATE stream SET last_seq = ?, last_commit_us = ? WHERE id = ?", (last, now_us, stream_id))
        return len(memoryview(body))

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
            [(now_us, source, r.stream, format_, r.reason, r.line, r.raw) for r in rejects],
        )

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
                progress.stream,
                progress.name,
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
                "INSERT INTO segment (stream_id, day, path, first, last, rows, ts_min, ts_max, bytes, sha256, schema_version, level, created_us)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stream_id,
                    s.day,
                    s.path,
                    s.first,
                    s.last,
                    s.rows,
                    s.ts_min,
                    s.ts_max,
                    s.bytes,
                    s.sha256,
                    s.schema_version,
                    s.level,
                    now_us,
                ),
            )
            assert cursor.lastrowid is not None
            added.append(_with_id(s, cursor.lastrowid))
        return added

    def end_segments(self, ids: Iterable[int], *, state: str, reason: str | None, now_us: int) -> None:
        """Takes segments out of the live set: ``replaced`` by a compaction, or ``damaged`` or ``missing``."""
        self._db.executemany("UPDATE segment SET state = ?, reason = ?, ended_us = ? WHERE id = ?", [(state, reason, now_us, i) for i in ids])

    def forget_segments(self, ids: Iterable[int]) -> None:
        """Removes the entries of replaced segments whose files are gone."""
        self._db.executemany("DELETE FROM segment WHERE id = ? AND state = 'replaced'", [(i,) for i in ids])

    def raise_mark(self, stream_id: int, mark: int) -> None:
        """Records up to ``mark`` are in the lake from now on; their hot batches go, but for one that reaches beyond the mark."""
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

    def close(self) -> None:
        """Checkpoints what is in the WAL and closes the file."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


def columns_of(text: str) -> tuple[Column, ...]:
    """The columns that ``schema.columns`` names, as JSON pairs of name and kind."""
    return tuple(Column(name, Kind(kind)) for name, kind in json.loads(text))


def identity_of(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))


def _with_id(segment: Segment, segment_id: int) -> Segment:
    return replace(segment, id=segment_id)


def _prepare(path: Path) -> None:
    """Makes the file when there is none and migrates an older one; a later one is refused untouched."""
    if path.is_symlink():
        raise StoreDamaged("is a symbolic link, which the appliance does not follow", path=path, hint="put the file itself there")
    fresh = not path.exists()
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > FORMAT_VERSION:
            raise StoreTooNew(f"{path}: written by a later version (format {version}, this one knows {FORMAT_VERSION}); install that version")
        if version == FORMAT_VERSION:
            return
        from appliance.hot.migrations import migrate

        if fresh:
            connection.execute("PRAGMA page_size=4096")
        connection.execute("PRAGMA journal_mode=WAL")
        migrate(connection)
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
    except sqlite3.DatabaseError as e:
        raise _damaged(path, e) from e
    finally:
        connection.close()


def _damaged(path: Path, error: sqlite3.DatabaseError) -> StoreDamaged:
    return StoreDamaged(f"can't be used: {error}", path=path, hint="restore a backup, or move it away to start with the lake alone")
