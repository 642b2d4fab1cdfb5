"""The tables of what was deleted by people and removed by retention; statements only, inside the writer's transactions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from appliance.manifest import Deletion, Segment
from appliance.records import fold

_REMOVAL = (
    "INSERT INTO removal (at_us, stream_id, kind, why, author, segment_id, path, sha256, day, days, first, last, rows,"
    " ts_min, ts_max, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def load(db: sqlite3.Connection, stream_id: int, stream: str) -> tuple[Deletion, ...]:
    """The deletions of a stream that are not physically done, by id."""
    found = db.execute(
        "SELECT id, since_us, until_us, matching, up_to_seq, at_us, author, reason FROM deletion"
        " WHERE stream_id = ? AND ended_us IS NULL ORDER BY id",
        (stream_id,),
    )
    return tuple(Deletion(row[0], stream, row[1], row[2], json.loads(row[3]), *row[4:]) for row in found)


def newest(execute: Callable[..., sqlite3.Cursor]) -> int:
    """The highest id of a deletion of any stream; 0: there was none."""
    return int(execute("SELECT coalesce(max(id), 0) FROM deletion").fetchone()[0])


def after(execute: Callable[..., sqlite3.Cursor], deletion_id: int) -> list[Deletion]:
    """The deletions of all streams with higher ids, also those that are physically done; by id."""
    found = execute(
        "SELECT d.id, s.name, d.since_us, d.until_us, d.matching, d.up_to_seq, d.at_us, d.author, d.reason"
        " FROM deletion d JOIN stream s ON s.id = d.stream_id WHERE d.id > ? ORDER BY d.id",
        (deletion_id,),
    )
    return [Deletion(row[0], row[1], row[2], row[3], json.loads(row[4]), *row[5:]) for row in found]


def expired_since(execute: Callable[..., sqlite3.Cursor], *, at_us: int, since_us: int, until_us: int) -> set[str]:
    """Folded names of the streams of which retention has removed a record of that span of event time, at ``at_us`` or later."""
    found = execute(
        "SELECT DISTINCT s.name FROM removal r JOIN stream s ON s.id = r.stream_id"
        " WHERE r.kind = 'retention' AND r.at_us >= ? AND r.ts_max >= ? AND r.ts_min < ?",
        (at_us, since_us, until_us),
    )
    return {fold(row[0]) for row in found}


def evidence(deletion: Deletion, *, records: int | None) -> dict[str, Any]:
    """What the chain of evidence says of a deletion."""
    return {
        "stream": deletion.stream,
        "deletion": deletion.id,
        "since_us": deletion.since_us,
        "until_us": deletion.until_us,
        "matching": dict(deletion.matching),
        "up_to_seq": deletion.up_to_seq,
        "records": records,
        "who": deletion.author,
        "why": deletion.reason,
    }


def add(db: sqlite3.Connection, stream_id: int, deletion: Deletion, *, records: int | None) -> Deletion:
    """Writes a deletion down; ``records`` is how many it was said to hide. Returns it with its id."""
    cursor = db.execute(
        "INSERT INTO deletion (stream_id, since_us, until_us, matching, up_to_seq, at_us, author, reason, records)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            stream_id,
            deletion.since_us,
            deletion.until_us,
            json.dumps(dict(deletion.matching), ensure_ascii=False),
            deletion.up_to_seq,
            deletion.at_us,
            deletion.author,
            deletion.reason,
            records,
        ),
    )
    assert cursor.lastrowid is not None
    return replace(deletion, id=cursor.lastrowid)


def end(db: sqlite3.Connection, ids: Iterable[int], *, now_us: int) -> None:
    """These deletions are physically done."""
    db.executemany("UPDATE deletion SET ended_us = ? WHERE id = ?", [(now_us, i) for i in ids])


def note_latest(db: sqlite3.Connection, ids: Iterable[int], *, now_us: int) -> None:
    """The last values of the series that these deletions touch have been found anew."""
    db.executemany("UPDATE deletion SET latest_us = ? WHERE id = ?", [(now_us, i) for i in ids])


def without_latest(execute: Callable[..., sqlite3.Cursor], stream_id: int) -> set[int]:
    """The deletions of a stream after which its last values have not been found anew."""
    found = execute("SELECT id FROM deletion WHERE stream_id = ? AND ended_us IS NULL AND latest_us IS NULL", (stream_id,))
    return {int(row[0]) for row in found}


def note_purged(db: sqlite3.Connection, segments: Iterable[Segment], *, purged: int) -> None:
    """These files hold no record of any deletion up to that one."""
    db.executemany("UPDATE segment SET purged = ? WHERE id = ?", [(purged, s.id) for s in segments])


def add_removals(
    db: sqlite3.Connection, stream_id: int, segments: Iterable[Segment], *, kind: str, why: str, author: str, now_us: int
) -> None:
    """Writes down which files are no longer part of the lake, with their hashes: so the gap that they leave can be told from a loss."""
    db.executemany(
        _REMOVAL,
        [
            (
                now_us,
                stream_id,
                kind,
                why,
                author,
                s.id,
                s.path,
                s.sha256,
                s.day,
                s.days,
                s.first,
                s.last,
                s.rows,
                s.ts_min,
                s.ts_max,
                s.bytes,
            )
            for s in segments
        ],
    )
