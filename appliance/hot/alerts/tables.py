"""What was decided goes into ``hot.sqlite`` in one transaction, and comes back from there at the start.

All that writes runs in the writer's thread, with its connection. What has been told and what fires is one commit, made to survive a
power cut whatever the config says of records.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from appliance.hot.alerts import outbox
from appliance.hot.alerts.plan import Known, Place, Plan
from appliance.hot.alerts.reads import Reads, has_tables
from appliance.hot.alerts.rows import (
    ALERT_COLUMNS,
    EVENT_COLUMNS,
    SILENCE_COLUMNS,
    alert_row,
    as_json,
    event_row,
    from_json,
    instance_of,
    key_text,
    marks,
    silence_from,
    silence_row,
)
from appliance.hot.alerts.values import Instance, Silence
from appliance.hot.store import HotStore

SILENCES_KEPT: Final = 10_000
"""The newest ones; older ones are dropped once they are over."""
_PLACE_COLUMNS: Final = "stream_id, seq, event_us, watermark_us, wall_us"


@dataclass(frozen=True, slots=True)
class Written:
    """What the store has made of a plan."""

    events: range = range(0)
    """Ids of its transitions, in their order."""
    messages: tuple[int, ...] = ()
    """Messages of the outbox that are new or have got more items."""


@contextmanager
def durable(connection: sqlite3.Connection) -> Iterator[None]:
    """Commits inside survive a power cut; afterwards the connection is as it was. Goes around a transaction, not into one."""
    assert not connection.in_transaction, "SQLite would not take it within a transaction"
    (before,) = connection.execute("PRAGMA synchronous").fetchone()
    if before >= _FULL:
        yield
        return
    connection.execute(f"PRAGMA synchronous={_FULL}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA synchronous={int(before)}")


_FULL = 2


def commit_alerts(store: HotStore, plan: Plan, *, history_max: int) -> Written:
    """Writes a plan in a transaction of its own that survives a power cut. For ``Writer.call``: ``lambda c: commit_alerts(c.store, …)``.

    Raises ``sqlite3.Error``; nothing of it is there then, and the same plan can be written again.
    """
    with durable(store.connection), store.transaction():
        return write(store.connection, plan, history_max=history_max)


def write(connection: sqlite3.Connection, plan: Plan, *, history_max: int) -> Written:
    """Writes a plan within the caller's transaction; of the history the newest ``history_max`` transitions are kept."""
    _write_alerts(connection, plan)
    connection.executemany(
        f"INSERT OR REPLACE INTO silence ({SILENCE_COLUMNS}) VALUES ({marks(SILENCE_COLUMNS)})", map(silence_row, plan.silences)
    )
    connection.executemany(
        f"INSERT OR REPLACE INTO evaluated ({_PLACE_COLUMNS}) VALUES ({marks(_PLACE_COLUMNS)})",
        [(p.stream_id, p.seq, p.event_us, p.watermark_us, p.wall_us) for p in plan.places],
    )
    _write_known(connection, plan.known)
    events = _write_events(connection, plan, history_max)
    if plan.silences:
        _trim_silences(connection, plan.now_us)
    besides = [message for beside in plan.beside for message in beside(connection)]
    return Written(events, (*outbox.put(connection, plan.parcels, now_us=plan.now_us), *besides))


def load_instances(reads: Reads) -> list[Instance]:
    """Every alert that is stored."""
    if not has_tables(reads):
        return []
    return [instance_of(row) for row in reads.execute(f"SELECT {ALERT_COLUMNS} FROM alert")]


def load_silences(reads: Reads, *, now_us: int) -> list[Silence]:
    """Silences that are in force or still to come."""
    if not has_tables(reads):
        return []
    found = reads.execute(f"SELECT {SILENCE_COLUMNS} FROM silence WHERE until_us > ? AND ended_us IS NULL ORDER BY id", (now_us,))
    return [silence_from(row) for row in found]


def load_silence_id(reads: Reads) -> int:
    """The highest id that a silence was ever given; 0: none."""
    if not has_tables(reads):
        return 0
    return max((int(row[0]) for row in reads.execute("SELECT seq FROM sqlite_sequence WHERE name = 'silence'")), default=0)


def load_known(reads: Reads) -> dict[str, Known]:
    """The rules as they were when the alerts were stored, by name."""
    if not has_tables(reads):
        return {}
    found = reads.execute("SELECT name, condition, columns FROM alert_rule")
    return {name: Known(condition, tuple(from_json(columns))) for name, condition, columns in found}


def load_places(reads: Reads) -> dict[int, Place]:
    """How far each stream was evaluated, by the stream's id; a stream without an entry never was."""
    if not has_tables(reads):
        return {}
    return {row[0]: Place(*row) for row in reads.execute(f"SELECT {_PLACE_COLUMNS} FROM evaluated")}


def _write_alerts(connection: sqlite3.Connection, plan: Plan) -> None:
    gone = [(rule, key_text(key)) for (rule, key), instance in plan.instances.items() if instance is None]
    kept = [alert_row(i, plan.columns.get(i.rule, ())) for i in plan.instances.values() if i is not None]
    connection.executemany("DELETE FROM alert WHERE rule = ? AND key = ?", gone)
    connection.executemany(f"INSERT OR REPLACE INTO alert ({ALERT_COLUMNS}) VALUES ({marks(ALERT_COLUMNS)})", kept)


def _write_known(connection: sqlite3.Connection, known: Mapping[str, Known | None]) -> None:
    for name, rule in known.items():
        connection.execute("DELETE FROM alert_rule WHERE name = ?", (name,))
        if rule is not None:
            connection.execute(
                "INSERT INTO alert_rule (name, condition, columns) VALUES (?, ?, ?)", (name, rule.condition, as_json(rule.by))
            )


def _write_events(connection: sqlite3.Connection, plan: Plan, history_max: int) -> range:
    if not plan.transitions:
        return range(0)
    connection.executemany(
        f"INSERT INTO alert_event ({EVENT_COLUMNS}) VALUES ({marks(EVENT_COLUMNS)})",
        [event_row(t, plan.columns_of(t)) for t in plan.transitions],
    )
    (last,) = connection.execute("SELECT max(id) FROM alert_event").fetchone()
    connection.execute("DELETE FROM alert_event WHERE id <= ?", (last - history_max,))
    return range(last - len(plan.transitions) + 1, last + 1)


def _trim_silences(connection: sqlite3.Connection, now_us: int) -> None:
    connection.execute(
        "DELETE FROM silence WHERE id <= (SELECT max(id) FROM silence) - ? AND (until_us <= ? OR ended_us IS NOT NULL)",
        (SILENCES_KEPT, now_us),
    )
