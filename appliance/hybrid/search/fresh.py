"""The index of hot records: FTS5 in ``search/hot.sqlite``, filled right behind the commits, a table for each run of records of a stream.

It has one writer (``Fresh.follow``, called by one thread at a time) and is emptied at each start: what it lacks is read in the ring,
so it need not survive anything, and is never synced. Few records are not worth an index and never reach it. It gives candidates,
whose texts are looked at: what is in it may be too much, and may not be too little.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.cold.beside import HOT
from appliance.hot.state import Chunk, StreamState
from appliance.hybrid.search.language import All, Leaf, Node, Not, Query
from appliance.hybrid.search.sought import texts_of
from appliance.hybrid.search.words import I64, Split, split
from appliance.records import fold

log = logging.getLogger(__name__)
ROWS_MIN: Final = 4_096
"""Hot records that are not indexed yet, from which on they are: fewer are read in some milliseconds."""
ROUND_ROWS: Final = 5_000
"""Records of one transaction."""
CANDIDATES_MAX: Final = 2_000
"""Where more records than this have the words, those are so common that the newest are found as fast without an index."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which of the records with the sequences ``first`` to ``last`` can fit."""

    first: int
    last: int
    seqs: I64
    """Rising."""


@dataclass(slots=True)
class _Run:
    """One table: the contiguous sequences that it holds."""

    table: str
    first: int
    last: int
    fields: tuple[str, ...]


class Fresh:
    """See the module. ``candidates`` and ``indexed`` may be called from any thread."""

    def __init__(self, root: Path, *, fields: Callable[[StreamState], tuple[str, ...]], rows_min: int = ROWS_MIN) -> None:
        """Nothing is made before there is something to index."""
        self._path = root / HOT
        self._fields, self._rows_min = fields, rows_min
        self._runs: dict[str, _Run] = {}
        self._count = 0
        self._db: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        for end in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)

    def close(self) -> None:
        """After it nothing is indexed."""
        with self._lock:
            self._runs.clear()
            if self._db is not None:
                self._db.close()
                self._db = None

    def indexed(self, stream: StreamState) -> int:
        """Hot records that it holds."""
        run = self._runs.get(fold(stream.name))
        return 0 if run is None else max(0, run.last - max(run.first - 1, stream.mark))

    @property
    def bytes(self) -> int:
        """On the disk."""
        return sum(p.stat().st_size for end in ("", "-wal") if (p := self._path.with_name(self._path.name + end)).exists())

    def is_due(self, stream: StreamState) -> bool:
        """Whether there is something to do for a stream."""
        run = self._runs.get(fold(stream.name))
        if run is not None and (run.last <= stream.mark or run.fields != self._fields(stream)):
            return True
        after = max(stream.mark, stream.ring_first - 1) if run is None else run.last
        return stream.last_seq - after >= self._rows_min and bool(self._fields(stream))

    def follow(self, stream: StreamState) -> bool:
        """One round: forgets what has been rolled, indexes some of what has come; whether there is more to do."""
        key, fields = fold(stream.name), self._fields(stream)
        run = self._runs.get(key)
        if run is not None and (run.last <= stream.mark or run.fields != fields or run.last + 1 < stream.ring_first):
            self._drop(key, run)
            run = None
        chunks = stream.ring_chunks(after=stream.mark if run is None else run.last)
        if not chunks or not fields or stream.last_seq - chunks[0].first + 1 < self._rows_min:
            return False
        if run is None:
            run = self._made(chunks[0].first, fields)
        last = self._write(run, chunks)
        run.last = last
        self._runs[key] = run
        return stream.last_seq - last >= self._rows_min

    def candidates(self, stream: StreamState, fields: tuple[str, ...], query: Query) -> Candidates | None:
        """Which hot records can fit; None where it can't say, or where too many can."""
        run = self._runs.get(fold(stream.name))
        expression = _expression(query.root)
        if run is None or run.fields != fields or expression is None:
            return None
        first, last = run.first, run.last
        sql = f"SELECT rowid FROM {run.table} WHERE {run.table} MATCH ? AND rowid > ? LIMIT {CANDIDATES_MAX + 1}"
        with self._lock:
            if self._db is None:
                return None
            try:
                found = self._db.execute(sql, (expression, stream.mark)).fetchall()
            except sqlite3.Error as e:
                log.warning("the search index of hot records can't be read, texts are: %s", e)
                return None
        if len(found) > CANDIDATES_MAX:
            return None
        seqs = np.fromiter((row[0] for row in found), np.int64, len(found))
        return Candidates(first, last, np.sort(seqs[seqs <= last]))

    def _made(self, first: int, fields: tuple[str, ...]) -> _Run:
        self._count += 1
        table = f"run{self._count}"
        with self._lock:
            db = self._opened()
            db.execute(f"CREATE VIRTUAL TABLE {table} USING fts5(words, content='', detail=none, columnsize=0, tokenize='ascii')")
        return _Run(table, first, first - 1, fields)

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            for pragma in ("auto_vacuum=FULL", "journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-2048"):
                self._db.execute(f"PRAGMA {pragma}")
        return self._db

    def _drop(self, key: str, run: _Run) -> None:
        self._runs.pop(key, None)
        with self._lock:
            if self._db is not None:
                self._db.execute(f"DROP TABLE IF EXISTS {run.table}")

    def _write(self, run: _Run, chunks: Sequence[Chunk]) -> int:
        """Some records from the first on; the last sequence that is in."""
        rows, last = 0, run.last
        for chunk in chunks:
            for at in range(0, chunk.rows, ROUND_ROWS):
                piece = chunk.data.slice(at, ROUND_ROWS)
                self._insert(run, piece, first=chunk.first + at)
                rows, last = rows + piece.num_rows, int(chunk.first + at + piece.num_rows - 1)
                if rows >= ROUND_ROWS:
                    return last
        return last

    def _insert(self, run: _Run, piece: pa.RecordBatch, *, first: int) -> None:
        texts = [words_alone(split(column)) for column in texts_of(piece, run.fields)]
        joined = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, b" ")
        rows = [(first + i, text) for i, text in enumerate(joined.to_pylist()) if text]
        with self._lock:
            db = self._opened()
            db.execute("BEGIN")
            db.executemany(f"INSERT INTO {run.table} (rowid, words) VALUES (?, ?)", rows)
            db.execute("COMMIT")


def words_alone(of: Split) -> Any:
    """The words of each row with single spaces between them, as an array of bytes."""
    sizes = of.size + 1
    ends = np.cumsum(sizes)
    data = np.full(int(ends[-1]) if len(ends) else 0, 32, np.uint8)
    starts = ends - sizes
    inside = np.arange(int(of.size.sum()), dtype=np.int64)
    before = np.repeat(np.cumsum(of.size) - of.size, of.size)
    data[np.repeat(starts, of.size) + inside - before] = of.data[np.repeat(of.begin, of.size) + inside - before]
    counts = np.bincount(of.row, minlength=of.rows)
    offsets = np.append(0, np.append(0, ends)[np.cumsum(counts)]).astype(np.int32)
    return pa.BinaryArray.from_buffers(pa.binary(), of.rows, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _expression(node: Node) -> bytes | None:
    """What FTS5 is asked: at least what fits. None: everything may."""
    if isinstance(node, Leaf):
        last = len(node.words) - 1
        parts = [b'"' + w + (b'" *' if node.is_prefix and i == last else b'"') for i, w in enumerate(node.words)]
        return b"(" + b" AND ".join(parts) + b")"
    if isinstance(node, Not):
        return None
    found = [_expression(n) for n in node.of]
    known = [f for f in found if f is not None]
    if isinstance(node, All):
        return b"(" + b" AND ".join(known) + b")" if known else None
    return b"(" + b" OR ".join(known) + b")" if len(known) == len(found) else None
