"""A small table that DuckDB reads under one name again and again, with other rows in it each time."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


class Tray:
    """Registered with a connection once; each scan asks it for its rows of now (Arrow PyCapsule interface)."""

    def __init__(self, name: str, schema: pa.Schema) -> None:
        self.name = name
        self.schema = schema
        self.table: pa.Table | None = None
        """Of ``schema``; None while no query uses it."""

    def __arrow_c_schema__(self) -> Any:
        """Its columns."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Its rows, or none."""
        table = self.schema.empty_table() if self.table is None else self.table
        return table.__arrow_c_stream__(requested_schema)
