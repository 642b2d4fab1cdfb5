"""What waits in the outbox, and what of it is due: as a worker's lane sees it, said once more for tests."""

from __future__ import annotations

import sqlite3

from appliance.hot.alerts.outbox import load_message
from appliance.hot.alerts.values import Message


def waiting(connection: sqlite3.Connection) -> list[Message]:
    """Messages that were not handed over, in the order of their ids."""
    ids = [row[0] for row in connection.execute("SELECT id FROM outbox WHERE state = 'waiting' ORDER BY id").fetchall()]
    return [m for m in (load_message(connection, i) for i in ids) if m is not None]


def firsts(connection: sqlite3.Connection) -> list[Message]:
    """Of each channel and group the oldest that waits: its turn comes first."""
    found: dict[tuple[str, str], Message] = {}
    for message in waiting(connection):
        found.setdefault((message.channel, message.group), message)
    return list(found.values())


def due(connection: sqlite3.Connection, *, now_us: int) -> list[Message]:
    """Those of them that are due. One that was made later than now is: the wall clock was set back, and nobody waits for it."""
    return [m for m in firsts(connection) if m.due_us <= now_us or m.created_us > now_us]
