"""One DuckDB in memory for all that is compared with it: to open one takes five times as long as a question."""

from __future__ import annotations

import atexit
import functools

import duckdb


def plain_duckdb() -> duckdb.DuckDBPyConnection:
    """A connection of its own, to be closed: what is registered, set or made TEMP in it is seen in no other. One thread."""
    return _database().cursor()


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(config={"threads": 1})
    atexit.register(_database.cache_clear)
    return made
