"""What the first pass of analysis knows, in ``hot.sqlite``: for each workload one generation of named parts, in chunks.

A new generation is written chunk by chunk, each in a transaction of its own, so that no commit waits for all of it; it counts from the
transaction on that names it, which also holds the places up to which it has seen its streams. What is left of others is removed with it.
All that writes runs in the writer's thread, in a transaction of the caller's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from zlib import crc32

from appliance.hot.alerts.reads import Reads


@dataclass(frozen=True, slots=True)
class Stored:
    """The generation that counts."""

    generation: int
    """0: nothing was ever stored."""
    parts: Mapping[str, bytes]
    is_whole: bool = True
    """Whether each chunk is what was written; else there are no parts."""


def put_chunk(db: sqlite3.Connection, workload: str, generation: int, part: str, number: int, body: bytes) -> None:
    """A piece of a part of a generation that does not count yet."""
    db.execute(
        "INSERT INTO analysis_chunk (workload, generation, part, number, crc32, body) VALUES (?, ?, ?, ?, ?, ?)",
        (workload, generation, part, number, crc32(body), body),
    )


def put_generation(db: sqlite3.Connection, workload: str, generation: int, places: Mapping[str, int], *, at_us: int) -> None:
    """From now on this generation counts. ``places``: stream -> the sequence up to which it has been seen."""
    db.execute("DELETE FROM analysis_chunk WHERE workload = ? AND generation <> ?", (workload, generation))
    (size,) = db.execute("SELECT coalesce(sum(length(body)), 0) FROM analysis_chunk WHERE workload = ?", (workload,)).fetchone()
    db.execute(
        "INSERT OR REPLACE INTO analysis_state (workload, generation, at_us, bytes, places) VALUES (?, ?, ?, ?, ?)",
        (workload, generation, at_us, size, json.dumps(dict(places))),
    )


def forget_generation(db: sqlite3.Connection, workload: str, generation: int) -> None:
    """What was written of a generation that will never count."""
    db.execute("DELETE FROM analysis_chunk WHERE workload = ? AND generation = ?", (workload, generation))


def keep_only(db: sqlite3.Connection, workloads: Collection[str]) -> None:
    """Everything of other workloads goes."""
    for table in ("analysis_state", "analysis_chunk"):
        known = [str(w) for (w,) in db.execute(f"SELECT DISTINCT workload FROM {table}")]
        db.executemany(f"DELETE FROM {table} WHERE workload = ?", [(w,) for w in known if w not in workloads])


def load_generation(reads: Reads, workload: str) -> Stored:
    """What is stored of a workload; nothing in a file of an older format."""
    if not list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'analysis_state'")):
        return Stored(0, {})
    found = list(reads.execute("SELECT generation FROM analysis_state WHERE workload = ?", (workload,)))
    if not found:
        return Stored(0, {})
    generation = int(found[0][0])
    parts: dict[str, list[bytes]] = {}
    for part, number, crc, body in reads.execute(
        "SELECT part, number, crc32, body FROM analysis_chunk WHERE workload = ? AND generation = ? ORDER BY part, number",
        (workload, generation),
    ):
        pieces = parts.setdefault(str(part), [])
        if crc32(body) != crc or number != len(pieces):
            return Stored(generation, {}, is_whole=False)
        pieces.append(bytes(body))
    return Stored(generation, {part: b"".join(pieces) for part, pieces in parts.items()})
