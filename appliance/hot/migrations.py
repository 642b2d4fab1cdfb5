"""The tables of ``hot.sqlite``, as steps that bring any older file to the newest form.

Loaded only when there is something to do (a new or older file), because sqlite-utils is slow to import. All times are
microseconds since 1970 in UTC; the ``…_readable`` views show them as text, for people with ``sqlite3``.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

hot_store = Migrations("hot")

_SPINE = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
CREATE TABLE stream (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, fold TEXT NOT NULL UNIQUE, folder TEXT NOT NULL UNIQUE,
    identity TEXT, mark INTEGER NOT NULL DEFAULT 0, last_seq INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL, last_commit_us INTEGER, future_min INTEGER, future_max INTEGER);
CREATE TABLE schema (
    stream_id INTEGER NOT NULL REFERENCES stream(id), version INTEGER NOT NULL, columns TEXT NOT NULL, PRIMARY KEY (stream_id, version));
CREATE TABLE batch (
    id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL REFERENCES stream(id), first INTEGER NOT NULL, last INTEGER NOT NULL,
    ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL, schema_version INTEGER NOT NULL, encoding INTEGER NOT NULL,
    boot INTEGER NOT NULL, uptime_us INTEGER NOT NULL, committed_us INTEGER NOT NULL, crc32 INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE segment (
    id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL REFERENCES stream(id), day INTEGER NOT NULL, path TEXT NOT NULL UNIQUE,
    first INTEGER NOT NULL, last INTEGER NOT NULL, rows INTEGER NOT NULL, ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL,
    bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, schema_version INTEGER NOT NULL, level INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'live', reason TEXT, created_us INTEGER NOT NULL, ended_us INTEGER);
CREATE TABLE dirty (
    stream_id INTEGER NOT NULL REFERENCES stream(id), day INTEGER NOT NULL, ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (stream_id, day));
CREATE TABLE file (
    digest TEXT NOT NULL, stream TEXT NOT NULL, name TEXT NOT NULL, bytes_total INTEGER NOT NULL, position_next INTEGER NOT NULL,
    done INTEGER NOT NULL, records INTEGER NOT NULL, rejected INTEGER NOT NULL, changed_us INTEGER NOT NULL, PRIMARY KEY (digest, stream));
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, source TEXT NOT NULL, stream TEXT, format TEXT NOT NULL,
    reason TEXT NOT NULL, line INTEGER NOT NULL, raw BLOB NOT NULL, replayed_us INTEGER);
CREATE VIEW streams_readable AS
    SELECT name, last_seq AS records, last_seq - mark AS hot, mark, identity,
           strftime('%Y-%m-%dT%H:%M:%SZ', last_commit_us / 1000000, 'unixepoch') AS last_commit FROM stream;
CREATE VIEW segments_readable AS
    SELECT s.name AS stream, date(g.day * 86400, 'unixepoch') AS day, g.state, g.rows, g.bytes, g.first, g.last, g.path, g.reason
    FROM segment g JOIN stream s ON s.id = g.stream_id;
CREATE VIEW dead_letters_readable AS
    SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch') AS at, source, stream, reason, line,
           CAST(raw AS TEXT) AS raw, replayed_us IS NOT NULL AS replayed FROM dead_letter;
"""


@hot_store()
def spine(db: Any) -> None:
    """Streams and their schemas, hot batches, the manifest, taken files, dead letters."""
    for statement in _SPINE.split(";\n"):
        if statement.strip():
            db.execute(statement)


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the file behind ``connection`` to the newest form; does nothing to one that has it."""
    hot_store.apply(Database(connection))
