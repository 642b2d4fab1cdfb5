"""The file of a sealed index: SQLite, written once under a temporary name, read-only ever after.

Tables: ``meta`` (format, stream, fields, SHA-256 of the segment, rows), ``part`` (runs of rows), ``words`` (blocks of words of a run).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from appliance.hybrid.search.language import Query
from appliance.hybrid.search.sealed.frames import Broken, Frames
from appliance.hybrid.search.sealed.looking import Memory, Room, Run
from appliance.hybrid.search.sealed.packing import PackedPart
from appliance.hybrid.search.words import U8, Mask

FORMAT: Final = 1
_TABLES: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE part (id INTEGER PRIMARY KEY, first INTEGER NOT NULL, rows INTEGER NOT NULL, common BLOB NOT NULL, head BLOB NOT NULL)",
    "CREATE TABLE words (part INTEGER NOT NULL, number INTEGER NOT NULL, first BLOB NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY (part, number))",
    "CREATE UNIQUE INDEX words_first ON words (part, first)",
)
_PAGE_BYTES: Final = 1_024
"""Blobs end anywhere in a page: small pages waste less of it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file says of itself."""

    stream: str
    fields: tuple[str, ...]
    sha256: str
    """Of the segment."""
    rows: int
    text_bytes: int
    """Of the indexed columns as the segment's Parquet holds them."""


def write_index(path: Path, facts: Facts, parts: Iterable[PackedPart]) -> None:
    """Fills a new file; ``parts`` follow each other from the segment's first row on."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA synchronous=OFF")
        db.execute("BEGIN")
        for sql in _TABLES:
            db.execute(sql)
        first = 0
        for number, part in enumerate(parts):
            db.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?)", (number, first, part.rows, part.common, part.head))
            rows = [(number, i, word, body) for i, (word, body) in enumerate(part.blocks)]
            db.executemany("INSERT INTO words VALUES (?, ?, ?, ?)", rows)
            first += part.rows
        assert first == facts.rows, f"{first} rows indexed of {facts.rows}"
        said = {
            "format": str(FORMAT),
            "stream": facts.stream,
            "fields": json.dumps(facts.fields),
            "sha256": facts.sha256,
            "rows": str(facts.rows),
            "text_bytes": str(facts.text_bytes),
        }
        db.executemany("INSERT INTO meta VALUES (?, ?)", said.items())
        db.execute("COMMIT")


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA cache_size=-256")
    return db


@contextmanager
def _wrapped(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, pa.ArrowException, OSError, ValueError, IndexError, TypeError) as e:
        raise Broken(f"{path.name}: {e}") from e


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with _wrapped(path), closing(_connected(path)) as db:
        yield db


def read_facts(path: Path) -> Facts:
    """What the file says of itself. Raises ``Broken`` for another format and for what is no index."""
    with _reading(path) as db:
        said = {str(k): str(v) for k, v in db.execute("SELECT key, value FROM meta")}
    try:
        if said["format"] != str(FORMAT):
            raise Broken(f"{path.name} has the format {said['format']}")
        fields = tuple(json.loads(said["fields"]))
        return Facts(said["stream"], fields, said["sha256"], int(said["rows"]), int(said["text_bytes"]))
    except (KeyError, ValueError) as e:
        raise Broken(f"{path.name} says nothing of itself") from e


class OpenIndex:
    """One file, open; from any thread, which waits for others. It remembers its common words, and few patterns of them."""

    def __init__(self, path: Path, room: Room | None = None) -> None:
        """``room`` is what may be remembered of all files together. Raises ``Broken``."""
        self._path = path
        self._room = room or Room()
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._parts: list[_Part] = []

    def scores(self, query: Query) -> list[tuple[int, U8, Mask | None]]:
        """For each run of rows in which some fit: its first row, and ``Run.scores``. Raises ``Broken``."""
        found = []
        with self._lock, _wrapped(self._path):
            db = self._opened()
            for part in self._parts:
                scores = part.run(db).scores(query)
                if scores is not None:
                    found.append((part.first, *scores))
        return found

    def count(self, query: Query) -> int:
        """In how many rows ``scores`` is not 0. Raises ``Broken``."""
        with self._lock, _wrapped(self._path):
            db = self._opened()
            return sum(part.run(db).count(query) for part in self._parts)

    def close(self) -> None:
        """Whoever asks again opens it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
            for part in self._parts:
                part.memory.forget()
            self._parts = []

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = _connected(self._path)
            sql = "SELECT id, first, rows, common FROM part ORDER BY id"
            found = self._db.execute(sql).fetchall()
            self._parts = [_Part(i, first, rows, Frames(common).section(0), Memory(room=self._room)) for i, first, rows, common in found]
        return self._db


@dataclass(frozen=True, slots=True)
class _Part:
    """A run of rows, and what is remembered of it."""

    number: int
    first: int
    rows: int
    common: bytes
    memory: Memory

    def run(self, db: sqlite3.Connection) -> Run:
        return Run(self.rows, self.common, partial(_head, db, self.number), partial(_blocks, db, self.number), self.memory)


def _head(db: sqlite3.Connection, part: int) -> bytes:
    return bytes(db.execute("SELECT head FROM part WHERE id = ?", (part,)).fetchone()[0])


def _blocks(db: sqlite3.Connection, part: int, word: bytes, is_prefix: bool) -> list[bytes]:
    before = "SELECT body FROM words WHERE part = ? AND first <= ? ORDER BY first DESC LIMIT 1"
    found = [row[0] for row in db.execute(before, (part, word))]
    if is_prefix:
        after = "SELECT body FROM words WHERE part = ? AND first > ? AND first < ? ORDER BY first"
        found += [row[0] for row in db.execute(after, (part, word, word + b"\xff\xff\xff\xff"))]
    return found


def check(path: Path) -> None:
    """Reads every blob. Raises ``Broken`` where one is not what was written."""
    with _reading(path) as db:
        for (blob,) in db.execute("SELECT common FROM part UNION ALL SELECT head FROM part UNION ALL SELECT body FROM words"):
            Frames(blob)
