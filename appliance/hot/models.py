"""The versions of models in ``hot.sqlite``: which there are, which one is in use. Statements within the writer's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
DAMAGED: Final = "damaged"
_COLUMNS: Final = (
    "name, version, path, sha256, method, stream, key_columns, field, made_us, error, naive_error, coverage,"
    " state, reason, active, changed_us"
)


class Reads(Protocol):
    """What runs a SELECT."""

    def execute(self, sql: str, parameters: tuple[object, ...] = ..., /) -> Iterable[Any]:
        """The rows."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One version of one model, as it is registered."""

    name: str
    version: int
    path: str
    """Relative to the data folder."""
    sha256: str
    """Of the whole file."""
    method: str
    stream: str
    by: tuple[str, ...]
    column: str
    made_us: int
    error: float | None
    naive_error: float | None
    coverage: float | None
    state: str
    """``accepted``, ``refused`` or ``damaged``."""
    reason: str
    active: bool
    changed_us: int
    """When its state or its use last changed."""


def models(reads: Reads, name: str | None = None) -> list[ModelRow]:
    """All versions, by name, the newest first. Nothing where the folder is of an older version."""
    if not list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'model'")):
        return []
    found = reads.execute(f"SELECT {_COLUMNS} FROM model WHERE ? IS NULL OR name = ? ORDER BY name, version DESC", (name, name))
    return [_row(*row) for row in found]


def add_model(db: sqlite3.Connection, row: ModelRow) -> None:
    """Registers a version; with ``active`` it takes the place of the one in use."""
    if row.active:
        db.execute("UPDATE model SET active = 0, changed_us = ? WHERE name = ? AND active", (row.changed_us, row.name))
    values = (
        *(row.name, row.version, row.path, row.sha256, row.method, row.stream, json.dumps(row.by), row.column, row.made_us),
        *(row.error, row.naive_error, row.coverage, row.state, row.reason, int(row.active), row.changed_us),
    )
    db.execute(f"INSERT INTO model ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)


def use_model(db: sqlite3.Connection, name: str, version: int | None, *, now_us: int) -> None:
    """From now on this version is in use; None: none is."""
    db.execute("UPDATE model SET active = 0, changed_us = ? WHERE name = ? AND active", (now_us, name))
    if version is not None:
        db.execute("UPDATE model SET active = 1, changed_us = ? WHERE name = ? AND version = ?", (now_us, name, version))


def mark_damaged(db: sqlite3.Connection, name: str, version: int, reason: str, *, now_us: int) -> None:
    """Its file can't be used."""
    statement = "UPDATE model SET state = ?, reason = ?, changed_us = ? WHERE name = ? AND version = ?"
    db.execute(statement, (DAMAGED, reason, now_us, name, version))


def forget_models(db: sqlite3.Connection, name: str, versions: Iterable[int]) -> None:
    """Removes versions that are no longer kept."""
    db.executemany("DELETE FROM model WHERE name = ? AND version = ? AND NOT active", [(name, v) for v in versions])


def _row(*row: Any) -> ModelRow:
    columns = list(row)
    columns[6], columns[14] = tuple(json.loads(row[6])), bool(row[14])
    return ModelRow(*columns)
