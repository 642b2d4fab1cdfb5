"""Batch work in ``hot.sqlite``: what there is, every run with its outcome, and the tables that runs have made.

All that writes runs in the writer's thread, with its connection, in a transaction of the caller's. A run is one row from the moment
it is queued; so a restart finds what waits and what was under way.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from appliance.hot.alerts.reads import Reads
from appliance.observe.jobs import RunRow

JOBS: Final = (
    ("name", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("due_when", "VARCHAR"),
    ("priority", "VARCHAR"),
    ("next_due", "TIMESTAMP"),
    ("state", "VARCHAR"),
    ("last_ended", "TIMESTAMP"),
    ("last_words", "VARCHAR"),
    ("failures", "BIGINT"),
)
HISTORY: Final = (
    ("id", "BIGINT"),
    ("name", "VARCHAR"),
    ("kind", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("state", "VARCHAR"),
    ("due", "TIMESTAMP"),
    ("queued", "TIMESTAMP"),
    ("started", "TIMESTAMP"),
    ("ended", "TIMESTAMP"),
    ("attempt", "BIGINT"),
    ("interrupted", "BIGINT"),
    ("words", "VARCHAR"),
    ("error", "VARCHAR"),
    ("rows", "BIGINT"),
    ("cpu_s", "DOUBLE"),
    ("read_bytes", "BIGINT"),
    ("written_bytes", "BIGINT"),
    ("parameters", "VARCHAR"),
)
"""Columns of ``_jobs`` and ``_job_history`` in SQL, with their types."""
LOOK_ROWS_MAX: Final = 100_000
_RUN: Final = (
    "id, name, kind, reason, state, due_us, queued_us, not_before_us, started_us, ended_us, attempt, interrupted, priority, day,"
    " parameters, words, error, rows, cpu_s, read_bytes, written_bytes"
)
_RUN_COLUMNS: Final = tuple(c.strip() for c in _RUN.split(","))
_JOB: Final = "name, kind, whence, priority, since_us, due_us, day, next_us, failures, failed_us, last_state, last_us, last_words"
_TABLE: Final = "name, path, rows, bytes, sha256, columns, made_us, run_id"


@dataclass(frozen=True, slots=True)
class JobEntry:
    """What is remembered of one piece of work."""

    name: str
    kind: str
    whence: str
    """When it is due, in words."""
    priority: str
    since_us: int
    """When it was first seen."""
    due_us: int | None = None
    """Up to when everything that was due has been served."""
    day: int | None = None
    next_us: int | None = None
    failures: int = 0
    """Runs in a row that have failed for good."""
    failed_us: int | None = None
    last_state: str = ""
    last_us: int | None = None
    last_words: str = ""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table that a job has made."""

    name: str
    path: str
    """Parquet, relative to the data folder."""
    rows: int
    bytes: int
    sha256: str
    columns: tuple[tuple[str, str], ...]
    """Name and SQL type."""
    made_us: int
    run_id: int


def has_tables(reads: Reads) -> bool:
    """Whether the file is of a format that knows batch work."""
    return bool(list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job_run'")))


def add_run(connection: sqlite3.Connection, run: RunRow) -> int:
    """A new run; its id."""
    columns = ", ".join(_RUN_COLUMNS[1:])
    cursor = connection.execute(f"INSERT INTO job_run ({columns}) VALUES ({_marks(_RUN_COLUMNS[1:])})", _run_values(run)[1:])
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def put_run(connection: sqlite3.Connection, run: RunRow) -> None:
    """A run as it is now."""
    connection.execute(f"INSERT OR REPLACE INTO job_run ({_RUN}) VALUES ({_marks(_RUN_COLUMNS)})", _run_values(run))


def put_jobs(connection: sqlite3.Connection, jobs: Iterable[JobEntry]) -> None:
    """What is remembered of these pieces of work from now on."""
    connection.executemany(
        f"INSERT OR REPLACE INTO job ({_JOB}) VALUES ({_marks(_JOB.split(','))})",
        [
            (
                *(j.name, j.kind, j.whence, j.priority, j.since_us, j.due_us, j.day),
                *(j.next_us, j.failures, j.failed_us, j.last_state, j.last_us, j.last_words),
            )
            for j in jobs
        ],
    )


def drop_jobs(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Work that is no longer in the config is forgotten; its runs stay in the history."""
    connection.executemany("DELETE FROM job WHERE name = ?", [(name,) for name in names])


def trim_runs(connection: sqlite3.Connection, *, keep: int) -> None:
    """Keeps the newest ``keep`` runs, and all that are not over."""
    connection.execute(
        "DELETE FROM job_run WHERE id <= (SELECT max(id) FROM job_run) - ? AND state NOT IN ('waiting', 'running')",
        (keep,),
    )


def put_table(connection: sqlite3.Connection, table: TableEntry) -> None:
    """The table is this file from now on."""
    connection.execute(
        f"INSERT OR REPLACE INTO job_table (fold, {_TABLE}) VALUES ({_marks(('fold', *_TABLE.split(',')))})",
        (
            table.name.lower(),
            *(table.name, table.path, table.rows, table.bytes, table.sha256, json.dumps(table.columns), table.made_us, table.run_id),
        ),
    )


def drop_tables(connection: sqlite3.Connection, folds: Iterable[str]) -> None:
    """These are tables no longer."""
    connection.executemany("DELETE FROM job_table WHERE fold = ?", [(fold,) for fold in folds])


def load_jobs(reads: Reads) -> dict[str, JobEntry]:
    """What is remembered, by name."""
    if not has_tables(reads):
        return {}
    return {row[0]: JobEntry(*row) for row in reads.execute(f"SELECT {_JOB} FROM job ORDER BY name")}


def load_open(reads: Reads) -> list[RunRow]:
    """Runs that are not over, oldest first."""
    if not has_tables(reads):
        return []
    return [_run(row) for row in reads.execute(f"SELECT {_RUN} FROM job_run WHERE state IN ('waiting', 'running') ORDER BY id")]


def load_runs(
    reads: Reads, *, limit: int, name: str | None = None, before_id: int | None = None, run_id: int | None = None
) -> list[RunRow]:
    """Runs, the newest first."""
    if not has_tables(reads):
        return []
    asked: Mapping[str, Any] = {"name = ?": name, "id < ?": before_id, "id = ?": run_id}
    given = {condition: value for condition, value in asked.items() if value is not None}
    where = f" WHERE {' AND '.join(given)}" if given else ""
    found = reads.execute(f"SELECT {_RUN} FROM job_run{where} ORDER BY id DESC LIMIT ?", (*given.values(), limit))
    return [_run(row) for row in found]


def load_tables(reads: Reads) -> dict[str, TableEntry]:
    """The tables that jobs have made, by folded name."""
    if not list(reads.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job_table'")):
        return {}
    found: dict[str, TableEntry] = {}
    for name, path, rows, size, sha256, columns, made_us, run_id in reads.execute(f"SELECT {_TABLE} FROM job_table"):
        kinds = tuple((str(column), str(kind)) for column, kind in json.loads(columns))
        found[name.lower()] = TableEntry(name, path, rows, size, sha256, kinds, made_us, run_id)
    return found


def look_jobs(reads: Reads) -> list[tuple[Any, ...]]:
    """``_jobs``: what there is in the config, in the columns of ``JOBS``."""
    if not has_tables(reads):
        return []
    return [
        tuple(row)
        for row in reads.execute(
            "SELECT name, kind, whence, priority, next_us, coalesce((SELECT state FROM job_run r WHERE r.name = job.name"
            " AND state IN ('waiting', 'running') ORDER BY state LIMIT 1), last_state), last_us, last_words, failures"
            " FROM job WHERE substr(name, 1, 1) <> '_' ORDER BY name"
        )
    ]


def look_history(reads: Reads) -> list[tuple[Any, ...]]:
    """``_job_history``: every run that is remembered, the newest first, in the columns of ``HISTORY``."""
    if not has_tables(reads):
        return []
    return [
        tuple(row)
        for row in reads.execute(
            "SELECT id, name, kind, reason, state, due_us, queued_us, started_us, ended_us, attempt, interrupted, words, error, rows,"
            " cpu_s, read_bytes, written_bytes, parameters FROM job_run ORDER BY id DESC LIMIT ?",
            (LOOK_ROWS_MAX,),
        )
    ]


def _run(row: tuple[Any, ...]) -> RunRow:
    values = dict(zip(_RUN_COLUMNS, row, strict=True))
    return RunRow(**{**values, "parameters": json.loads(values["parameters"])})


def _run_values(run: RunRow) -> tuple[Any, ...]:
    return tuple(json.dumps(dict(run.parameters)) if name == "parameters" else getattr(run, name) for name in _RUN_COLUMNS)


def _marks(columns: Sequence[str]) -> str:
    return ", ".join("?" * len(columns))
