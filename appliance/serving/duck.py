"""The two DuckDB databases of a query: one that parses and plans and holds no row, one that reads the lake and is locked down.

Both live in memory and keep no file. Only a process that may be killed opens them: a worker, or the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
from duckdb import _seam

from appliance.serving import pruning
from appliance.serving.snapshot import Side, TableInfo

MEMORY_SHARE = 0.75
"""Part of a query's memory that DuckDB may plan with: from there on it spills to disk. The rest is for what it doesn't count."""
BATCH_MEMORY_SHARE = 0.5
"""The same for work that nobody waits for: it spills sooner. Measured on a sort and on 20 million groups: with more, what DuckDB doesn't
count goes beyond the limit."""
PLANNER_TABLES_MAX = 256
Columns = tuple[tuple[str, str], ...]
_ALWAYS: Final = {"python_enable_replacements": "false", "autoload_known_extensions": "false", "autoinstall_known_extensions": "false"}
_NOW_WORDS = re.compile(r"now|current_|today|localtime|transaction_timestamp|get_current", re.IGNORECASE)
_NOW = "appliance_now"
_NOW_MACROS: Final = {
    "now": "{now}()",
    "get_current_timestamp": "{now}()",
    "transaction_timestamp": "{now}()",
    "current_localtimestamp": "{now}()",
    "current_date": "CAST({now}() AS DATE)",
    "today": "CAST({now}() AS DATE)",
    "get_current_time": "CAST({now}() AS TIME)",
    "current_localtime": "CAST({now}() AS TIME)",
}
"""All of one instant, and of the type that ``ts`` has: DuckDB's own are zoned, and a comparison with ``ts`` skips files less exactly."""


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text constant."""
    return "'" + text.replace("'", "''") + "'"


def open_runner(
    *, readable: Sequence[Path], temp: Path, temp_bytes_max: int, memory_max: int, threads: int, share: float = MEMORY_SHARE
) -> duckdb.DuckDBPyConnection:
    """The database that runs queries: it can read files below ``readable``, write to ``temp`` alone, and nothing of that can be changed."""
    memory_limit = f"{int(memory_max * share) >> 20}MiB"
    runner = duckdb.connect(":memory:", config={**_ALWAYS, "threads": threads, "memory_limit": memory_limit})
    settings = {
        "TimeZone": "'UTC'",
        "temp_directory": literal(str(temp)),
        "max_temp_directory_size": f"'{max(1, temp_bytes_max >> 20)}MiB'",
        "allowed_directories": f"[{', '.join(literal(str(path)) for path in readable)}]",
        "parquet_metadata_cache": "true",  # segments never change; measured 0.2 ms less for each file of a later query
        "validate_external_file_cache": "'NO_VALIDATION'",  # nor do their names come again: 0.4 ms less for each file
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "enable_progress_bar": "true",  # counts what query_progress() tells
        "enable_progress_bar_print": "false",
        "enable_external_access": "false",
        "lock_configuration": "true",
    }
    for name, value in settings.items():
        runner.execute(f"SET {name} = {value}")
    _add_now(runner)
    return runner


def read(connection: duckdb.DuckDBPyConnection, sql: str, *, batch_rows: int, is_select: bool) -> pa.RecordBatchReader:
    """Runs one statement; its rows come as they are found. ``is_select`` is false for an EXPLAIN.

    By the seam below DuckDB's relations, which ask for a statement's columns first: that is a second parse and a second look at its
    files, a third of the time of a short query.
    """
    if is_select:
        return _seam.submit(connection, sql, None, "stream", batch_rows).arrow_reader()
    return connection.sql(sql).to_arrow_reader(batch_rows)


def next_rows(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    """The next batch that holds rows."""
    return next((batch for batch in reader if batch.num_rows), None)


def uses_now(sql: str) -> bool:
    """Whether ``sql`` seems to use ``now()`` or its kin; sometimes where it doesn't."""
    return _NOW_WORDS.search(sql) is not None


def freeze_now(connection: duckdb.DuckDBPyConnection, sql: str, *, now_us: int) -> None:
    """Makes ``now()`` and its kin the instant ``now_us``, naive UTC like ``ts``, where ``sql`` seems to use any of them."""
    if uses_now(sql):
        connection.execute(f"CREATE OR REPLACE MACRO {_NOW}() AS make_timestamp({now_us})")


def _add_now(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"CREATE MACRO {_NOW}() AS make_timestamp(0)")
    for name, value in _NOW_MACROS.items():
        connection.execute(f"CREATE MACRO {name}() AS {value.format(now=_NOW)}")


class Planner:
    """Parses and plans over empty tables. Not for use by two threads at once, but for ``connection.interrupt``."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={**_ALWAYS, "threads": 1, "memory_limit": "64MiB"})
        self.connection.execute("SET TimeZone = 'UTC'")
        self._optimizers = frozenset(row[0] for row in self.connection.execute("SELECT name FROM duckdb_optimizers()").fetchall())
        self.connection.execute("SET allowed_configs = ['disabled_optimizers']")
        self.connection.execute("SET temp_directory = ''")
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")
        self._use(pruning.OPTIMIZERS)
        _add_now(self.connection)
        self._tables: dict[str, Columns] = {}
        self._described: dict[tuple[str, Columns], Columns] = {}

    def needs(self, sql: str, tables: Iterable[TableInfo], *, now_us: int) -> Mapping[str, pruning.Need]:
        """What ``sql`` can touch of each table. Raises ``ValueError`` where that can't be found out."""
        tables = tuple(tables)
        self._prepare(tables)
        freeze_now(self.connection, sql, now_us=now_us)
        self._times = {t.name: t.time_index for t in tables}
        try:
            return self._needs(sql)
        except pruning.NotWritten as e:
            error = e
        try:
            for optimizers in pruning.ATTEMPTS[1:]:
                self._use(optimizers)
                try:
                    return self._needs(sql)
                except pruning.NotWritten as e:
                    error = e
        finally:
            self._use(pruning.OPTIMIZERS)
        raise error

    def _needs(self, sql: str) -> Mapping[str, pruning.Need]:
        row = self.connection.execute("SELECT json_serialize_plan(?::VARCHAR, optimize := true)", [sql]).fetchone()
        assert row is not None
        try:
            plan: Any = msgspec.json.decode(row[0])
        except (msgspec.DecodeError, RecursionError) as e:
            raise ValueError(f"the plan can't be decoded: {e}") from e
        return pruning.needs(plan, self._times)

    def described(self, sql: str, base: str, columns: Columns) -> Columns:
        """Name and type of each column of ``sql`` over a table ``base`` with ``columns``. Raises ``duckdb.Error`` where it doesn't bind."""
        key = (f"{base}\n{sql}", columns)
        found = self._described.get(key)
        if found is None:
            self._prepare([TableInfo(base, Side.MERGED, base, columns)])
            rows = self.connection.execute(f"DESCRIBE {sql}").fetchall()
            found = tuple((str(row[0]), str(row[1])) for row in rows)
            if len(self._described) >= PLANNER_TABLES_MAX:
                self._described.clear()
            self._described[key] = found
        return found

    def tree(self, sql: str) -> Any:
        """The parse tree of one statement. Raises ``ValueError`` where it has none."""
        row = self.connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
        answer: Any = msgspec.json.decode(row[0]) if row is not None else {}
        if answer.get("error") is not False or len(answer["statements"]) != 1:
            raise ValueError("the SQL has no parse tree")
        return answer["statements"][0]

    def written(self, node: Mapping[str, Any]) -> str:
        """A SELECT_NODE as SQL. Raises ``duckdb.Error`` for what is none."""
        whole = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
        row = self.connection.execute("SELECT json_deserialize_sql(?::JSON)", [msgspec.json.encode(whole).decode()]).fetchone()
        assert row is not None
        return str(row[0])

    def value(self, sql: str, *, now_us: int) -> tuple[Any, ...] | None:
        """The only row of a SELECT without a table. None where it fails, or gives no row."""
        freeze_now(self.connection, sql, now_us=now_us)
        try:
            return self.connection.execute(sql).fetchone()
        except duckdb.Error:
            return None

    def _use(self, optimizers: frozenset[str]) -> None:
        self.connection.execute(f"SET disabled_optimizers = {literal(','.join(sorted(self._optimizers - optimizers)))}")

    def _prepare(self, tables: Iterable[TableInfo]) -> None:
        """Empty tables of these columns; those of earlier queries are kept as long as they are the same."""
        if len(self._tables) > PLANNER_TABLES_MAX:
            for name in self._tables:
                self.connection.execute(f"DROP TABLE IF EXISTS {quoted(name)}")
            self._tables.clear()
        for table in tables:
            if self._tables.get(table.name) != table.columns:
                columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in table.columns)
                self.connection.execute(f"CREATE OR REPLACE TABLE {quoted(table.name)} ({columns})")
                self._tables[table.name] = table.columns

    def close(self) -> None:
        self.connection.close()
