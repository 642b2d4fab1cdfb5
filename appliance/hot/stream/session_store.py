"""Open sessions in ``hot.sqlite``: as they were at the place that was stored with them, and as people see them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from appliance.hot.state import StreamState
from appliance.hot.stream.session_watch import Body
from appliance.hot.stream.sessions.live import SessionRow
from appliance.hot.stream.sessions.rows import FIELDS
from appliance.hot.stream.values import Key


class Reads(Protocol):
    """What runs a SELECT."""

    def execute(self, sql: str, parameters: tuple[object, ...] = ..., /) -> Iterable[Any]:
        """The rows."""


def load_bodies(reads: Reads) -> dict[str, dict[Key, str]]:
    """Everything that is stored, by workload and key; nothing from a file of an older version."""
    found: dict[str, dict[Key, str]] = {}
    if _has_table(reads):
        for workload, key, body in reads.execute("SELECT workload, key, body FROM session_open"):
            found.setdefault(workload, {})[tuple(json.loads(key))] = body
    return found


def save_bodies(connection: sqlite3.Connection, bodies: Sequence[tuple[str, Key, str]]) -> None:
    """Stores the newest state of each, within the caller's transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO session_open (workload, key, body) VALUES (?, ?, ?)", [(w, json.dumps(k), b) for w, k, b in bodies]
    )


def shown_sessions(reads: Reads) -> list[SessionRow]:
    """The sessions that were open when the places were stored last."""
    decoded = (msgspec.json.decode(b, type=Body) for of in load_bodies(reads).values() for b in of.values())
    return [body.shown for body in decoded if body.shown is not None]


def closed_sessions(stream: StreamState, *, rows_max: int) -> list[SessionRow]:
    """Sessions that are over, out of the newest records of their stream that the ring holds."""
    found: list[SessionRow] = []
    for chunk in reversed(stream.ring):
        newest = chunk.data.slice(max(0, chunk.rows - rows_max + len(found))).to_pylist()
        found += [_closed(stream, row) for row in reversed(newest)]
        if len(found) >= rows_max:
            break
    return found


def _closed(stream: StreamState, row: dict[str, Any]) -> SessionRow:
    tags = stream.schema.tags
    start = row["ts"]
    start_us = (start - _EPOCH) // timedelta(microseconds=1)
    return SessionRow(
        workload=stream.name,
        key={t: row[t] for t in tags},
        start_us=start_us,
        end_us=row["end_us"],
        duration_s=row["duration_s"],
        records=row["records"],
        is_open=False,
        values={k: v for k, v in row.items() if k not in {*tags, *FIELDS, "ts"}},
    )


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as Arrow gives times without a zone


def _has_table(reads: Reads) -> bool:
    return bool(list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'session_open'")))
