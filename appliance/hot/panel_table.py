"""Panels in ``hot.sqlite``: the newest answer of each, whole, with what it has seen. Rows go with their workload.

All that writes runs in the writer's thread, with its connection, in a transaction of the caller's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from appliance.hot.alerts.reads import Reads
from appliance.records import TS_TYPE, fold

AS_OF: Final = "_as_of"
"""The column that says when the answer was found, last of a panel's table."""
PANELS: Final = (
    ("name", "VARCHAR"),
    ("path", "VARCHAR"),
    ("as_of", "TIMESTAMP"),
    ("number", "BIGINT"),
    ("rows", "BIGINT"),
    ("bytes", "BIGINT"),
    ("seen", "VARCHAR"),
    ("parts", "VARCHAR"),
    ("sql", "VARCHAR"),
)
"""Columns of ``_panels`` in SQL, with their types."""
_COLUMNS: Final = "name, sql, path, number, as_of_us, seen, rows, columns, body, parts"


@dataclass(frozen=True, slots=True)
class PanelEntry:
    """One panel as it is stored."""

    name: str
    sql: str
    path: str
    """The path that has made the newest answer; empty before the first."""
    number: int
    """Of the newest answer: one more with each that is kept; 0 before the first."""
    as_of_us: int
    """When the newest answer was found, µs; rises with each answer. 0 before the first."""
    seen: Mapping[str, int]
    """Folded name of each stream -> the highest sequence that the answer has seen."""
    rows: int
    columns: tuple[tuple[str, str], ...]
    """Name and SQL type, without ``_as_of``."""
    body: bytes | None
    """The answer as an Arrow IPC stream; None: there is none (yet)."""
    parts: str | None = None
    """The SQL of the view that holds its closed part; None: it has none."""

    @property
    def table(self) -> pa.Table:
        """The newest answer in the columns of its table, ``_as_of`` last. There is one."""
        assert self.body is not None, "a panel without an answer has no table"
        found = pa.ipc.open_stream(pa.py_buffer(self.body)).read_all()
        as_of = pa.repeat(pa.scalar(self.as_of_us, TS_TYPE), found.num_rows)
        return found.append_column(pa.field(AS_OF, TS_TYPE), as_of)


def put_panel(db: sqlite3.Connection, entry: PanelEntry) -> None:
    """The panel is this from now on."""
    values = (entry.name, entry.sql, entry.path, entry.number, entry.as_of_us, json.dumps(dict(entry.seen)), entry.rows)
    db.execute(
        f"INSERT OR REPLACE INTO panel (fold, {_COLUMNS}) VALUES ({', '.join('?' * 11)})",
        (fold(entry.name), *values, json.dumps(entry.columns), entry.body, entry.parts),
    )


def drop_panels(db: sqlite3.Connection, names: Iterable[str]) -> None:
    """These are panels no longer; their histories stay."""
    db.executemany("DELETE FROM panel WHERE fold = ?", [(fold(name),) for name in names])


def load_panels(reads: Reads, name: str | None = None) -> dict[str, PanelEntry]:
    """The panels, or the one of this name, by folded name; none in a file of an older format."""
    if not list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'panel'")):
        return {}
    where, given = ("", ()) if name is None else (" WHERE fold = ?", (fold(name),))
    found = [_entry(row) for row in reads.execute(f"SELECT {_COLUMNS} FROM panel{where} ORDER BY fold", given)]
    return {fold(entry.name): entry for entry in found}


def look_panels(reads: Reads) -> list[tuple[Any, ...]]:
    """``_panels``: one row a panel, in the columns of ``PANELS``."""
    return [
        (e.name, e.path, e.as_of_us or None, e.number, e.rows, len(e.body or b""), json.dumps(dict(e.seen)), e.parts, e.sql)
        for e in load_panels(reads).values()
    ]


def _entry(row: tuple[Any, ...]) -> PanelEntry:
    name, sql, path, number, as_of_us, seen, rows, columns, body, parts = row
    kinds = tuple((str(column), str(kind)) for column, kind in json.loads(columns))
    return PanelEntry(name, sql, path, number, as_of_us, json.loads(seen), rows, kinds, body, parts)
