"""The tables of ``hot.sqlite``, as steps that bring any older file to the newest form.

Loaded only when there is something to do (a new or older file), because sqlite-utils is slow to import. All times are
microseconds since 1970 in UTC; the ``…_readable`` views show them as text, for people with ``sqlite3``.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from appliance.hot import tables_sql

hot_store = Migrations("hot")


@hot_store()
def spine(db: Any) -> None:
    """Streams and their schemas, hot batches, the manifest, taken files, dead letters."""
    _run(db, tables_sql.SPINE)


@hot_store()
def alerts(db: Any) -> None:
    """Alerts with their history, silences and the outbox; how far each stream was evaluated; open sessions and baselines."""
    _run(db, tables_sql.ALERTS)


@hot_store()
def time_of_keys(db: Any) -> None:
    """How far the event time of an alert's key is behind that of its stream."""
    _run(db, "ALTER TABLE alert ADD COLUMN behind_us INTEGER NOT NULL DEFAULT 0;\n")


@hot_store()
def jobs(db: Any) -> None:
    """Batch work: what there is, its runs, and the tables that it has made."""
    _run(db, tables_sql.JOBS)


@hot_store()
def views(db: Any) -> None:
    """What derived things have used and what of it is dirty; views with their versions and files."""
    _run(db, tables_sql.VIEWS)


@hot_store()
def retention(db: Any) -> None:
    """Segments of several days; what people had deleted, and what retention has removed."""
    _run(db, tables_sql.RETENTION)


@hot_store()
def audit(db: Any) -> None:
    """The chain of evidence; the versions of models. Baselines are made anew, as models."""
    _run(db, tables_sql.AUDIT)


@hot_store()
def reports(db: Any) -> None:
    """Issued reports with their revisions."""
    _run(db, tables_sql.REPORTS)


@hot_store()
def placements(db: Any) -> None:
    """Which path each workload runs on, and every move."""
    _run(db, tables_sql.PLACEMENTS)


@hot_store()
def tally(db: Any) -> None:
    """Counts and checksums by stream and day: of each batch (before its body, so that they are read without it), of each segment, and
    of all that is in the lake. What was there before has none, and the days of its segments are not known.
    """
    _run(db, tables_sql.TALLY)


@hot_store()
def meters(db: Any) -> None:
    """How long workloads have taken and what they have cost, by minute, hour and day."""
    _run(db, tables_sql.METERS)


@hot_store()
def reconcile(db: Any) -> None:
    """What reconciliation has found; when each segment was looked at; hot batches that were set aside."""
    _run(db, tables_sql.RECONCILE)


@hot_store()
def panels(db: Any) -> None:
    """Panels with their newest answers."""
    _run(db, tables_sql.PANELS)


@hot_store()
def view_sequences(db: Any) -> None:
    """Up to which record of its stream each file of a view knows everything."""
    _run(db, "ALTER TABLE view_file ADD COLUMN seq INTEGER;\n")


@hot_store()
def ladder(db: Any) -> None:
    """When the box was degraded, how far and why."""
    _run(db, tables_sql.LADDER)


@hot_store()
def incidents(db: Any) -> None:
    """Incidents with their members, every answer that was given, what stands behind them, and what people said."""
    _run(db, tables_sql.INCIDENTS)


@hot_store()
def analysis(db: Any) -> None:
    """What the first pass of analysis knows of each series, and of which records."""
    _run(db, tables_sql.ANALYSIS)


def _run(db: Any, statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            db.execute(statement)


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the file behind ``connection`` to the newest form; does nothing to one that has it. In the transaction that is open there."""
    hot_store.apply(Database(connection))
