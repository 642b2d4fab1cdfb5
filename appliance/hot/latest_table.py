"""The last record of each series as an ordinary table of ``hot.sqlite``, one for each stream: ``latest_<folder>``.

Written when a roll moves records away, so that last values and the reach of each series survive it; what is newer is
rebuilt from the hot batches. ``at`` shows the time as text for people.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from appliance.hot.series import I64, U64
from appliance.records import Kind, Schema

_SQL_TYPE = {Kind.TAG: "TEXT", Kind.TEXT: "TEXT", Kind.FLOAT: "REAL", Kind.INT: "INTEGER", Kind.BOOL: "INTEGER"}
_OWN = ("_series", "_seq", "_reach", "ts")
_TAKEN = frozenset({*_OWN, "at"})
_PREFIX = "field_"
GONE = -1
Execute = Callable[..., sqlite3.Cursor]


def table_name(folder: str) -> str:
    """By the stream's encoded name."""
    return f"latest_{folder}"


def save(db: sqlite3.Connection, schema: Schema, folder: str, hashes: U64, seqs: I64, data: pa.RecordBatch, *, reach: I64) -> None:
    """Writes these last records over those of the same series; inside the owner's transaction.

    ``reach`` is how far each series has come in event time: later than the record's own time never, earlier for one from the future.
    """
    table = _quoted(table_name(folder))
    have = _columns_of(db.execute, folder)
    if not have:
        db.execute(
            f"CREATE TABLE {table} (_series INTEGER PRIMARY KEY, _seq INTEGER NOT NULL, _reach INTEGER NOT NULL, ts INTEGER NOT NULL,"
            " at TEXT GENERATED ALWAYS AS (strftime('%Y-%m-%dT%H:%M:%fZ', ts / 1000000.0, 'unixepoch')) VIRTUAL)"
        )
    names = [_column(c.name) for c in schema.columns]
    for column, name in zip(schema.columns, names, strict=True):
        if name not in have:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {_quoted(name)} {_SQL_TYPE[column.kind]}")
    columns: list[Sequence[object]] = [
        hashes.view(np.int64).tolist(),
        seqs.tolist(),
        reach.tolist(),
        data.column(0).cast(pa.int64()).to_pylist(),
    ]
    columns += [data.column(i + 1).to_pylist() for i in range(len(names))]
    listed = ", ".join(_quoted(n) for n in (*_OWN, *names))
    places = ", ".join("?" * (len(_OWN) + len(names)))
    db.executemany(f"INSERT OR REPLACE INTO {table} ({listed}) VALUES ({places})", zip(*columns, strict=True))


def forget(db: sqlite3.Connection, schema: Schema, folder: str, hashes: U64, *, up_to_seq: int) -> None:
    """These series have no last record any more, unless a newer one was saved; how far they have come stays. In the owner's transaction."""
    have = _columns_of(db.execute, folder)
    if not have:
        return
    fields = [f", {_quoted(_column(c.name))} = NULL" for c in schema.fields if _column(c.name) in have]
    statement = f"UPDATE {_quoted(table_name(folder))} SET _seq = {GONE}{''.join(fields)} WHERE _series = ? AND _seq <= ?"
    db.executemany(statement, [(series, up_to_seq) for series in hashes.view(np.int64).tolist()])


def load(execute: Execute, schema: Schema, folder: str) -> tuple[U64, I64, pa.RecordBatch] | None:
    """(series, sequence, record) of each series as last saved, by series, in the columns of ``schema``; None where nothing was saved.

    The sequence is ``GONE`` where the record was deleted and there is no other.
    """
    have = _columns_of(execute, folder)
    if not have:
        return None
    names = [_column(c.name) for c in schema.columns]
    listed = ", ".join(_quoted(n) if n in have else "NULL" for n in ("_series", "_seq", "ts", *names))
    rows = execute(f"SELECT {listed} FROM {_quoted(table_name(folder))} ORDER BY _series < 0, _series").fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [()] * (3 + len(names))
    arrays = [_array(values, field.type) for values, field in zip(columns[2:], schema.arrow, strict=True)]
    data = pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)
    return np.asarray(columns[0], dtype=np.int64).view(np.uint64), np.asarray(columns[1], dtype=np.int64), data


def load_reach(execute: Execute, folder: str) -> I64 | None:
    """How far each series had come, in the order of ``load``; None where nothing was saved."""
    if not _columns_of(execute, folder):
        return None
    rows = execute(f"SELECT _reach FROM {_quoted(table_name(folder))} ORDER BY _series < 0, _series").fetchall()
    return np.asarray([row[0] for row in rows], dtype=np.int64)


def _columns_of(execute: Execute, folder: str) -> frozenset[str]:
    """What the table has besides ``at``; empty when there is no table."""
    return frozenset(str(row[1]) for row in execute(f"PRAGMA table_info({_quoted(table_name(folder))})"))


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    if pa.types.is_boolean(kind):
        return pa.array([None if v is None else bool(v) for v in values], kind)
    if pa.types.is_floating(kind):
        return pa.array([None if v is None else float(v) for v in values], kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def _column(name: str) -> str:
    """A stream's column that has the name of one of the table's own gets a prefix, and so does one that starts with the prefix."""
    return _PREFIX + name if name.lower() in _TAKEN or name.lower().startswith(_PREFIX) else name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
