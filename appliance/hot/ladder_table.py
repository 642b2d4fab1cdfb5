"""What the box had to leave undone and when: a row for each stretch on a step of the ladder, in ``hot.sqlite``.

All that writes runs in the writer's thread, in a transaction of the caller's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from appliance.hot.alerts.reads import Reads
from appliance.observe.ladder import WORDS, Standing

LADDER: Final = (
    ("id", "BIGINT"),
    ("since", "TIMESTAMP"),
    ("until", "TIMESTAMP"),
    ("step", "BIGINT"),
    ("name", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("why", "VARCHAR"),
)
"""Columns of ``_ladder`` in SQL; ``until`` is NULL while it stands there."""
ROWS_MAX: Final = 10_000
"""The newest stretches that are kept."""


def note_steps(connection: sqlite3.Connection, steps: Iterable[Standing]) -> None:
    """The box has come to these steps one after the other: the stretch before each is over, and one begins unless all is normal."""
    for now in steps:
        end_stretch(connection, now.since_us)
        if now.step:
            connection.execute(
                "INSERT INTO ladder (since_us, step, kind, why) VALUES (?, ?, ?, ?)", (now.since_us, int(now.step), now.kind, now.why)
            )
    connection.execute("DELETE FROM ladder WHERE id <= (SELECT max(id) FROM ladder) - ?", (ROWS_MAX,))


def end_stretch(connection: sqlite3.Connection, until_us: int) -> None:
    """The stretch that is open, if any, is over: a process that begins stands on the normal step."""
    connection.execute("UPDATE ladder SET until_us = max(since_us, ?) WHERE until_us IS NULL", (until_us,))


def has_open(connection: sqlite3.Connection) -> bool:
    """Whether a stretch is open."""
    return connection.execute("SELECT 1 FROM ladder WHERE until_us IS NULL").fetchone() is not None


def look_ladder(reads: Reads) -> Sequence[tuple[Any, ...]]:
    """``_ladder``: every stretch that is kept, the newest first, in the columns of ``LADDER``."""
    if not list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'ladder'")):
        return []
    found = reads.execute("SELECT id, since_us, until_us, step, kind, why FROM ladder ORDER BY id DESC")
    return [(i, since, until, step, WORDS[step], kind, why) for i, since, until, step, kind, why in found]
