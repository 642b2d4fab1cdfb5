"""Asking an engine, and DuckDB itself over a flat table, in the same way."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from appliance.serving.engine import Engine
from appliance.serving.explain import Explain
from appliance.serving.question import Question
from appliance.serving.snapshot import SnapshotProvider
from tests.duck import plain_duckdb

NOW_US = 1_767_355_200_000_000
"""2026-01-02 12:00: what ``now()`` gives in these tests."""


def ask(
    engine: Engine, source: SnapshotProvider, sql: str, *, path: str = "merged", since_us: int | None = None, until_us: int | None = None
) -> tuple[pa.Table, Explain]:
    """The whole answer and how it was found."""
    question = Question(sql=sql, id="test", path=path, since_us=since_us, until_us=until_us)
    with engine.answer(question, source, now_us=NOW_US) as answer:
        batches = list(answer.batches())
        return pa.Table.from_batches(batches, answer.schema), answer.explain()


def flat(table: pa.Table, sql: str, **more: pa.Table) -> pa.Table:
    """What plain DuckDB answers over one table ``readings``."""
    with plain_duckdb() as plain:
        plain.execute("SET TimeZone = 'UTC'")
        plain.register("readings", table)
        for name, extra in more.items():
            plain.register(name, extra)
        for name in ("now", "get_current_timestamp"):
            plain.execute(f"CREATE TEMP MACRO {name}() AS make_timestamp({NOW_US})")
        plain.execute(f"CREATE TEMP MACRO today() AS CAST(make_timestamp({NOW_US}) AS DATE)")
        return plain.sql(sql).to_arrow_table()


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows in an order of their own, for comparing."""
    columns = [column.to_pylist() for column in table.columns]
    return sorted(zip(*columns, strict=True), key=repr)
